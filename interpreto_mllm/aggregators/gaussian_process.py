"""Shapley values of a Gaussian process conditioned on the evaluations."""

from __future__ import annotations

import torch

from interpreto_mllm.aggregators.aggregator import Aggregator, Estimate
from interpreto_mllm.aggregators.complementary import complements
from interpreto_mllm.aggregators.shapley import ShapleyAggregator
from interpreto_mllm.evaluations import Evaluations
from interpreto_mllm.gaussian.fit import fit
from interpreto_mllm.gaussian.observations import Observations
from interpreto_mllm.gaussian.posterior import Posterior


class GaussianProcessAggregator(Aggregator):
    """draft"""

    estimand = "Shapley value"

    def aggregate(self, evaluations: Evaluations) -> Estimate:
        if evaluations.complete:
            return ShapleyAggregator().aggregate(evaluations)
        observations = observe(evaluations)
        posterior = Posterior(fit(observations), observations)
        mean = posterior.mean() * observations.scales[:, None]
        gap = (evaluations.full - evaluations.empty - mean.sum(1)) / evaluations.n
        spread = posterior.surprise().square().mean(0).sqrt()
        errors = posterior.variance().sqrt() * (observations.scales * spread)[:, None]
        return Estimate(mean + gap[:, None], errors)


def observe(evaluations: Evaluations) -> Observations:
    """Pairs where every coalition is known with its complement, coalitions as they are where one is not."""
    side, other = complements(evaluations)
    if 2 * len(side) + 2 < len(evaluations.coalitions):
        return Observations.of_coalitions(evaluations.coalitions, evaluations.values)
    side, other = torch.cat([torch.tensor([1]), side]), torch.cat([torch.tensor([0]), other])
    return Observations.of_pairs(evaluations.coalitions[side], evaluations.values[side], evaluations.values[other])
