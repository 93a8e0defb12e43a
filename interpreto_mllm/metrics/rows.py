"""Results as metrics read them: one row for the answer, or one for each class."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from jaxtyping import Float
from torch import Tensor

from interpreto_mllm.games.modes import Joint
from interpreto_mllm.results.record import Record
from interpreto_mllm.results.whole import whole_answer


class NotApplicable(ValueError):
    """A metric says nothing of such a result, or lacks what it needs."""


def rows_of(record: Record) -> list[Record]:
    """A result of one row for each answer or class; the tokens of an answer are one, where they can be joined."""
    whole = whole_answer(record) or record
    if whole.t == 1:
        return [whole]
    return [_row(whole, index) for index in range(whole.t)]


def _row(record: Record, index: int) -> Record:
    """One row of a result."""
    kept = slice(index, index + 1)
    errors = None if record.standard_errors is None else record.standard_errors[kept]
    evaluations = record.evaluations
    repeats = None if evaluations.repeats is None else evaluations.repeats[..., kept]
    evaluations = replace(evaluations, values=evaluations.values[:, kept], repeats=repeats)
    return replace(
        record,
        attributions=record.attributions[kept],
        standard_errors=errors,
        targets=record.targets[kept],
        evaluations=evaluations,
    )


def column_of(record: Record, index: int, values: Float[Tensor, "p t"]) -> Float[Tensor, "p"]:
    """The values of one of `rows_of` a result, of those of its game.

    Raises:
        ValueError: for a game of another number of targets.
    """
    columns, answers = values.shape[1], record.evaluations.answers
    if record.evaluations.tokens is not None and answers is not None and int(answers.sum()) == columns:
        return Joint.of(record.mode)(values.split(answers.tolist(), 1)[index])
    joined = record.unit == "token" and columns > 1
    if joined and (record.t == 1 or (columns == record.t and whole_answer(record) is not None)):
        return Joint.of(record.mode)(values)
    if columns != record.t:
        raise ValueError(
            f"The game has {columns} targets, and the result {record.t}: give the game of the same prompt and target."
        )
    return values[:, index]


def mean_over(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    """The mean of each number over the rows.

    Example:
        >>> mean_over([{"gini": 0.25}, {"gini": 0.75}])
        {'gini': 0.5}
    """
    return {name: math.fsum(row[name] for row in rows) / len(rows) for name in rows[0]}
