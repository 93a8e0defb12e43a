"""Whether methods differ over a data set: paired bootstrap intervals, Wilcoxon's test, Friedman's, and critical differences.

Demšar, "Statistical comparisons of classifiers over multiple data sets", JMLR 2006; cliques by Wilcoxon's test with Holm's
correction after Benavoli, Corani, Mangili, "Should we really use post-hoc tests based on mean-ranks?", JMLR 2016.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from interpreto_mllm.core.optional import optional
from interpreto_mllm.metrics.metric import Direction

RESAMPLES = 4999
MOST_SIGNS = 13
"""Prompts whose signs are enumerated; of more, scipy's test is exact without ties, and the normal approximation with them."""
Cliques = Literal["wilcoxon", "nemenyi"]


@dataclass(frozen=True)
class PairedDifference:
    """How two methods differ on the same prompts.

    Args:
        first, second: their names.
        difference: the mean of first − second.
        low, high: the ends of its bootstrap interval.
        p_value: of Wilcoxon's signed-rank test, two-sided.
        adjusted: the p-value after Holm's correction for all pairs.
    """

    first: str
    second: str
    difference: float
    low: float
    high: float
    p_value: float
    adjusted: float


@dataclass(frozen=True, eq=False)
class MethodComparison:
    """Values of several methods on the same prompts.

    Args:
        names: of the methods.
        values: one row for each prompt that all methods have a value of, one column for each method.
        direction: whether "higher" or "lower" is better.
        level: of intervals and tests.
        seed: of the bootstrap.

    Example:
        >>> comparison = compare_methods({"a": [1.0, 2.0, 3.0, 4.0], "b": [0.5, 1.0, 2.5, 3.0]}, "higher")
        >>> comparison.average_ranks, comparison.prompts
        ({'a': 1.0, 'b': 2.0}, 4)
    """

    names: tuple[str, ...]
    values: Float[np.ndarray, "prompts methods"]
    direction: Direction
    level: float = 0.95
    seed: int = 0

    @property
    def prompts(self) -> int:
        """How many prompts are compared."""
        return len(self.values)

    @property
    def average_ranks(self) -> dict[str, float]:
        """The mean rank of each method, 1 for the best; ties share their mean rank."""
        return dict(zip(self.names, self._ranks().mean(0).tolist(), strict=True))

    @property
    def intervals(self) -> dict[str, tuple[float, float, float]]:
        """The mean of each method, and the ends of its bootstrap interval."""
        return {
            name: (float(column.mean()), *bootstrap_interval(column, self.level, self.seed))
            for name, column in zip(self.names, self.values.T, strict=True)
        }

    @property
    def friedman(self) -> float:
        """The p-value of Friedman's test that all methods rank alike; NaN for fewer than three methods or two prompts."""
        if len(self.names) < 3 or self.prompts < 2:
            return math.nan
        if not np.ptp(self._ranks(), axis=1).any():
            return 1.0
        return float(_stats().friedmanchisquare(*self.values.T).pvalue)

    @property
    def critical_difference(self) -> float:
        """Nemenyi's: mean ranks of two methods that are further apart differ at this level."""
        k = len(self.names)
        quantile = _stats().studentized_range.ppf(self.level, k, np.inf) / math.sqrt(2)
        return float(quantile * math.sqrt(k * (k + 1) / (6 * max(self.prompts, 1))))

    def differences(self) -> list[PairedDifference]:
        """Every pair of methods."""
        return [
            PairedDifference(
                self.names[one],
                self.names[two],
                float(apart.mean()),
                *bootstrap_interval(apart, self.level, self.seed),
                p_value,
                corrected,
            )
            for one, two, apart, p_value, corrected in self._tests()
        ]

    def _tests(self) -> list[tuple[int, int, Float[np.ndarray, "prompts"], float, float]]:
        """For every pair of methods their differences, the p-value, and the p-value after Holm's correction."""
        pairs = list(combinations(range(len(self.names)), 2))
        apart = [self.values[:, one] - self.values[:, two] for one, two in pairs]
        p_values = [wilcoxon(each) for each in apart]
        adjusted = holm(p_values)
        rows = zip(pairs, apart, p_values, adjusted, strict=True)
        return [(one, two, each, p_value, corrected) for (one, two), each, p_value, corrected in rows]

    def cliques(self, by: Cliques = "wilcoxon") -> list[tuple[str, ...]]:
        """The largest groups of methods, neighbours in mean rank, of which no two differ; alone standing ones are left out.

        Args:
            by: "wilcoxon", the tests of pairs with Holm's correction; "nemenyi", the critical difference of mean ranks.
        """
        ranks = self.average_ranks
        order = sorted(self.names, key=lambda name: ranks[name])
        if by == "nemenyi":
            alike = lambda one, two: abs(ranks[one] - ranks[two]) <= self.critical_difference  # noqa: E731
        else:
            adjusted = {frozenset((self.names[one], self.names[two])): corrected for one, two, *_, corrected in self._tests()}
            alike = lambda one, two: adjusted[frozenset((one, two))] > 1 - self.level  # noqa: E731
        found: list[tuple[str, ...]] = []
        for start in range(len(order)):
            end = start + 1
            while end < len(order) and all(alike(order[end], other) for other in order[start:end]):
                end += 1
            group = tuple(order[start:end])
            if len(group) > 1 and not any(set(group) <= set(other) for other in found):
                found.append(group)
        return found

    def plot(self, path: Any = None, by: Cliques = "wilcoxon", title: str = "") -> Any:
        """The critical-difference picture: methods at their mean ranks, bars joining those that do not differ.

        Raises:
            ImportError: without matplotlib.
        """
        from interpreto_mllm.metrics.critical_difference import picture

        return picture(self, path, by, title)

    def _ranks(self) -> Float[np.ndarray, "prompts methods"]:
        return _stats().rankdata(self.values if self.direction == "lower" else -self.values, axis=1)


def compare_methods(
    values: Mapping[str, Sequence[float]], direction: Direction, level: float = 0.95, seed: int = 0
) -> MethodComparison:
    """Compare methods on the same prompts; prompts of which one has no value are left out.

    Args:
        values: of each method one number for each prompt, NaN where there is none.
        direction: whether "higher" or "lower" is better.
        level: of intervals and tests.
        seed: of the bootstrap.

    Raises:
        ValueError: for fewer than two methods, other than one number each, no common prompt, or a metric without a direction.
    """
    lengths = {name: len(each) for name, each in values.items()}
    if len(values) < 2 or len(set(lengths.values())) != 1:
        raise ValueError(f"Two methods or more are compared, on the same prompts; got {lengths or 'none'}.")
    if direction not in ("higher", "lower"):
        raise ValueError(f"Methods are ranked by a metric of which higher or lower is better; got direction {direction!r}.")
    table = np.stack([np.asarray(each, dtype=float) for each in values.values()], axis=1)
    table = table[np.isfinite(table).all(1)]
    if not len(table):
        raise ValueError("There is no prompt of which every method has a value.")
    return MethodComparison(tuple(values), table, direction, level, seed)


def bootstrap_interval(values: Float[np.ndarray, "prompts"], level: float = 0.95, seed: int = 0) -> tuple[float, float]:
    """The percentile interval of the mean over resampled prompts (Efron 1979); NaN for a single prompt."""
    if len(values) < 2:
        return math.nan, math.nan
    found = _stats().bootstrap(
        (values,), np.mean, n_resamples=RESAMPLES, confidence_level=level, method="percentile", rng=np.random.default_rng(seed)
    )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def wilcoxon(differences: Float[np.ndarray, "prompts"]) -> float:
    """The p-value of Wilcoxon's signed-rank test, two-sided; differences of zero count by half to each side (Pratt 1959).

    Of few prompts it is exact, also with ties: over all signs that the differences could have.
    """
    if not differences.any():
        return 1.0
    if len(differences) <= MOST_SIGNS:
        return _over_all_signs(differences)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scipy says of few prompts that it takes the normal approximation
        return float(_stats().wilcoxon(differences, zero_method="zsplit").pvalue)


def _over_all_signs(differences: Float[np.ndarray, "prompts"]) -> float:
    ranks = _stats().rankdata(np.abs(differences))
    moving = ranks[differences != 0]
    signs = np.arange(2 ** len(moving))[:, None] >> np.arange(len(moving)) & 1
    away = np.abs(signs @ moving - moving.sum() / 2)
    return float((away >= abs(ranks[differences > 0].sum() - moving.sum() / 2) - 1e-9).mean())


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values with Holm's correction for how many there are (Holm 1979)."""
    corrected = optional("statsmodels.stats.multitest", "Holm's correction", "study").multipletests(
        list(p_values), method="holm"
    )
    return [float(value) for value in corrected[1]]


def _stats() -> Any:
    return optional("scipy.stats", "The comparison of methods", "study")
