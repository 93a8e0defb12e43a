"""The game in which the model answers again: a coalition is worth the likeness of its answer to the original one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from interpreto_mllm.core.evaluations import Evaluations
from interpreto_mllm.core.responses import Response, Responses
from interpreto_mllm.engine.queries import Query, Scored
from interpreto_mllm.engine.responders import LocalResponder, Responder
from interpreto_mllm.games.game import ModelGame
from interpreto_mllm.games.targets import Answer
from interpreto_mllm.prompts.model_input import ModelInput
from interpreto_mllm.similarity.embeddings import PromptedResponse
from interpreto_mllm.similarity.response_similarity import Comparison, ResponseSimilarity


@dataclass(frozen=True, eq=False)
class Original:
    """An answer that others are compared with, the prompt that it answers, and its scored ids where these are asked for."""

    response: Response
    reading: ModelInput
    scored: Answer | None = None

    @property
    def said(self) -> PromptedResponse:
        """As comparisons take it."""
        return self.response, self.reading


class ResponseEngine:
    """Lets the model answer and compares; `Query.target` holds the index of the original answer that is compared with.

    What was said to a reading is remembered until `forget`, so that nothing is answered twice.

    Args:
        voice: gives the answers.
        similarity: what an answer is worth, bound to the model.
    """

    def __init__(self, voice: Responder, similarity: ResponseSimilarity):
        self.voice, self.similarity = voice, similarity
        self.originals: list[Original] = []
        self.forget()

    @property
    def forwards(self) -> int:
        """What the voice has cost."""
        return self.voice.forwards

    @property
    def tokens(self) -> int:
        """Likewise."""
        return self.voice.tokens

    def forget(self) -> None:
        """Forget what was said."""
        self.said: dict[bytes, tuple[Response, ...]] = {}
        self.likelihoods: dict[tuple[bytes, tuple[int, ...]], float] = {}
        self.comparison = Comparison(self.similarity)

    def score(self, queries: list[Query]) -> Iterator[Scored]:
        """The mean likeness of each query's answers to its original, as soon as they are there."""
        waiting: dict[bytes, list[int]] = {}
        for index, query in enumerate(queries):
            waiting.setdefault(query.reading.key, []).append(index)
        known = [key for key in waiting if key in self.said]
        fresh = {key: [queries[index] for index in indices] for key, indices in waiting.items() if key not in self.said}
        if known:
            yield self._worth([index for key in known for index in waiting[key]], queries)
        for done in self._answer(fresh):
            yield self._worth([index for key in done for index in waiting[key]], queries)

    def _answer(self, fresh: Mapping[bytes, list[Query]]) -> Iterator[list[bytes]]:
        """Let the model answer each reading, asked with all the queries about it; yields the keys of those just finished."""
        repeats = self.similarity.repeats
        asked = [
            Query(about[0].reading, (draw,), () if draw else self._asides(about))
            for about in fresh.values()
            for draw in range(repeats)
        ]
        drawn: dict[bytes, dict[int, Response]] = {}
        for indices, answers in self.voice.say(asked):
            done = []
            for index, answer in zip(indices, answers, strict=True):
                key, draws = asked[index].reading.key, drawn.setdefault(asked[index].reading.key, {})
                draws[index % repeats] = answer
                if len(draws) == repeats:
                    self.said[key] = tuple(draws[draw] for draw in range(repeats))
                    done.append(key)
            if done:
                yield done

    def _asides(self, about: list[Query]) -> tuple[tuple[int, ...], ...]:
        """The ids of the originals whose log-probabilities are to be told."""
        scored = [self.originals[query.target[0]].scored for query in about]
        return tuple(answer.ids for answer in scored if answer is not None)

    def _hear(self, queries: list[Query]) -> None:
        """Keep how likely each query's original is."""
        wanted = {query.key: query for query in queries if query.key not in self.likelihoods}
        each = {key: self.originals[query.target[0]].scored for key, query in wanted.items()}
        scored = {key: answer for key, answer in each.items() if answer is not None}
        asked = {key: Query(wanted[key].reading, answer.ids) for key, answer in scored.items()}
        if not asked or not isinstance(self.voice, LocalResponder):
            return
        for key, row in zip(asked, self.voice.likelihoods(list(asked.values())), strict=True):
            self.likelihoods[key] = row.double()[list(scored[key].scored)].sum().item()

    def _worth(self, indices: list[int], queries: list[Query]) -> Scored:
        self._hear([queries[index] for index in indices])
        values = torch.empty(len(indices), 1, dtype=torch.float64)
        by_original: dict[int, list[int]] = {}
        for place, index in enumerate(indices):
            by_original.setdefault(queries[index].target[0], []).append(place)
        for original, places in by_original.items():
            readings = [queries[indices[place]].reading for place in places]
            said = [(response, reading) for reading in readings for response in self.said[reading.key]]
            worth = self.comparison.values(self.originals[original].said, said)
            values[places, 0] = worth.reshape(len(places), -1).mean(1)
        return indices, values


@dataclass(frozen=True, eq=False)
class ResponseGame(ModelGame):
    """A game whose values come with the answers behind them."""

    generation: Mapping[str, Any] | None = None
    answers_anew: ClassVar[bool] = False

    def completed(self, evaluations: Evaluations) -> Evaluations:
        """The evaluations with the answers behind them, and the values under each of the repeats where there are several."""
        engine = self._engine
        readings = self._readings(evaluations.coalitions)
        answers = [tuple(one for reading in row for one in engine.said[reading.key]) for row in readings]
        responses = self._responses(answers, self._likelihoods(evaluations.coalitions))
        if responses.repeats == 1 or not len(responses):
            return replace(evaluations, responses=responses)
        said = [(one, reading) for row in readings for reading in row for one in engine.said[reading.key]]
        originals = [engine.originals[answer.ids[0]] for answer in self.question.answers]
        worth = [engine.comparison.values(original.said, said).reshape(len(responses), -1) for original in originals]
        return replace(evaluations, responses=responses, repeats=responses.values(worth))

    def known(self, evaluations: Evaluations) -> Evaluations:
        """Evaluations of an earlier play, their answers remembered and valued as this game values them.

        Raises:
            ValueError: when they hold no answers, or the answers were given under other settings or to be compared with others.
        """
        earlier, engine = evaluations.responses, self._engine
        if earlier is None:
            raise ValueError("The earlier evaluations hold no answers: give results of a similarity game.")
        if len(earlier) and bool(earlier.history) != self.answers_anew:
            games = ("whose turns in between are fixed", "in which each coalition is answered anew in between, as by extend()")
            told = (games[bool(earlier.history)], games[self.answers_anew])
            raise ValueError(f"The earlier evaluations are of a chat {told[0]}; this is one {told[1]}.")
        mine = self._responses([], None)
        for name in ("originals", "columns", "repeats", "generation"):
            given, wanted = getattr(earlier, name), getattr(mine, name)
            if [one.text for one in given] != [one.text for one in wanted] if name == "originals" else given != wanted:
                raise ValueError(f"The earlier evaluations have other {name}: {given} there, {wanted} here.")
        readings = self._readings(evaluations.coalitions)
        for row, answers in zip(readings, earlier.said, strict=True):
            for index, reading in enumerate(row):
                engine.said[reading.key] = answers[index * mine.repeats : (index + 1) * mine.repeats]
        if not readings:
            return evaluations
        self._remember(earlier, evaluations.coalitions)
        queries = [query for row in self.queries(evaluations.coalitions) for query in row]
        by_index = {index: row for indices, rows in engine.score(queries) for index, row in zip(indices, rows, strict=True)}
        each = len(queries) // len(readings)
        raw = [[by_index[place * each + column] for column in range(each)] for place in range(len(readings))]
        return replace(evaluations, values=self.values(raw), repeats=None)

    def _responses(self, said: list[tuple[Response, ...]], likelihoods: Float[Tensor, "p o w"] | None) -> Responses:
        originals = tuple(self._engine.originals[answer.ids[0]].response for answer in self.question.answers)
        repeats, settings = self._engine.similarity.repeats, self.generation or {}
        return Responses(originals, self.question.columns, tuple(said), repeats, settings, likelihoods)

    def _likelihoods(self, coalitions: Bool[Tensor, "p n"]) -> Float[Tensor, "p o w"] | None:
        """How likely each original is after each reading of each coalition, where that was asked for."""
        if not self._engine.similarity.log_probability:
            return None
        told = [[self._engine.likelihoods[query.key] for query in row] for row in self.queries(coalitions)]
        return torch.tensor(told, dtype=torch.float64).reshape(len(told), len(self.question.answers), -1)

    def _remember(self, earlier: Responses, coalitions: Bool[Tensor, "p n"]) -> None:
        """What is told of originals that have the very ids of this game's."""
        told = earlier.original_log_probabilities
        if told is None:
            return
        same = [a.ids == b.ids for a, b in zip(earlier.originals, self._responses([], None).originals, strict=True)]
        for row, queries in zip(told, self.queries(coalitions), strict=True):
            for query, likelihood, kept in zip(queries, row.flatten().tolist(), np.repeat(same, row.shape[1]), strict=True):
                if kept:
                    self._engine.likelihoods[query.key] = likelihood

    def _readings(self, coalitions: Bool[Tensor, "p n"]) -> list[list[ModelInput]]:
        each = len(self.question.answers)
        return [[query.reading for query in row[: len(row) // each]] for row in self.queries(coalitions)]

    @property
    def _engine(self) -> ResponseEngine:
        if not isinstance(self.engine, ResponseEngine):
            raise TypeError("A ResponseGame is played on a ResponseEngine.")
        return self.engine
