"""The game on a model: coalitions of a prompt's features, worth what the model thinks of the targets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from interpreto_mllm.core.counts import Counts
from interpreto_mllm.core.evaluations import Evaluations
from interpreto_mllm.core.feature import Feature
from interpreto_mllm.engine.queries import Engine, Query
from interpreto_mllm.games.targets import Question
from interpreto_mllm.prompts.model_input import ModelInput
from interpreto_mllm.prompts.prompt import Prompt


@dataclass(frozen=True, eq=False)
class ModelGame:
    """A prompt, what is asked about it, and the engine that answers. A pure function of the coalition.

    Args:
        prompt: the features and what the model reads without some of them.
        question: the targets.
        engine: scores readings under the model.
        anchor: id that stands in where nothing at all is left to read (None: an error says so).
        lent: borrows the model when the game is called by itself.
    """

    prompt: Prompt
    question: Question
    engine: Engine
    anchor: int | None = None
    lent: Callable[[], AbstractContextManager[None]] = nullcontext

    @property
    def features(self) -> list[Feature]:
        """The players."""
        return self.prompt.features

    @property
    def n(self) -> int:
        """Number of players."""
        return len(self.prompt.features)

    def __call__(self, coalitions: Bool[Tensor, "p n"]) -> Float[Tensor, "p t"]:
        """The values of coalitions, in their order."""
        values: Tensor | None = None
        with self.lent():
            for _, rows, some in evaluate([self], [coalitions]):
                values = torch.empty(len(coalitions), some.shape[1], dtype=some.dtype) if values is None else values
                values[rows] = some
        if values is None:
            raise ValueError("There are no coalitions to evaluate.")
        return values

    def queries(self, coalitions: Bool[Tensor, "p n"]) -> list[list[Query]]:
        """For each coalition the queries that make up its value, the readings of an answer side by side."""
        rows = [[anchored(reading, self.anchor) for reading in readings] for readings in self.prompt.inputs_for(coalitions)]
        return [[Query(reading, answer.ids) for answer in self.question.answers for reading in readings] for readings in rows]

    def values(self, raw: Sequence[Sequence[Float[Tensor, "_"]]]) -> Float[Tensor, "p t"]:
        """Values of coalitions from the raw values of their queries, as `queries` lists them."""
        answers = self.question.answers
        each = len(raw[0]) // len(answers)
        by_answer = []
        for index, answer in enumerate(answers):
            mine = [query[: len(answer.ids)] for row in raw for query in row[index * each : (index + 1) * each]]
            by_answer.append(torch.stack(mine))
        return self.question.values(by_answer).reshape(len(raw), each, -1).mean(1)

    def known(self, evaluations: Evaluations) -> Evaluations:
        """What an earlier play of this game is worth to this one."""
        return evaluations

    def completed(self, evaluations: Evaluations) -> Evaluations:
        """Evaluations with whatever else is known of them."""
        return evaluations

    def counted(self, counts: Counts) -> Counts:
        """What a play has cost, with what this game alone knows of it."""
        return counts

    @property
    def notes(self) -> tuple[str, ...]:
        """What the reader of a result must know of the game."""
        return ()


def anchored(reading: ModelInput, anchor: int | None) -> ModelInput:
    """The reading, or the anchor where nothing is left to read.

    Raises:
        ValueError: where there is no anchor either.
    """
    if len(reading.ids) or reading.media:
        return reading
    if anchor is None:
        raise ValueError(
            "With every feature absent the prompt is empty and this tokenizer has no BOS or EOS token to stand in: "
            "pin a feature, or use Replace(...) or Attend() as the occlusion."
        )
    return ModelInput(np.asarray([anchor], dtype=np.int64))


def evaluate(
    games: Sequence[ModelGame], coalitions: Sequence[Bool[Tensor, "_ _"]]
) -> Iterator[tuple[int, list[int], Float[Tensor, "_ _"]]]:
    """Evaluate coalitions of several games on one model together; equal queries are asked once.

    Yields:
        (index of the game, indices of its coalitions, their values) as soon as a batch completes them, so that an interrupted
        run keeps what it has paid for.

    Raises:
        ValueError: when the model gives values that are not finite.
    """
    owed: dict[tuple[int, int], list[int]] = {}
    waiting: dict[int, list[tuple[int, int]]] = {}
    unique: dict[tuple, int] = {}
    queries: list[Query] = []
    for g, (game, rows) in enumerate(zip(games, coalitions, strict=True)):
        for c, asked in enumerate(game.queries(rows)):
            indices = []
            for query in asked:
                index = unique.setdefault(query.key, len(queries))
                if index == len(queries):
                    queries.append(query)
                indices.append(index)
            owed[g, c] = indices
            for index in set(indices):
                waiting.setdefault(index, []).append((g, c))
    missing = {place: len(set(indices)) for place, indices in owed.items()}
    known: dict[int, Tensor] = {}
    engine = games[0].engine
    for indices, values in engine.score(queries):
        done: dict[int, list[int]] = {}
        for index, row in zip(indices, values, strict=True):
            known[index] = row
            for place in waiting[index]:
                missing[place] -= 1
                if not missing[place]:
                    done.setdefault(place[0], []).append(place[1])
        for g, completed in done.items():
            result = games[g].values([[known[index] for index in owed[g, c]] for c in completed])
            if not result.isfinite().all():
                raise ValueError(
                    "The model gave values that are not finite (NaN or infinite) for some coalition. Check the model on this "
                    "prompt; in half precision, try bfloat16 or float32."
                )
            yield g, completed, result
