"""Interactions: what sets of features are worth together beyond what they are worth apart."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from itertools import permutations
from math import comb
from typing import Any, TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interpreto_mllm.aggregators.set_interactions import MOST_BYTES, check_request, set_interactions
from interpreto_mllm.core.feature import Feature
from interpreto_mllm.core.renamed import renamed
from interpreto_mllm.results.gradients import check_coalitions
from interpreto_mllm.results.groups import group_members
from interpreto_mllm.results.intervals import normal_quantile
from interpreto_mllm.results.record import Record

NAMES = {
    "SII": "Shapley interaction index",
    "k-SII": "k-Shapley values",
    "FSII": "faithful Shapley interaction index",
    "STII": "Shapley–Taylor interaction index",
    "BII": "Banzhaf interaction index",
    "FBII": "faithful Banzhaf interaction index",
    "Möbius": "Möbius coefficients",
}
SETS = {2: "pair", 3: "triple"}
"""What a set of so many features is called."""

Group = str | Collection[int] | Callable[[Feature], bool]
"""Features by modality, role or name, by index, or by what a callable says of them."""


@dataclass(frozen=True)
class Interaction:
    """Two or three features, and what they are worth together beyond what they are worth apart.

    Example:
        >>> print(Interaction((0, 4), ("circle", "row 1, column 2"), 0.5, 0.02))
        circle × row 1, column 2  +0.5 ± 0.02
    """

    members: tuple[int, ...]
    names: tuple[str, ...]
    value: float
    standard_error: float | None

    @property
    def first(self) -> int:
        """The first feature."""
        return self.members[0]

    @property
    def second(self) -> int:
        """The second feature."""
        return self.members[1]

    @property
    def number(self) -> str:
        """The value with its standard error."""
        error = f" ± {self.standard_error:.2g}" if self.standard_error is not None and self.standard_error > 0 else ""
        return f"{self.value:+.3g}{error}"

    def __str__(self) -> str:
        return f"{' × '.join(self.names)}  {self.number}"


Kept = TypeVar("Kept", bound="SetValues")


@dataclass(frozen=True, eq=False)
class SetValues:
    """What sets of features are worth together beyond what they are worth apart, for each target.

    Positive: together worth more than apart (they need each other). Negative: less (they say the same).

    Args:
        sets: the features of each set, ascending: all pairs or triples, the strongest, or those of a block.
        scores: of each set.
        errors: standard errors of the same shape, zeros where all coalitions are known; None where the evaluations are too few
            to determine them: then only the order of the strongest sets can be trusted, and their values are too small.
        features: the players.
        targets: one label per row.
        index: one of `core.indices.INDICES`.
        blocks: the groups of features that the sets lie across, see `between`; none for sets of all features.
    """

    sets: Int[Tensor, "sets order"]
    scores: Float[Tensor, "t sets"]
    errors: Float[Tensor, "t sets"] | None
    features: list[Feature]
    targets: list[str]
    index: str
    blocks: tuple[tuple[int, ...], ...] = ()

    @property
    def n(self) -> int:
        """Number of features."""
        return len(self.features)

    @property
    def order(self) -> int:
        """Features in a set: 2 or 3."""
        return self.sets.shape[1]

    @property
    def exact(self) -> bool:
        """Whether nothing was estimated."""
        return self.errors is not None and not bool(self.errors.any())

    @property
    def values(self) -> Float[Tensor, "t *n"]:
        """All as symmetric arrays, `t n n` for pairs and `t n n n` for triples.

        There are zeros where a feature would meet itself, and NaN for sets that are not here.

        Raises:
            ValueError: for arrays that are too large.
        """
        return self._array(self.scores)

    @property
    def standard_errors(self) -> Float[Tensor, "t *n"] | None:
        """The standard errors, arranged as `values`."""
        return None if self.errors is None else self._array(self.errors)

    def matrix(self, target: int = 0) -> Float[Tensor, "*n"]:
        """The array of one target.

        Raises:
            ValueError: when there is no such target, or the array is too large.
        """
        self.require_target(target)
        return self._array(self.scores[target][None])[0]

    def top(self, k: int = 10, target: int = 0) -> list[Interaction]:
        """The k strongest of one target, strongest first.

        Raises:
            ValueError: when there is no such target.
        """
        self.require_target(target)
        scores = self.scores[target]
        rows = scores.abs().argsort(descending=True, stable=True)[:k].tolist()
        return [self.interaction(row, target) for row in rows]

    def interaction(self, row: int, target: int = 0) -> Interaction:
        """One row of `sets`, with what belongs to it."""
        members = tuple(self.sets[row].tolist())
        names = tuple(self.features[member].text.strip() or repr(self.features[member].text) for member in members)
        error = None if self.errors is None else float(self.errors[target, row])
        return Interaction(members, names, float(self.scores[target, row]), error)

    def interval(self, level: float = 0.95) -> tuple[Float[Tensor, "t sets"], Float[Tensor, "t sets"]]:
        """Lower and upper ends of the confidence intervals of the scores, from their standard errors and the normal quantile.

        Raises:
            ValueError: for a level outside (0, 1), or where no standard errors are known.
        """
        quantile = normal_quantile(level)
        if self.errors is None:
            raise ValueError(
                "These interactions have no standard errors, so there are no intervals: explain with GaussianProcessShapley or "
                "KernelShap, whose coalitions show how far off they are."
            )
        return self.scores - quantile * self.errors, self.scores + quantile * self.errors

    def between(self: Kept, *groups: Group) -> Kept:
        """The block of the sets that lie across groups of features: with a feature of each, and none outside them.

        Args:
            groups: two groups, or as many as a set has features: the name of a modality ("text", "image", "audio"), of a role
                or of a source, indices of features, or a callable from a feature to whether it belongs.

        Raises:
            ValueError: for groups that are empty, unknown, not apart from one another, or too few or too many.
        """
        if not 2 <= len(groups) <= self.order:
            accepted = "two groups" if self.order == 2 else "two or three groups"
            raise ValueError(f"between() takes {accepted} of features for {SETS[self.order]}s; got {len(groups)}.")
        blocks = tuple(group_members(self.features, group) for group in groups)
        side = torch.full((self.n,), -1)
        for number, block in enumerate(blocks):
            for member in block:
                if side[member] >= 0:
                    raise ValueError(f"Groups must not share features, and {self.features[member].text!r} is in two of them.")
                side[member] = number
        of = side[self.sets]
        across = (of >= 0).all(1) & torch.stack([(of == number).any(1) for number in range(len(blocks))]).all(0)
        rows = across.nonzero()[:, 0]
        errors = None if self.errors is None else self.errors[:, rows]
        return replace(self, sets=self.sets[rows], scores=self.scores[:, rows], errors=errors, blocks=blocks)

    @property
    def total(self) -> Float[Tensor, "t"]:
        """The sum over all sets here: of a block, what its groups are worth together beyond what they are worth apart."""
        return self.scores.sum(1)

    @property
    def strength(self) -> Float[Tensor, "t"]:
        """The sum of the absolute values; that of a block over that of all is the share of the block."""
        return self.scores.abs().sum(1)

    def require_target(self, target: int) -> None:
        """Raises ValueError when there is no such target."""
        if not -len(self.targets) <= target < len(self.targets):
            raise ValueError(
                f"There is no target {target}: this result has {len(self.targets)}, numbered 0 to {len(self.targets) - 1}."
            )

    def _array(self, scores: Float[Tensor, "t sets"]) -> Float[Tensor, "t *n"]:
        size = 8 * len(scores) * self.n**self.order
        if size > MOST_BYTES:
            raise ValueError(
                f"The array of the {SETS[self.order]}s of {self.n:,} features for {len(scores):,} targets takes "
                f"{size / 1e9:,.1f} GB: take `scores`, with one column for each row of `sets`, or matrix(target) of one target."
            )
        array = torch.full((len(scores), *[self.n] * self.order), torch.nan, dtype=torch.float64)
        if self.order == 2:
            array.diagonal(dim1=1, dim2=2).zero_()
        else:
            for one, other in ((1, 2), (1, 3), (2, 3)):
                array.diagonal(dim1=one, dim2=other).zero_()
        for places in permutations(self.sets.unbind(1)):
            array[(slice(None), *places)] = scores
        return array

    def __repr__(self) -> str:
        name = SETS[self.order]
        count, possible = len(self.sets), comb(self.n, self.order)
        some = f"{name}s" if count == possible else f"{count:,} of {possible:,} {name}s"
        caution = "; no errors known: trust the order, not the values" if self.errors is None else ""
        caution = "; exact" if self.exact else caution
        lines = [f"Interactions: {NAMES[self.index]}, {some} of {self.n} features, {len(self.targets)} targets{caution}"]
        for target, label in enumerate(self.targets[:6]):
            lines.append(f"  {label!r}:  " + ",  ".join(map(str, self.top(4, target))))
        return "\n".join(lines)


def set_values(record: Record, order: int, index: str, top: int | None, result: type[Kept]) -> Kept:
    """The interactions in a result's stored evaluations, as a `result`; no model call.

    Raises:
        ValueError: for another order or index, `top` beyond the number of sets, more sets than can be held, or evaluations that
            do not determine them.
    """
    check_coalitions(record, "interactions()")
    check_request(record.n, record.t, order, index, top)
    found = set_interactions(record.evaluations, order, index, top)
    return result(found.sets, found.values, found.standard_errors, record.features, record.targets, index)


def __getattr__(name: str) -> Any:
    """The classes under the names that they had when there were only pairs."""
    return renamed({"Pair": Interaction, "PairValues": SetValues}, __name__, name)
