"""Shapley values as weighted sums over coalitions."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from interpreto_mllm.aggregators.aggregator import Aggregator, Estimate
from interpreto_mllm.aggregators.requirements import require
from interpreto_mllm.aggregators.split_evaluations import (
    PairedCoalitions,
    SplitEvaluations,
    effective_freedom,
    every_size_repeats,
)
from interpreto_mllm.core.coalitions import shapley_coefficients
from interpreto_mllm.core.design import Design
from interpreto_mllm.core.evaluations import Evaluations

MIN_UNITS_FOR_MEAN = 7
"""Units of one size from which on their mean is subtracted; the mean of fewer adds more noise than it removes."""
LEAST_FREEDOM = 10
"""Effective degrees of freedom from which on there are standard errors."""


class ShapleyAggregator(Aggregator):
    """The Shapley sum over all coalitions, each drawn one standing for as many as its weight says (Horvitz & Thompson 1952).

    Exact when every coalition is known, unbiased when the weights are inverse inclusion probabilities. Coalitions known with
    their complement enter as a pair. Control variates lower the variance and leave the mean alone: values are taken above
    the line from v(∅) to v(N), above an additive game read off the borders (what each feature is worth alone and as the last
    one) where these are known, and above the mean of their size where more than six tell it; the sum over such a size is its
    population covariance with the coefficients, whose unbiased estimate is the sample covariance. There are standard errors
    once each size was drawn twice and no few draws outweigh the others.

    Raises:
        ValueError: when the coalitions carry no such weights and are not all of them.

    Example:
        >>> from interpreto_mllm.explainers.play import play
        >>> from interpreto_mllm.perturbators import MonteCarloPerturbator
        >>> sizes = lambda s: s.sum(1).double() ** 2
        >>> play(sizes, MonteCarloPerturbator(), ShapleyAggregator(), n_features=8, budget=30).attributions.tolist()
        [[8.0, 8.0, 8.0, 8.0, 8.0, 8.0, 8.0, 8.0]]
    """

    estimand = "Shapley value"

    def aggregate(self, evaluations: Evaluations) -> Estimate:
        needed = "to know how many coalitions each drawn one stands for"
        fit = "MonteCarloPerturbator, KernelPerturbator or ExactPerturbator"
        require(evaluations.design.unbiased, evaluations, self, needed, fit)
        split = SplitEvaluations.of(evaluations)
        coalitions, stands_for = split.coalitions, split.weights
        if split.log_weights is None:
            coefficients = shapley_coefficients(coalitions) * (stands_for * split.multiplicity)[:, None]
        else:
            coefficients = shapley_coefficients(coalitions, split.log_weights) * split.multiplicity[:, None]
        additive = _singleton_slopes(split.pairs)
        above = split.odd_observations - (coalitions.double() - split.sizes[:, None].double() / evaluations.n) @ additive
        total = additive.T + ((evaluations.full - evaluations.empty) / evaluations.n)[:, None]
        variance, parts = torch.zeros_like(total), []
        for rows, has_mean in split.size_groups():
            values, weights, k = above[rows], stands_for[rows], len(rows)
            population = weights.sum()
            if has_mean and k >= MIN_UNITS_FOR_MEAN:
                values = (values - values.mean(0)) * ((1 - 1 / population) * k / (k - 1))
            terms = coefficients[rows]
            added = terms.T @ values
            total += added.T
            unseen = (1 - 1 / weights).clamp_min(0)[:, None]
            variance += _variance(terms, values, unseen)
            parts.append((terms, values, unseen))
        known = evaluations.complete or (evaluations.design is Design.SAMPLE and _enough(split, coefficients))
        if not known:
            return Estimate(total)

        def sums(members: Float[Tensor, "n sums"]) -> Float[Tensor, "t sums"]:
            each = [_variance(terms @ members, values, unseen) for terms, values, unseen in parts]
            return sum(each, torch.zeros(len(total), members.shape[1], dtype=torch.float64)).clamp_min(0).sqrt()

        return Estimate(total, variance.clamp_min(0).sqrt(), sums=sums)


def _variance(terms: Float[Tensor, "u n"], values: Float[Tensor, "u t"], unseen: Float[Tensor, "u 1"]) -> Float[Tensor, "t n"]:
    """Of the sums of these terms times these values, over the units of one size."""
    k = len(terms)
    squares = (terms.square() * unseen).T @ values.square()
    means = (terms * unseen.sqrt()).T @ values / k
    return ((squares - k * means.square()) * (k / (k - 1)) if k > 1 else squares).T


def _enough(split: SplitEvaluations, coefficients: Float[Tensor, "u n"]) -> bool:
    """Whether the draws are enough for standard errors."""
    freedom = effective_freedom(coefficients.square().mean(1).sqrt(), (1 - 1 / split.weights).clamp_min(0))
    return freedom >= LEAST_FREEDOM and every_size_repeats(split.coalitions, split.paired)


def _singleton_slopes(pairs: PairedCoalitions) -> Float[Tensor, "n t"]:
    """Slopes of sum zero of the additive game that fits all pairs ({i}, N∖{i}); zeros unless all of these are known."""
    n = pairs.sides.shape[1]
    singleton = pairs.sides.sum(1) == 1
    slopes = torch.zeros(n, pairs.odd.shape[1], dtype=torch.float64)
    if int(singleton.sum()) == n:
        odd = pairs.odd[singleton]
        slopes[pairs.sides[singleton].int().argmax(1)] = odd - odd.mean(0)
    return slopes
