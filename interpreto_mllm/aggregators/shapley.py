"""Shapley values as weighted sums over coalitions."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from interpreto_mllm.aggregators.aggregator import Aggregator, Estimate
from interpreto_mllm.aggregators.units import Units
from interpreto_mllm.core.coalitions import shapley_coefficients
from interpreto_mllm.core.evaluations import Evaluations

ENOUGH_FOR_A_MEAN = 7
"""Units of a size from which its mean is subtracted; of fewer, the mean costs more noise than it takes away."""


class ShapleyAggregator(Aggregator):
    """The Shapley sum over all coalitions, each drawn one standing for as many as its weight says (Horvitz & Thompson 1952).

    Exact when every coalition is known, unbiased when the weights are inverse inclusion probabilities. Coalitions known with
    their complement enter as a pair. Control variates lower the variance and leave the mean alone: values are taken above
    the line from v(∅) to v(N), above an additive game read off the borders (what each feature is worth alone and as the last
    one) where these are known, and above the mean of their size where more than six tell it; the sum over such a size is its
    population covariance with the coefficients, whose unbiased estimate is the sample covariance.

    Raises:
        ValueError: when the coalitions carry no weights and are not all of them.

    Example:
        >>> from interpreto_mllm.explainers.play import play
        >>> from interpreto_mllm.perturbators import MonteCarloPerturbator
        >>> sizes = lambda s: s.sum(1).double() ** 2
        >>> play(sizes, MonteCarloPerturbator(), ShapleyAggregator(), n_features=8, budget=30).attributions.tolist()
        [[8.0, 8.0, 8.0, 8.0, 8.0, 8.0, 8.0, 8.0]]
    """

    estimand = "Shapley value"

    def aggregate(self, evaluations: Evaluations) -> Estimate:
        if not evaluations.complete and bool((evaluations.weights == 1).all()):
            raise ValueError(
                "ShapleyAggregator needs to know how many coalitions each drawn one stands for, and these carry no weights. "
                "Use MonteCarloPerturbator, KernelPerturbator, PermutationPerturbator or ExactPerturbator, yield a Draw with "
                "weights, or aggregate with KernelAggregator."
            )
        units = Units.of(evaluations)
        coefficients = shapley_coefficients(units.coalitions) * (units.weights * units.copies)[:, None]
        additive = _border_slopes(units)
        above = units.values - (units.coalitions.double() - units.sizes[:, None].double() / evaluations.n) @ additive
        total = additive.T + ((evaluations.full - evaluations.empty) / evaluations.n)[:, None]
        variance = torch.zeros_like(total)
        for rows, centred in units.strata():
            values, weights, k = above[rows], units.weights[rows], len(rows)
            population = weights.sum()
            if centred and k >= ENOUGH_FOR_A_MEAN:
                values = (values - values.mean(0)) * ((population - 1) / population * k / (k - 1))
            terms = coefficients[rows]
            sums = terms.T @ values
            total += sums.T
            unseen = (1 - 1 / weights).clamp_min(0)[:, None]
            squares = (terms.square() * unseen).T @ values.square()
            means = (terms * unseen.sqrt()).T @ values / k
            variance += ((squares - k * means.square()) * (k / (k - 1)) if k > 1 else squares).T
        return Estimate(total, variance.clamp_min(0).sqrt())


def _border_slopes(units: Units) -> Float[Tensor, "n t"]:
    """Slopes, summing to nothing, of the additive game that fits all pairs ({i}, N∖{i}); zeros unless all are known."""
    n = units.coalitions.shape[1]
    border = (units.sizes == 1) & (units.copies == 2)
    slopes = torch.zeros(n, units.values.shape[1], dtype=torch.float64)
    if int(border.sum()) == n:
        values = units.values[border]
        slopes[units.coalitions[border].int().argmax(1)] = values - values.mean(0)
    return slopes
