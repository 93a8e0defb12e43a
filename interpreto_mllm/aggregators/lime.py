"""Weights of a local linear surrogate."""

from __future__ import annotations

import torch

from interpreto_mllm.aggregators.aggregator import Aggregator, Estimate
from interpreto_mllm.aggregators.least_squares import least_squares
from interpreto_mllm.aggregators.split_evaluations import population_weights
from interpreto_mllm.core.evaluations import Evaluations


class LimeAggregator(Aggregator):
    """LIME: a ridge regression on the features present, nearer coalitions weighing more (Ribeiro et al. 2016).

    A coalition of s features is at the cosine distance d = 1 − √(s/n) from the full one and weighs exp(−d²/kernel_width²),
    times the number of coalitions it stands for. The ridge stands against the weighted mean of squared residuals, so that
    more evaluations bring the weights nearer to those that all coalitions would give.

    Args:
        kernel_width: how fast the weight falls with the distance.
        alpha: strength of the ridge.

    Raises:
        ValueError: when `kernel_width` is not positive or `alpha` is negative.

    Example:
        >>> from interpreto_mllm.explainers.play import play
        >>> from interpreto_mllm.perturbators import BernoulliPerturbator
        >>> line = lambda s: s.double() @ torch.tensor([1.0, 2.0, 3.0]).double()
        >>> play(line, BernoulliPerturbator(), LimeAggregator(alpha=0.0), n_features=3).attributions.round(decimals=3).tolist()
        [[1.0, 2.0, 3.0]]
    """

    estimand = "surrogate weights"

    def __init__(self, kernel_width: float = 0.25, alpha: float = 1e-3):
        if kernel_width <= 0 or alpha < 0:
            raise ValueError(f"kernel_width must be positive and alpha at least 0; got {kernel_width} and {alpha}.")
        self.kernel_width, self.alpha = kernel_width, alpha

    def aggregate(self, evaluations: Evaluations) -> Estimate:
        design = evaluations.coalitions.double()
        distance = 1 - design.mean(1).sqrt()
        population = population_weights(evaluations)
        weights = population / population.max() * torch.exp(-(distance.square()) / self.kernel_width**2)
        share = weights / weights.sum()
        unseen = (1 - 1 / population).clamp_min(0)
        centred, values = design - share @ design, evaluations.values - share @ evaluations.values
        return Estimate(*least_squares(centred, values, weights, unseen, self.alpha))
