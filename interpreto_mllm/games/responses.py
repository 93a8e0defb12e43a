"""The game in which the model answers again: a coalition is worth the likeness of its answer to the original one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor

from interpreto_mllm.engine.decoding import Decoding
from interpreto_mllm.engine.generation import OVER, CausalSpeaker, MultimodalSpeaker, Seq2SeqSpeaker
from interpreto_mllm.engine.query import Engine, Query, Scored
from interpreto_mllm.evaluations import Evaluations
from interpreto_mllm.games.game import ModelGame
from interpreto_mllm.games.kinds import CausalKind, ModelKind, Seq2SeqKind
from interpreto_mllm.games.targets import Answer
from interpreto_mllm.prompts.occlusion import Occlusion, Reading
from interpreto_mllm.prompts.tokens import special_ids
from interpreto_mllm.responses import Response, Responses
from interpreto_mllm.similarity.response_similarity import Comparison, ResponseSimilarity


class ResponseEngine:
    """Lets the model answer and compares; `Query.target` holds the index of the original answer that is compared with.

    What was said to a reading is remembered until `forget`, so that nothing is answered twice.

    Args:
        speaker: gives the ids of answers; its `Query.target` numbers the draw.
        tokenizer: spells them.
        similarity: what an answer is worth, bound to the model.
    """

    def __init__(self, speaker: Engine, tokenizer: Any, similarity: ResponseSimilarity):
        self.speaker, self.tokenizer, self.similarity = speaker, tokenizer, similarity
        self.originals: list[tuple[Response, Reading]] = []
        self.forget()

    @property
    def forwards(self) -> int:
        """Forwards of the answering model."""
        return self.speaker.forwards

    @property
    def tokens(self) -> int:
        """Tokens it has read and said."""
        return self.speaker.tokens

    def forget(self) -> None:
        """Forget what was said."""
        self.said: dict[bytes, tuple[Response, ...]] = {}
        self.comparison = Comparison(self.similarity)
        self._special = special_ids(self.tokenizer)

    def score(self, queries: list[Query]) -> Iterator[Scored]:
        """The mean likeness of each query's answers to its original, as soon as they are there."""
        waiting: dict[bytes, list[int]] = {}
        for index, query in enumerate(queries):
            waiting.setdefault(query.reading.key, []).append(index)
        known = [key for key in waiting if key in self.said]
        fresh = [queries[waiting[key][0]].reading for key in waiting if key not in self.said]
        if known:
            yield self._worth([index for key in known for index in waiting[key]], queries)
        for done in self.answer(fresh):
            yield self._worth([index for key in done for index in waiting[key]], queries)

    def answer(self, readings: list[Reading]) -> Iterator[list[bytes]]:
        """Let the model answer; yields the keys of the readings whose last answer has just been given."""
        repeats = self.similarity.repeats
        asked = [Query(reading, (draw,)) for reading in readings for draw in range(repeats)]
        drawn: dict[bytes, dict[int, Response]] = {}
        for indices, ids in self.speaker.score(asked):
            done = []
            for index, row in zip(indices, ids.tolist(), strict=True):
                key, draws = asked[index].reading.key, drawn.setdefault(asked[index].reading.key, {})
                draws[index % repeats] = self.spoken(row)
                if len(draws) == repeats:
                    self.said[key] = tuple(draws[draw] for draw in range(repeats))
                    done.append(key)
            if done:
                yield done

    def spoken(self, ids: list[int]) -> Response:
        """An answer without its filling, and without the special tokens around it."""
        ids = [token for token in ids if token != OVER]
        while ids and ids[-1] in self._special:
            ids.pop()
        start = next((index for index, token in enumerate(ids) if token not in self._special), 0)
        text = str(self.tokenizer.decode(ids[start:], skip_special_tokens=True)) if ids else ""
        return Response(text.strip(), tuple(ids[start:]))

    def _worth(self, indices: list[int], queries: list[Query]) -> Scored:
        values = torch.empty(len(indices), 1, dtype=torch.float64)
        by_original: dict[int, list[int]] = {}
        for place, index in enumerate(indices):
            by_original.setdefault(queries[index].target[0], []).append(place)
        for original, places in by_original.items():
            readings = [queries[indices[place]].reading for place in places]
            said = [(response, reading) for reading in readings for response in self.said[reading.key]]
            worth = self.comparison.values(self.originals[original], said)
            values[places, 0] = worth.reshape(len(places), -1).mean(1)
        return indices, values


@dataclass(frozen=True, eq=False)
class ResponseGame(ModelGame):
    """A game whose values come with the answers behind them."""

    generation: Mapping[str, Any] | None = None

    def completed(self, evaluations: Evaluations) -> Evaluations:
        """The evaluations with the answers behind them, and the values under each of the repeats where there are several."""
        engine = self._engine
        readings = self._readings(evaluations.coalitions)
        answers = [tuple(one for reading in row for one in engine.said[reading.key]) for row in readings]
        responses = self._responses(answers)
        if responses.repeats == 1 or not len(responses):
            return replace(evaluations, responses=responses)
        said = [(one, reading) for row in readings for reading in row for one in engine.said[reading.key]]
        originals = [engine.originals[answer.ids[0]] for answer in self.question.answers]
        worth = [engine.comparison.values(original, said).reshape(len(responses), -1) for original in originals]
        return replace(evaluations, responses=responses, repeats=responses.values(worth))

    def known(self, evaluations: Evaluations) -> Evaluations:
        """Evaluations of an earlier play, their answers remembered and valued as this game values them.

        Raises:
            ValueError: when they hold no answers, or the answers were given under other settings or to be compared with others.
        """
        earlier, engine = evaluations.responses, self._engine
        if earlier is None:
            raise ValueError("The earlier evaluations hold no answers: give results of a similarity game.")
        mine = self._responses([])
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
        queries = [query for row in self.queries(evaluations.coalitions) for query in row]
        by_index = {index: row for indices, rows in engine.score(queries) for index, row in zip(indices, rows, strict=True)}
        each = len(queries) // len(readings)
        raw = [[by_index[place * each + column] for column in range(each)] for place in range(len(readings))]
        return replace(evaluations, values=self.values(raw), repeats=None)

    def _responses(self, said: list[tuple[Response, ...]]) -> Responses:
        originals = tuple(self._engine.originals[answer.ids[0]][0] for answer in self.question.answers)
        settings = self.generation or {}
        return Responses(originals, self.question.columns, tuple(said), self._engine.similarity.repeats, settings)

    def _readings(self, coalitions: Bool[Tensor, "p n"]) -> list[list[Reading]]:
        each = len(self.question.answers)
        return [[query.reading for query in row[: len(row) // each]] for row in self.queries(coalitions)]

    @property
    def _engine(self) -> ResponseEngine:
        if not isinstance(self.engine, ResponseEngine):
            raise TypeError("A ResponseGame is played on a ResponseEngine.")
        return self.engine


class RespondingKind(ModelKind):
    """A kind of generating model that is asked to answer again; how its parts are read and left out is the kind's.

    Args:
        kind: causal or encoder-decoder.
        similarity: what an answer is worth.
        generate: the explainer's own arguments of `model.generate`.
        seed: of drawn answers.

    Raises:
        ValueError: for a model that does not answer in text, or settings that cannot be obeyed.
    """

    unit = "response"

    def __init__(self, kind: ModelKind, similarity: ResponseSimilarity, generate: Mapping[str, Any], seed: int):
        super().__init__(kind.model, kind.processing)
        if not isinstance(kind, (CausalKind, Seq2SeqKind)):
            raise ValueError(
                f"{type(kind.model).__name__} does not answer in text, so there are no responses to compare: use "
                "InferenceModes.LOGITS, SOFTMAX or LOG_SOFTMAX."
            )
        self._kind, self._seed = kind, seed
        self._similarity = similarity.bound(kind.model, kind.tokenizer)
        self._settings = {**generate, **similarity.generate}
        self._decoding = self._decoded(self._settings)

    def default_occlusion(self) -> Occlusion:
        return self._kind.default_occlusion()

    def check_occlusion(self, occlusion: Occlusion) -> None:
        self._kind.check_occlusion(occlusion)

    def engine(self, mode: Any, batch_size: int, share_prefixes: bool) -> Engine:
        speaker = self._speaker(self._decoding, batch_size, share_prefixes)
        greedy = self._decoded({**self._settings, "do_sample": False})
        self._first = speaker if greedy == self._decoding else self._speaker(greedy, batch_size, share_prefixes)
        self._engine = ResponseEngine(speaker, self.tokenizer, self._similarity)
        return self._engine

    def _speaker(self, decoding: Decoding, batch_size: int, share_prefixes: bool) -> Engine:
        if isinstance(self._kind, Seq2SeqKind):
            return Seq2SeqSpeaker(self.model, decoding, batch_size, share_prefixes, processing=self.processing)
        if self.processing.modalities:
            return MultimodalSpeaker(self.model, decoding, batch_size, share_prefixes, processing=self.processing)
        return CausalSpeaker(self.model, decoding, batch_size, share_prefixes)

    def game(self, *parts: Any) -> ModelGame:
        told = {
            name: value if isinstance(value, (bool, int, float, str)) else repr(value) for name, value in self._settings.items()
        }
        told |= {"max_new_tokens": self._decoding.limit} | ({"seed": self._seed} if self._decoding.sampled else {})
        return ResponseGame(*parts, generation=told)

    def forget(self) -> None:
        self._engine.forget()

    def answer(self, target: Any, text: str, reading: Reading) -> Answer:
        ids = self._kind.answer(target, text, reading)
        given = target.strip() if isinstance(target, str) else self._engine.spoken(list(ids.ids)).text
        return self._original(Response(given, tuple(ids.ids[index] for index in ids.scored)), reading)

    def own_answer(self, reading: Reading, generate: Mapping[str, Any]) -> Answer:
        self.length(reading, None)
        [(_, ids)] = self._first.score([Query(reading, (0,))])
        response = self._engine.spoken(ids[0].tolist())
        if self._first is self._engine.speaker:
            self._engine.said[reading.key] = (response,)
        return self._original(response, reading)

    def length(self, reading: Reading, answer: Answer | None) -> int:
        """Positions that a reading takes; an answer must find room after it."""
        room, limit = self.room(), self._decoding.limit
        needed = len(reading.ids) + limit if isinstance(self._kind, CausalKind) else max(len(reading.ids), limit + 1)
        if room is not None and needed > room:
            raise ValueError(
                f"The prompt ({len(reading.ids)} tokens) and an answer of up to {limit} need {needed} positions, the model has "
                f"{room}: shorten the prompt or lower max_new_tokens (nothing is truncated)."
            )
        return len(reading.ids)

    def _original(self, response: Response, reading: Reading) -> Answer:
        if not response.text:
            raise ValueError("There is no text in the original answer: give a target with some, to compare responses with.")
        self._engine.originals.append((response, reading))
        return Answer((len(self._engine.originals) - 1,), (0,), (response.text,))

    def _decoded(self, settings: Mapping[str, Any]) -> Decoding:
        padding = next((token for token in (self.tokenizer.pad_token_id, self.tokenizer.eos_token_id) if token is not None), 0)
        return Decoding.of(self.model, settings, padding, self._seed)
