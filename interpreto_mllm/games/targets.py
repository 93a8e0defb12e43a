"""Targets: what the attribution is of, and how it is asked about a model input."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from jaxtyping import Float
from torch import Tensor, stack

from interpreto_mllm.core.labels import joined
from interpreto_mllm.core.numbers import is_whole
from interpreto_mllm.engine.queries import Classify, Query, Score
from interpreto_mllm.games.modes import Joint
from interpreto_mllm.prompts.model_input import ModelInput


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


class Target(ABC):
    """What is scored after each model input: it knows how to ask for its values, which of them count, and their labels."""

    @property
    @abstractmethod
    def labels(self) -> tuple[str, ...]:
        """One text for each value that counts."""

    @property
    @abstractmethod
    def length(self) -> int:
        """How many values a scorer gives for it."""

    @property
    @abstractmethod
    def content(self) -> tuple[Any, ...]:
        """Plain values that are equal exactly for equal targets."""

    @abstractmethod
    def query(self, input: ModelInput) -> Query:
        """The query for its values after this input."""

    def values(self, scored: Float[Tensor, "b l"]) -> Float[Tensor, "b t"]:
        """The values that count, of those that a scorer gave."""
        return scored


class LabelledTarget(Target):
    """A target that is made with a text for each value that counts."""

    texts: tuple[str, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        return self.texts


@dataclass(frozen=True)
class TokenTarget(LabelledTarget):
    """Token ids of an answer.

    Args:
        ids: all tokens.
        scored: the positions among them whose values count.
        texts: their labels.
        start: the token with which an encoder-decoder starts the answer, where it is not the model's own.
    """

    ids: tuple[int, ...]
    scored: tuple[int, ...]
    texts: tuple[str, ...]
    start: int | None = None

    @property
    def length(self) -> int:
        return len(self.ids)

    @property
    def content(self) -> tuple[Any, ...]:
        return (self.ids, self.scored) if self.start is None else (self.ids, self.scored, self.start)

    def query(self, input: ModelInput) -> Score:
        return Score(input, self.ids, self.start)

    def values(self, scored: Float[Tensor, "b l"]) -> Float[Tensor, "b t"]:
        return scored[:, list(self.scored)]


@dataclass(frozen=True)
class ClassTarget(Target):
    """A class of a classifier, by its index."""

    index: int
    name: str

    @property
    def labels(self) -> tuple[str, ...]:
        return (self.name,)

    @property
    def length(self) -> int:
        return 1

    @property
    def content(self) -> tuple[Any, ...]:
        return self.index, self.name

    def query(self, input: ModelInput) -> Classify:
        return Classify(input, (self.index,))


Kind = TypeVar("Kind", bound=Target, covariant=True)
Made = TypeVar("Made", bound=Target)


@dataclass(frozen=True)
class Question(Generic[Kind]):
    """All that is asked about one input: targets, and how their values become the columns of the game.

    Args:
        targets: what is scored.
        columns: an index of `targets` for a column per value, or a pair of them (target, foil) for one column, the difference.
        unit: what a column is: "token", "class", "response", "contrast", or "value" where they are mixed.
        joint: what the values of a target's tokens are worth together.
        notes: what the reader of a result must know about the targets.
        whole: from the values of a target's tokens to that of all of them, where a target has one column.
    """

    targets: tuple[Kind, ...]
    columns: tuple[int | tuple[int, int], ...]
    unit: str
    joint: Joint
    notes: tuple[str, ...] = ()
    whole: Callable[[Float[Tensor, "p t"]], Float[Tensor, "p"]] | None = None

    @property
    def labels(self) -> list[str]:
        """One text per column."""
        names: list[str] = []
        for column in self.columns:
            if isinstance(column, tuple):
                names.append(" − ".join(joined(self.targets[index].labels).strip() for index in column))
            else:
                own = self.targets[column].labels
                names += own if self.whole is None else [joined(own)]
        return names

    def values(self, scored: Sequence[Float[Tensor, "p _"]]) -> Float[Tensor, "p t"]:
        """The game's columns from what a scorer gave for each target."""
        columns: list[Tensor] = []
        for column in self.columns:
            if isinstance(column, tuple):
                target, foil = (self.joint(self.targets[index].values(scored[index])) for index in column)
                columns.append(target - foil)
            else:
                values = self.targets[column].values(scored[column])
                columns += values.unbind(1) if self.whole is None else [self.whole(values)]
        return stack(columns, dim=1)

    @property
    def widths(self) -> list[int]:
        """How many columns of the game are of each target or contrast."""
        if self.whole is not None:
            return [1] * len(self.columns)
        return [1 if isinstance(column, tuple) else len(self.targets[column].labels) for column in self.columns]

    @property
    def answer_labels(self) -> list[str]:
        """One text for each target and each contrast."""
        names, start = [], 0
        for width in self.widths:
            names.append(joined(self.labels[start : start + width]))
            start += width
        return names

    def of_answers(self, columns: Float[Tensor, "p t"]) -> Float[Tensor, "p answers"]:
        """One column for each target and each contrast, from those of the game: the tokens of an answer as one.

        Example:
            >>> import torch
            >>> answer = TokenTarget((7, 8), (0, 1), ("a", "b"))
            >>> Question((answer,), (0,), "token", Joint.SUM).of_answers(torch.tensor([[-1.0, -2.0]])).tolist()
            [[-3.0]]
        """
        if self.whole is not None:
            return columns
        return stack([self.joint(part) for part in columns.split(self.widths, 1)], dim=1)


def pose(given: Sequence[Any], make: Callable[[Any], Made], unit: str, joint: Joint) -> Question[Made]:
    """The question for one input's targets; `make` turns a single one (text, ids, class) into a `Target`, equal texts once."""
    of_text: dict[str, Made] = {}

    def made(part: Any) -> Made:
        if not isinstance(part, str):
            return make(part)
        if part not in of_text:
            of_text[part] = make(part)
        return of_text[part]

    targets: list[Made] = []
    columns: list[int | tuple[int, int]] = []
    for target in given:
        parts = (target.target, target.foil) if isinstance(target, Contrast) else (target,)
        targets += [made(part) for part in parts]
        columns.append((len(targets) - 2, len(targets) - 1) if isinstance(target, Contrast) else len(targets) - 1)
    units = {"contrast" if isinstance(column, tuple) else unit for column in columns}
    return Question(tuple(targets), tuple(columns), units.pop() if len(units) == 1 else "value", joint)


def is_ids(target: Any) -> bool:
    """Whether this is one sequence of token ids: a non-empty list or tuple of ints, or a tensor or array of one dimension."""
    items = _as_lists(target)
    if not isinstance(items, (list, tuple)) or not (items or hasattr(target, "ndim")):
        return False
    return all(is_whole(_as_lists(item)) for item in items)


def per_input(targets: Any, count: int, single: bool, ids_are_one: bool) -> list[list[Any] | None]:
    """The targets of each input: None where the model is to answer itself.

    Args:
        targets: what the caller gave; tensors and arrays are read as the lists that they hold.
        count: number of inputs.
        single: whether the caller gave one input, not a list; a list of targets is then all that input's.
        ids_are_one: whether a list of ints is one target (token ids) rather than several (classes).

    Raises:
        ValueError: for an empty list, or one that does not match the inputs.
    """
    if targets is None:
        return [None] * count
    if ids_are_one and is_ids(targets):
        return [[targets]] * count
    targets = _as_lists(targets)
    if not isinstance(targets, (list, tuple)):
        return [[targets]] * count
    if not targets:
        raise ValueError("targets is empty: give a target, one per input, or None to let the model answer.")
    if single:
        return [list(targets)]
    if len(targets) != count:
        raise ValueError(f"{count} inputs but {len(targets)} targets: give one target (or one list of targets) per input.")
    rows = [_as_lists(target) for target in targets]
    return [list(row) if isinstance(row, (list, tuple)) and not (ids_are_one and is_ids(row)) else [row] for row in rows]


def _as_lists(given: Any) -> Any:
    """A tensor or an array as (nested) lists, or as a number where it has no dimensions; anything else as it is."""
    return given.tolist() if hasattr(given, "ndim") and hasattr(given, "tolist") else given
