"""The game in which the model answers again: a coalition is worth the likeness of its answer to the original one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor

from interpreto_mllm.engine.query import Query, Scored
from interpreto_mllm.evaluations import Evaluations
from interpreto_mllm.games.game import ModelGame
from interpreto_mllm.games.voices import Voice
from interpreto_mllm.prompts.occlusion import Reading
from interpreto_mllm.responses import Response, Responses
from interpreto_mllm.similarity.response_similarity import Comparison, ResponseSimilarity


class ResponseEngine:
    """Lets the model answer and compares; `Query.target` holds the index of the original answer that is compared with.

    What was said to a reading is remembered until `forget`, so that nothing is answered twice.

    Args:
        voice: gives the answers.
        similarity: what an answer is worth, bound to the model.
    """

    def __init__(self, voice: Voice, similarity: ResponseSimilarity):
        self.voice, self.similarity = voice, similarity
        self.originals: list[tuple[Response, Reading]] = []
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
        self.comparison = Comparison(self.similarity)

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
