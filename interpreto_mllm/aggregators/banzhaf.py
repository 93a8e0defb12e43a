"""Banzhaf values."""

from __future__ import annotations

import torch

from interpreto_mllm.aggregators.aggregator import Aggregator, Estimate
from interpreto_mllm.aggregators.least_squares import least_squares
from interpreto_mllm.aggregators.requirements import require_alike
from interpreto_mllm.aggregators.split_evaluations import SplitEvaluations, effective_number
from interpreto_mllm.core.design import Design
from interpreto_mllm.core.evaluations import Evaluations


class BanzhafAggregator(Aggregator):
    """What each feature adds on average over all coalitions of the others, all alike (Banzhaf 1965).

    That is also the slope of the additive game nearest to this one, every coalition counting alike (Hammer & Holzman 1992).
    The regression is what is computed: on a sample it has far less noise than a difference of means, and on all
    coalitions they agree. A coalition known with its complement enters as a pair, by its odd part.
    Banzhaf values do not sum to v(N) − v(∅).

    Example:
        >>> from interpreto_mllm.explainers.play import play
        >>> from interpreto_mllm.perturbators import ExactPerturbator
        >>> glove = lambda s: (s[:, 0] & (s[:, 1] | s[:, 2])).double()
        >>> play(glove, ExactPerturbator(), BanzhafAggregator(), n_features=3).attributions.round(decimals=3).tolist()
        [[0.75, 0.25, 0.25]]
    """

    estimand = "Banzhaf value"

    def aggregate(self, evaluations: Evaluations) -> Estimate:
        require_alike(evaluations, self, "BernoulliPerturbator or ExactPerturbator")
        n, split = evaluations.n, SplitEvaluations.of(evaluations)
        design, values, weights = split.coalitions.double() - 0.5, split.odd_observations, split.weights
        relative, ends = weights, 2.0
        if (logs := split.log_weights) is not None:
            relative, ends = torch.exp(logs - logs.max()), 0.0
        if len(split.singles.weights):
            single = ~split.paired
            share = relative[single] / relative[single].sum()
            design[single] -= share @ design[single]
            values[single] -= share @ values[single]
        slopes, errors, sums = least_squares(
            torch.cat([torch.full((1, n), -0.5, dtype=torch.float64), design]),
            torch.cat([torch.zeros_like(evaluations.values[:1]), values]),
            torch.cat([torch.full((1,), ends, dtype=torch.float64), relative * split.multiplicity]),
            torch.cat([torch.zeros(1, dtype=torch.float64), (1 - 1 / weights).clamp_min(0)]),
            unknowns=n,
        )
        attributions = slopes + ((evaluations.full - evaluations.empty) / n)[:, None]
        known = evaluations.complete or (evaluations.design is Design.SAMPLE and effective_number(relative) > n)
        return Estimate(attributions, errors, sums=sums) if known else Estimate(attributions)
