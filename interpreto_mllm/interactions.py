"""Interactions: what pairs of features are worth together beyond what they are worth apart."""

from __future__ import annotations

import math
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any

from jaxtyping import Float
from torch import Tensor

from interpreto_mllm.aggregators.pairs import interactions
from interpreto_mllm.feature import Feature

if TYPE_CHECKING:
    import pandas

    from interpreto_mllm.attribution import Attribution

NAMES = {
    "SII": "Shapley interaction index",
    "FSII": "faithful Shapley interaction index",
    "STII": "Shapley–Taylor interaction index",
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
        error = f" ± {self.standard_error:.2g}" if self.standard_error else ""
        return f"{' × '.join(self.names)}  {self.value:+.3g}{error}"


@dataclass(frozen=True, eq=False)
class Interactions:
    """What every pair of features is worth together beyond what they are worth apart, for each target.

    Positive: together worth more than apart (they need each other). Negative: less (they say the same).

    Args:
        values: symmetric, zeros on the diagonal.
        standard_errors: of the same shape; None where the evaluations are too few to tell them: then only the order of the
            strongest pairs can be trusted, their values are too small.
        features: the players.
        targets: one label per matrix.
        index: "SII", "FSII" or "STII".

    Example:
        >>> from interpreto_mllm import ExactShapley
        >>> from interpreto_mllm.testbed import load_recall
        >>> explainer = ExactShapley(*load_recall(), pinned=[".", "the", "is"])
        >>> [explanation] = explainer("the apple is red . what is the apple ?", "red")
        >>> for pair in explanation.interactions().top(2):
        ...     print(pair)
        apple × red  +...
        apple × apple  +...
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

    def to_frame(self) -> pandas.DataFrame:
        """A pandas frame with one line per target and pair.

        Raises:
            ImportError: without pandas.
        """
        try:
            import pandas
        except ImportError as error:
            raise ImportError("to_frame() needs pandas: pip install interpreto_mllm[frame]") from error
        return pandas.DataFrame(
            [
                {
                    "target_index": target,
                    "target": self.targets[target],
                    "first_index": pair.first,
                    "second_index": pair.second,
                    "first": self.features[pair.first].text,
                    "second": self.features[pair.second].text,
                    "interaction": pair.value,
                    "standard_error": math.nan if pair.standard_error is None else pair.standard_error,
                }
                for target in range(len(self.targets))
                for pair in sorted(self.top(self.n**2, target), key=lambda pair: (pair.first, pair.second))
            ]
        )

    def plot(
        self,
        path: str | PathLike[str] | None = None,
        target: int = 0,
        kind: str = "matrix",
        top: int = 20,
    ) -> Any:
        """A matplotlib figure: "matrix", or "network" of the `top` strongest pairs over the sentence and the image.

        Raises:
            ImportError: without matplotlib.
            ValueError: when there is no such target or kind of plot.
        """
        from interpreto_mllm.plots.interactions import figure

        return figure(self, path, target, kind, top)

    def __repr__(self) -> str:
        told = "" if self.standard_errors is not None else "; too few evaluations for errors: trust the order, not the values"
        lines = [f"Interactions: {NAMES[self.index]}, {self.n} features, {len(self.targets)} targets{told}"]
        for target, label in enumerate(self.targets[:6]):
            lines.append(f"  {label!r}:  " + ",  ".join(map(str, self.top(4, target))))
        return "\n".join(lines)


def read(attribution: Attribution, order: int, index: str) -> Interactions:
    """The interactions in a result's stored evaluations; no model call.

    Raises:
        ValueError: for another order than 2, or evaluations that cannot tell.
    """
    if order != 2:
        raise ValueError(f"Interactions are of order 2, pairs of features; got order={order!r}. (Order 1 is the attribution.)")
    estimate = interactions(attribution.evaluations, index)
    return Interactions(estimate.interactions, estimate.standard_errors, attribution.features, attribution.targets, index)
