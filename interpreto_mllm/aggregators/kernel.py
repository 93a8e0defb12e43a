"""Shapley values by weighted regression."""

from __future__ import annotations

from interpreto_mllm.aggregators.aggregator import Aggregator, Estimate
from interpreto_mllm.aggregators.least_squares import least_squares
from interpreto_mllm.aggregators.split_evaluations import SplitEvaluations
from interpreto_mllm.core.coalitions import inverse_binomials
from interpreto_mllm.core.evaluations import Evaluations

OBSERVATIONS_PER_UNKNOWN = 1.5
"""From how many observations per unknown on each size of coalition gets a mean of its own."""


class KernelAggregator(Aggregator):
    """KernelSHAP: the additive game nearest to this one under the Shapley kernel, v(∅) and v(N) met exactly.

    From Lundberg & Lee, "A Unified Approach to Interpreting Model Predictions", 2017.

    Each coalition weighs by the kernel times the number of coalitions it stands for. One known with its complement enters as a
    pair, by its odd part (Covert & Lee 2021). Exact when every coalition is known. With fewer coalitions than features it
    gives the shortest of the solutions that fit, which never explodes. Standard errors are those of `least_squares`, their
    variance raised by 1 + n / u for n features and u units, as these proved too small where units are few.

    Args:
        size_effects: let the values of each coalition size have a mean of their own, once there are half as many observations
            again as unknowns. The full sum is blind to it, so what the regression converges to is unchanged, and what curves
            with the size alone no longer passes for noise.

    Example:
        >>> from interpreto_mllm.explainers.play import play
        >>> from interpreto_mllm.perturbators import KernelPerturbator
        >>> glove = lambda s: (s[:, 0] & (s[:, 1] | s[:, 2])).double()
        >>> play(glove, KernelPerturbator(), KernelAggregator(), n_features=3).attributions.round(decimals=3).tolist()
        [[0.667, 0.167, 0.167]]
    """

    estimand = "Shapley value"

    def __init__(self, size_effects: bool = True):
        self.size_effects = size_effects

    def aggregate(self, evaluations: Evaluations) -> Estimate:
        n, split = evaluations.n, SplitEvaluations.of(evaluations)
        coalitions, sizes, stands_for = split.coalitions, split.sizes, split.weights
        weights = stands_for * split.multiplicity * inverse_binomials(coalitions) / (sizes * (n - sizes))
        design = coalitions.double() - (sizes.double() / n)[:, None]
        values = split.odd_observations
        with_mean = [rows for rows, has_mean in split.size_groups() if has_mean and len(rows) > 1]
        if self.size_effects and len(design) >= OBSERVATIONS_PER_UNKNOWN * (n + len(with_mean)):
            for rows in with_mean:
                share = weights[rows] / weights[rows].sum()
                design[rows] -= share @ design[rows]
                values[rows] -= share @ values[rows]
        slopes, errors = least_squares(design, values, weights, (1 - 1 / stands_for).clamp_min(0))
        attributions = slopes + ((evaluations.full - evaluations.empty) / n)[:, None]
        if evaluations.complete or len(design) <= n:
            return Estimate(attributions, errors if evaluations.complete else None)
        return Estimate(attributions, errors * (1 + n / len(design)) ** 0.5)
