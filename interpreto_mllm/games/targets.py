"""Targets: what the attribution is of. From what a user gives to the ids whose values are asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor, stack


@dataclass(frozen=True)
class Contrast:
    """Why this and not that: the target's value minus the foil's (in LOG_SOFTMAX, the difference of their log-probabilities).

    Args:
        target: a text, ids, or a class.
        foil: likewise.

    Example:
        >>> Contrast(" Paris", " London").foil
        ' London'
    """

    target: Any
    foil: Any


@dataclass(frozen=True)
class Answer:
    """A sequence of ids that the model is asked to score; `scored` are the positions in it that count, with their texts."""

    ids: tuple[int, ...]
    scored: tuple[int, ...]
    texts: tuple[str, ...]

    def values(self, raw: Float[Tensor, "p _"]) -> Float[Tensor, "p t"]:
        """The columns that count."""
        return raw[:, list(self.scored)]


@dataclass(frozen=True)
class Question:
    """All that is asked about one input: answers to score, and how their values become the columns of the game.

    Args:
        answers: what is scored.
        columns: an index of `answers` for a column per id, or a pair (target, foil) of them for one column of the difference.
        unit: what a column is: "token", "class", "contrast", or "value" where they are mixed.
        product: whether the values of an answer's tokens multiply (probabilities) rather than add up.
    """

    answers: tuple[Answer, ...]
    columns: tuple[int | tuple[int, int], ...]
    unit: str
    product: bool

    @property
    def labels(self) -> list[str]:
        """One text per column."""
        labels: list[str] = []
        for column in self.columns:
            if isinstance(column, tuple):
                labels.append(" − ".join("".join(self.answers[index].texts).strip() for index in column))
            else:
                labels += self.answers[column].texts
        return labels

    def values(self, raw: Sequence[Float[Tensor, "p _"]]) -> Float[Tensor, "p t"]:
        """The game's columns from the raw values of each answer's ids."""
        columns: list[Tensor] = []
        for column in self.columns:
            if isinstance(column, tuple):
                target, foil = (self._whole(self.answers[index].values(raw[index])) for index in column)
                columns.append(target - foil)
            else:
                columns += self.answers[column].values(raw[column]).unbind(1)
        return stack(columns, dim=1)

    def _whole(self, values: Float[Tensor, "p t"]) -> Float[Tensor, "p"]:
        return values.prod(1) if self.product else values.sum(1)


def pose(given: Sequence[Any], answer: Any, unit: str, product: bool) -> Question:
    """The question for one input's targets; `answer` turns a single one (text, ids, class) into an `Answer`."""
    answers: list[Answer] = []
    columns: list[int | tuple[int, int]] = []
    for target in given:
        parts = (target.target, target.foil) if isinstance(target, Contrast) else (target,)
        answers += [answer(part) for part in parts]
        columns.append((len(answers) - 2, len(answers) - 1) if isinstance(target, Contrast) else len(answers) - 1)
    kinds = {"contrast" if isinstance(column, tuple) else unit for column in columns}
    return Question(tuple(answers), tuple(columns), kinds.pop() if len(kinds) == 1 else "value", product)


def is_ids(target: Any) -> bool:
    """Whether this is one sequence of token ids: a non-empty list or tuple of ints, or a tensor or array of one dimension."""
    if hasattr(target, "ndim"):
        return target.ndim == 1
    return isinstance(target, (list, tuple)) and bool(target) and all(_is_int(item) for item in target)


def per_input(targets: Any, count: int, single: bool, ids_are_one: bool) -> list[list[Any] | None]:
    """The targets of each input: None where the model is to answer itself.

    Args:
        targets: what the caller gave.
        count: number of inputs.
        single: whether the caller gave one input, not a list; a list of targets is then all that input's.
        ids_are_one: whether a list of ints is one target (token ids) rather than several (classes).

    Raises:
        ValueError: for an empty list, or one that does not match the inputs.
    """
    if targets is None:
        return [None] * count
    if not isinstance(targets, (list, tuple)) or (ids_are_one and is_ids(targets)):
        return [[targets]] * count
    if not targets:
        raise ValueError("targets is empty: give a target, one per input, or None to let the model answer.")
    if single:
        return [list(targets)]
    if len(targets) != count:
        raise ValueError(f"{count} inputs but {len(targets)} targets: give one target (or one list of targets) per input.")
    return [list(t) if isinstance(t, (list, tuple)) and not (ids_are_one and is_ids(t)) else [t] for t in targets]


def _is_int(item: Any) -> bool:
    return isinstance(item, int) and not isinstance(item, bool)
