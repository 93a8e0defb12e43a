"""Scoring by similarity: the model responds to each input, and its responses are compared with an original one."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence

import torch
from einops import reduce
from jaxtyping import Float
from torch import Tensor

from interpreto_mllm.core.responses import Response
from interpreto_mllm.engine.counter import ForwardCounter
from interpreto_mllm.engine.queries import Generate, Score, Scored, Scorer
from interpreto_mllm.engine.responders import Responder
from interpreto_mllm.games.originals import Compare
from interpreto_mllm.games.targets import TokenTarget
from interpreto_mllm.prompts.model_input import ModelInput
from interpreto_mllm.similarity.response_similarity import Comparison, ResponseSimilarity


class ResponseScorer:
    """Scores the comparisons of one call; what it has generated is remembered, so that no input is answered twice.

    Args:
        responder: gives the responses.
        similarity: of a response to the original one, bound to the model.
        answers: gives the log-probabilities of originals where they did not come with a response; needed only for originals
            with `scored` tokens.

    Attributes:
        responses: to each input, by its key.
        comparison: the values of responses.
    """

    def __init__(self, responder: Responder, similarity: ResponseSimilarity, answers: Scorer[Score] | None = None):
        self.responder, self.similarity = responder, similarity
        self.comparison = Comparison(similarity)
        self.responses: dict[bytes, tuple[Response, ...]] = {}
        self._answers = answers
        self._log_probabilities: dict[tuple[bytes, TokenTarget], float] = {}
        self._of_tokens: dict[Hashable, Tensor] = {}

    @property
    def counter(self) -> ForwardCounter:
        """What the responses have cost."""
        return self.responder.counter

    def score(self, queries: Sequence[Compare]) -> Iterator[Scored]:
        """The mean similarity of each input's responses to the original, as soon as they are there."""
        waiting: dict[bytes, list[int]] = {}
        for index, query in enumerate(queries):
            waiting.setdefault(query.input.key, []).append(index)
            if query.original.repeatable and query.input.key == query.original.input.key:
                self.responses.setdefault(query.input.key, (query.original.response,))
        known = [key for key in waiting if key in self.responses]
        fresh = {key: [queries[index] for index in indices] for key, indices in waiting.items() if key not in self.responses}
        if known:
            yield self._compare([index for key in known for index in waiting[key]], queries)
        for done in self._respond(fresh):
            yield self._compare([index for key in done for index in waiting[key]], queries)

    def log_probability(self, input: ModelInput, target: TokenTarget) -> float:
        """Of the target's tokens after an input that was scored."""
        return self._log_probabilities[input.key, target]

    def remember(self, input: ModelInput, target: TokenTarget, log_probability: float) -> None:
        """Take over the log-probability of a target from an earlier call."""
        self._log_probabilities[input.key, target] = log_probability

    def _respond(self, fresh: Mapping[bytes, list[Compare]]) -> Iterator[list[bytes]]:
        """Let the model respond to each input, given with all queries about it; yields the keys of those just finished."""
        repeats = self.similarity.repeats
        queries = [
            Generate(about[0].input, draw, () if draw else _answers_to_score(about))
            for about in fresh.values()
            for draw in range(repeats)
        ]
        drawn: dict[bytes, dict[int, Response]] = {}
        for indices, replies in self.responder.respond(queries):
            done = []
            for index, reply in zip(indices, replies, strict=True):
                query = queries[index]
                draws = drawn.setdefault(query.input.key, {})
                draws[query.draw] = reply.response
                for ids, values in zip(query.also_score, reply.also_scored, strict=False):
                    self._of_tokens[Score(query.input, ids).key] = values
                if len(draws) == repeats:
                    self.responses[query.input.key] = tuple(draws[draw] for draw in range(repeats))
                    done.append(query.input.key)
            if done:
                yield done

    def _compare(self, indices: list[int], queries: Sequence[Compare]) -> Scored:
        """The values of these queries, to whose inputs there are responses."""
        self._add_log_probabilities([queries[index] for index in indices])
        values = torch.empty(len(indices), 1, dtype=torch.float64)
        places_of: dict[Hashable, list[int]] = {}
        for place, index in enumerate(indices):
            places_of.setdefault(queries[index].original.key, []).append(place)
        for places in places_of.values():
            original = queries[indices[places[0]]].original
            inputs = [queries[indices[place]].input for place in places]
            prompted = [(response, input) for input in inputs for response in self.responses[input.key]]
            similarities = self.comparison.values(original.prompted_response, prompted)
            values[places, 0] = reduce(similarities, "(b repeat) -> b", "mean", b=len(places))
        return indices, values

    def _add_log_probabilities(self, queries: Sequence[Compare]) -> None:
        """Compute those of the originals that are wanted and not known yet."""
        wanted = {
            (query.input.key, scored): Score(query.input, scored.ids)
            for query in queries
            if (scored := query.original.scored) is not None and (query.input.key, scored) not in self._log_probabilities
        }
        of_tokens = {score.key: self._of_tokens.pop(score.key, None) for score in wanted.values()}
        missing = list({score.key: score for score in wanted.values() if of_tokens[score.key] is None}.values())
        if missing:
            of_tokens |= self._plain_log_probabilities(missing)
        for (key, scored), score in wanted.items():
            if (values := of_tokens[score.key]) is not None:
                self._log_probabilities[key, scored] = values.double()[list(scored.scored)].sum().item()

    def _plain_log_probabilities(self, missing: list[Score]) -> dict[Hashable, Float[Tensor, "_"]]:
        """Log-probabilities of the tokens of given answers."""
        if self._answers is None:
            raise ValueError("Log-probabilities of the originals are wanted, and nothing was given that computes them.")
        return {
            missing[index].key: row[: len(missing[index].target)]
            for indices, rows in self._answers.score(missing)
            for index, row in zip(indices, rows, strict=True)
        }


def _answers_to_score(queries: Sequence[Compare]) -> tuple[tuple[int, ...], ...]:
    """The ids of the originals whose log-probabilities are wanted."""
    return tuple(scored.ids for query in queries if (scored := query.original.scored) is not None)
