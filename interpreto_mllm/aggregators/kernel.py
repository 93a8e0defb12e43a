"""Shapley values by weighted regression."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from interpreto_mllm.aggregators.aggregator import Aggregator, Estimate
from interpreto_mllm.aggregators.least_squares import least_squares
from interpreto_mllm.aggregators.requirements import require_alike
from interpreto_mllm.aggregators.split_evaluations import SplitEvaluations, effective_freedom
from interpreto_mllm.core.coalitions import inverse_binomials, log_inverse_binomials
from interpreto_mllm.core.design import Design
from interpreto_mllm.core.evaluations import Evaluations

OBSERVATIONS_PER_UNKNOWN = 1.5
"""From how many observations per unknown on each size of coalition gets a mean of its own."""
LEAST_FREEDOM = 5
"""Effective degrees of freedom from which on there are standard errors."""


class KernelAggregator(Aggregator):
    """KernelSHAP: the additive game nearest to this one under the Shapley kernel, v(∅) and v(N) met exactly.

    From Lundberg & Lee, "A Unified Approach to Interpreting Model Predictions", 2017.

    Each coalition weighs by the kernel times the number of coalitions it stands for. One known with its complement enters as a
    pair, by its odd part (Covert & Lee 2021). Exact when every coalition is known. Coalitions that leave some feature
    undetermined give the shortest of the solutions that fit, which never explodes, and no standard errors. Otherwise these are
    those of `least_squares`, their variance raised by 1 + n / u for n features and u units, as they proved too small where
    units are few; there are none where a few heavy coalitions decide, nor where it is not known how coalitions were drawn.

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
        require_alike(evaluations, self, "KernelPerturbator, MonteCarloPerturbator or ExactPerturbator")
        estimate = self.regress(evaluations)
        return estimate if evaluations.complete or evaluations.design is Design.SAMPLE else Estimate(estimate.attributions)

    def regress(self, evaluations: Evaluations) -> Estimate:
        """The regression on coalitions drawn in any way, with the standard errors that they would have as a sample."""
        n, split = evaluations.n, SplitEvaluations.of(evaluations)
        sizes, stands_for, weights = split.sizes, split.weights, _kernel_weights(split)
        design = split.coalitions.double() - (sizes.double() / n)[:, None]
        values = split.odd_observations
        with_mean = [rows for rows, has_mean in split.size_groups() if has_mean and len(rows) > 1]
        if self.size_effects and len(design) >= OBSERVATIONS_PER_UNKNOWN * (n + len(with_mean)):
            for rows in with_mean:
                share = weights[rows] / weights[rows].sum()
                design[rows] -= share @ design[rows]
                values[rows] -= share @ values[rows]
        unseen = (1 - 1 / stands_for).clamp_min(0)
        slopes, errors, sums = least_squares(design, values, weights, unseen, unknowns=n - 1)
        attributions = slopes + ((evaluations.full - evaluations.empty) / n)[:, None]
        if evaluations.complete or len(design) <= n or errors is None:
            return Estimate(attributions, errors if evaluations.complete else None)
        if effective_freedom(weights, unseen) < LEAST_FREEDOM:
            return Estimate(attributions)
        wider = (1 + n / len(design)) ** 0.5
        return Estimate(attributions, errors * wider, sums=lambda members: sums(members) * wider)


def _kernel_weights(split: SplitEvaluations) -> Float[Tensor, "u"]:
    """Shapley kernel times the coalitions that each unit stands for; up to a constant where these exceed the largest float."""
    sizes, logs = split.sizes, split.log_weights
    if logs is None:
        return split.weights * split.multiplicity * inverse_binomials(split.coalitions) / (sizes * (split.n - sizes))
    relative = logs + log_inverse_binomials(split.coalitions)
    return torch.exp(relative - relative.max()) * split.multiplicity / (sizes * (split.n - sizes))
