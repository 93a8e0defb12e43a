"""Scores added up over what features have in common: their source, message, role, modality, trust or part."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from interpreto_mllm.aggregators.aggregate import aggregate
from interpreto_mllm.aggregators.sums import Sums
from interpreto_mllm.core.feature import Feature
from interpreto_mllm.core.shown import shown
from interpreto_mllm.results.record import Record
from interpreto_mllm.results.whole import whole_answer

TRUST = {True: "trusted", False: "untrusted", None: None}

KEYS: dict[str, Callable[[Feature], Hashable]] = {
    "source": lambda feature: feature.source,
    "turn": lambda feature: feature.turn,
    "role": lambda feature: feature.role,
    "modality": lambda feature: feature.modality,
    "trust": lambda feature: TRUST[feature.trusted],
    "part": lambda feature: feature.part,
}

LACKING = {
    "source": "no feature has a source: tools, tool results and documents of a chat are some, and so are those of "
    "granularity=Sources(...)",
    "turn": "it is no chat, so its features are of no message",
    "role": "it is no chat, so its features have no role",
    "trust": 'nothing of it is marked: give messages or documents "trusted": True or False',
    "part": "its messages have no parts, such as thoughts",
}
"""Why there is nothing to fold by."""

ROUNDING = 1e-9
"""Share of the largest value up to which the sum of all scores is v(N) − v(∅)."""

Errors = Callable[[Float[Tensor, "n sums"]], "tuple[Float[Tensor, 'sums'], bool] | None"]
"""From whose scores are added to the standard errors of the sums, and whether these are bounds."""


@dataclass(frozen=True, eq=False)
class Folded(Mapping[Hashable, float]):
    """The sums of scores of one target; reads as a mapping from what the features have in common to the sum.

    Args:
        by: what the scores are folded by.
        target: the label of the target, or of the whole answer.
        sums: from each source, turn, … to the sum of the scores of its features; None is what has none. In the order of the
            prompt.
        standard_errors: of the sums; None where those of the scores are not known.
        members: the indices of the features behind each sum.
        bounds: whether the standard errors are upper bounds, the sums of those of the scores, because the covariance of the
            scores is not known.

    Example:
        >>> errors, members = {"user": 0.1, "tool": 0.0}, {"user": (0,), "tool": (1,)}
        >>> folded = Folded("role", "red", {"user": 2.0, "tool": -0.5}, errors, members)
        >>> folded["user"], folded.ranked, folded
        (2.0, ['user', 'tool'], {user: +2 ± 0.1, tool: -0.5})
    """

    by: str
    target: str
    sums: dict[Hashable, float]
    standard_errors: dict[Hashable, float] | None
    members: dict[Hashable, tuple[int, ...]]
    bounds: bool = False

    def __getitem__(self, key: Hashable) -> float:
        return self.sums[key]

    def __iter__(self) -> Iterator[Hashable]:
        return iter(self.sums)

    def __len__(self) -> int:
        return len(self.sums)

    @property
    def ranked(self) -> list[Hashable]:
        """The keys by their sums, the largest first."""
        return sorted(self.sums, key=lambda key: -self.sums[key])

    def interval(self, level: float = 0.95) -> dict[Hashable, tuple[float, float]]:
        """Lower and upper ends of the confidence intervals of the sums.

        Raises:
            ValueError: for a level outside (0, 1), or sums without standard errors.
        """
        if isinstance(level, bool) or not 0 < level < 1:
            raise ValueError(f"level must lie between 0 and 1, such as 0.95; got {level!r}.")
        if self.standard_errors is None:
            raise ValueError("These scores have no standard errors, so there are no intervals: explain with a larger budget.")
        quantile = float(torch.special.ndtri(torch.tensor((1 + level) / 2, dtype=torch.float64)))
        reach = {key: quantile * error for key, error in self.standard_errors.items()}
        return {key: (total - reach[key], total + reach[key]) for key, total in self.sums.items()}

    def name(self, key: Hashable) -> str:
        """What a key is called in texts."""
        return "the rest" if key is None else f"message {key}" if self.by == "turn" else str(key)

    def text(self, key: Hashable) -> str:
        """A sum as text, with its standard error where there is one and the sum is not exact."""
        error = 0.0 if self.standard_errors is None else self.standard_errors[key]
        return f"{self.sums[key]:+.3g}" + ("" if error == 0 else f" {'±≤' if self.bounds else '±'} {error:.2g}")

    def __repr__(self) -> str:
        return "{" + ", ".join(f"{self.name(key)}: {self.text(key)}" for key in self.sums) + "}"


def columns_by(features: Sequence[Feature], by: str) -> dict[Hashable, tuple[int, ...]]:
    """The indices of the features of each source, turn, …, in the order of the prompt."""
    found: dict[Hashable, list[int]] = {}
    for index, feature in enumerate(features):
        found.setdefault(KEYS[by](feature), []).append(index)
    return {key: tuple(members) for key, members in found.items()}


def folded(record: Record, by: str, target: int | None) -> Folded:
    """The scores of one target, or of the whole answer, added up over what the features have in common.

    Raises:
        ValueError: for something else to fold by, which no feature has, no such target, or several that are no one answer.
    """
    if by not in KEYS:
        raise ValueError(f"Scores are folded by {', '.join(map(repr, KEYS))}; got {shown(by)}.")
    members = columns_by(record.features, by)
    if list(members) == [None]:
        raise ValueError(f"This prompt cannot be folded by {by!r}: {LACKING[by]}.")
    row, index = row_of(record, target)
    return _folded(row, index, by, members, _errors(row, index))


def telling_folds(record: Record) -> list[Folded]:
    """Of the first target or the whole answer: all ways of folding that tell something apart which another does not."""
    whole = whole_answer(record)
    row = record if whole is None else whole
    tellings: dict[tuple[tuple[int, ...], ...], tuple[str, dict[Hashable, tuple[int, ...]]]] = {}
    for by in ("source", "part", "trust", "role", "modality"):
        members = columns_by(record.features, by)
        if 1 < len(members) < record.n:
            tellings.setdefault(tuple(sorted(members.values())), (by, members))
    errors = _errors(row, 0) if tellings else None
    return [] if errors is None else [_folded(row, 0, by, members, errors) for by, members in tellings.values()]


def row_of(record: Record, target: int | None) -> tuple[Record, int]:
    """The result and the row in it that are folded."""
    if target is not None:
        record.require_target(target)
        return record, target
    if record.t == 1:
        return record, 0
    whole = whole_answer(record)
    if whole is None:
        raise ValueError(
            f"This result has {record.t} targets that are no single answer: say which, by(..., target=0) for "
            f"{record.targets[0]!r}."
        )
    return whole, 0


def _folded(row: Record, index: int, by: str, members: dict[Hashable, tuple[int, ...]], errors_of: Errors) -> Folded:
    columns = torch.zeros(row.n, len(members), dtype=torch.float64)
    for place, features in enumerate(members.values()):
        columns[list(features), place] = 1
    totals = dict(zip(members, (row.attributions[index].double() @ columns).tolist(), strict=True))
    found = errors_of(columns)
    errors = None if found is None else dict(zip(members, found[0].tolist(), strict=True))
    return Folded(by, row.targets[index], totals, errors, members, found is not None and found[1])


def _errors(row: Record, index: int) -> Errors:
    """What gives the standard errors of sums of the scores of one target."""
    if row.standard_errors is None:
        return lambda columns: None
    own = row.standard_errors[index].double()
    rescaled = _rescaled(row)
    sums = None if not own.any() else sums_of(row)
    gap = float(row.efficiency_gap[index].abs())
    efficient = not rescaled and gap <= ROUNDING * float(row.values[:, index].abs().max())

    def errors(columns: Float[Tensor, "n sums"]) -> tuple[Float[Tensor, "sums"], bool]:
        found = own @ columns if sums is None else sums(columns)[index]
        everything = columns.all(0) & efficient & ~found.isnan()
        alone = columns.sum(0) == 1  # a single score has the error that it has
        found = torch.where(alone, own @ columns, found.masked_fill(everything, 0.0))
        return found, sums is None and bool((found > 0)[~alone].any())

    return errors


def sums_of(row: Record) -> Sums | None:
    """The standard errors of sums that the aggregator gives; None where it gives none, or not of these scores."""
    if _rescaled(row):
        return None
    try:
        estimate = aggregate(row.evaluations, row.aggregator)
    except ValueError:
        return None
    same = estimate.attributions.shape == row.attributions.shape and torch.allclose(
        estimate.attributions.double(), row.attributions.double(), rtol=1e-6, atol=1e-9 * _largest(row)
    )
    return estimate.sums if same and estimate.standard_errors is not None else None


def _rescaled(row: Record) -> bool:
    """Whether the scores are on a scale of their own."""
    return row.normalisation not in ("", "identity")


def _largest(row: Record) -> float:
    largest = float(row.attributions.abs().max())
    return largest if math.isfinite(largest) else 0.0
