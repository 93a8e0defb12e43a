"""Interactions: what pairs of features are worth together beyond what they are worth apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from jaxtyping import Float
from torch import Tensor

from interpreto_mllm.aggregators.interactions import interactions
from interpreto_mllm.core.feature import Feature
from interpreto_mllm.results.gradients import check_coalitions
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


@dataclass(frozen=True)
class Pair:
    """Two features, and what they are worth together beyond what they are worth apart.

    Example:
        >>> print(Pair(0, 4, ("circle", "row 1, column 2"), 0.5, 0.02))
        circle × row 1, column 2  +0.5 ± 0.02
    """

    first: int
    second: int
    names: tuple[str, str]
    value: float
    standard_error: float | None

    def __str__(self) -> str:
        error = f" ± {self.standard_error:.2g}" if self.standard_error is not None and self.standard_error > 0 else ""
        return f"{' × '.join(self.names)}  {self.value:+.3g}{error}"


@dataclass(frozen=True, eq=False)
class PairValues:
    """What every pair of features is worth together beyond what they are worth apart, for each target.

    Positive: together worth more than apart (they need each other). Negative: less (they say the same).

    Args:
        values: symmetric, zeros on the diagonal.
        standard_errors: of the same shape, zeros where all coalitions are known; None where the evaluations are too few to
            determine them: then only the order of the strongest pairs can be trusted, and their values are too small.
        features: the players.
        targets: one label per matrix.
        index: one of `core.indices.INDICES`.
    """

    values: Float[Tensor, "t n n"]
    standard_errors: Float[Tensor, "t n n"] | None
    features: list[Feature]
    targets: list[str]
    index: str

    @property
    def n(self) -> int:
        """Number of features."""
        return len(self.features)

    def matrix(self, target: int = 0) -> Float[Tensor, "n n"]:
        """The interactions of one target.

        Raises:
            ValueError: when there is no such target.
        """
        if not -len(self.targets) <= target < len(self.targets):
            raise ValueError(
                f"There is no target {target}: this result has {len(self.targets)}, numbered 0 to {len(self.targets) - 1}."
            )
        return self.values[target]

    def top(self, k: int = 10, target: int = 0) -> list[Pair]:
        """The k strongest pairs of one target, strongest first.

        Raises:
            ValueError: when there is no such target.
        """
        matrix = self.matrix(target)
        errors = None if self.standard_errors is None else self.standard_errors[target]
        pairs = [(i, j) for i in range(self.n) for j in range(i + 1, self.n)]
        pairs.sort(key=lambda pair: -abs(float(matrix[pair])))
        names = [feature.text.strip() or repr(feature.text) for feature in self.features]
        return [
            Pair(i, j, (names[i], names[j]), float(matrix[i, j]), None if errors is None else float(errors[i, j]))
            for i, j in pairs[:k]
        ]

    def __repr__(self) -> str:
        caution = "; no errors known: trust the order, not the values" if self.standard_errors is None else ""
        if self.standard_errors is not None and not self.standard_errors.any():
            caution = "; exact"
        lines = [f"Interactions: {NAMES[self.index]}, {self.n} features, {len(self.targets)} targets{caution}"]
        for target, label in enumerate(self.targets[:6]):
            lines.append(f"  {label!r}:  " + ",  ".join(map(str, self.top(4, target))))
        return "\n".join(lines)


Pairs = TypeVar("Pairs", bound=PairValues)


def pair_values(record: Record, order: int, index: str, result: type[Pairs]) -> Pairs:
    """The interactions in a result's stored evaluations, as a `result`; no model call.

    Raises:
        ValueError: for another order than 2, or evaluations that do not determine them.
    """
    if order != 2:
        raise ValueError(f"Interactions are of order 2, pairs of features; got order={order!r}. (Order 1 is the attribution.)")
    check_coalitions(record, "interactions()")
    estimate = interactions(record.evaluations, index)
    return result(estimate.interactions, estimate.standard_errors, record.features, record.targets, index)
