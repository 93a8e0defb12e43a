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
    """The mean of the Shapley values of all games that fit the evaluations, each counting by how likely it is a priori.

    The prior is a Gaussian process over coalitions (Rasmussen & Williams 2006) whose rates, one for each feature, are
    learnt from the evaluations; `interpreto_mllm.gaussian.kernel.Kernel` writes it out. Shapley values are linear in the
    game, so that their posterior has a closed form. Any coalitions serve, however they were drawn; a coalition known with
    its complement enters by its odd part, which alone matters, and by its even part, which helps to learn the rates. All
    targets share one set of rates and one factorisation. Exact when every coalition is known, and Σφ = v(N) − v(∅) always.

    Standard errors are the posterior's, raised to the geometric mean of its variance and the jackknife's wherever that is
    larger: the posterior alone is too sure of games unlike its prior, and the jackknife charges each observation with
    what no other could have told. Their 95 % intervals were measured to hold the truth in 90 to 98 % of cases on language
    models at budgets of 5n to 20n; on less than 5n evaluations they are not to be trusted.

    It takes milliseconds to seconds of its own, which pays on models, not on games that cost nothing to evaluate;
    `KernelAggregator` is the choice there. More than 512 coalitions or pairs are thinned to learn the rates, and more than
    2048 enter by way of 1024 of them.

    Example:
        >>> from interpreto_mllm.play import play
        >>> from interpreto_mllm.perturbators import KernelPerturbator
        >>> line = lambda s: s.double() @ torch.arange(20.0).double()
        >>> result = play(line, KernelPerturbator(), GaussianProcessAggregator(), n_features=20, budget=100)
        >>> bool((result.attributions[0] - torch.arange(20)).abs().max() < 0.01)
        True
    """

    estimand = "Shapley value"

    def aggregate(self, evaluations: Evaluations) -> Estimate:
        if evaluations.complete:
            return ShapleyAggregator().aggregate(evaluations)
        observations = observe(evaluations)
        posterior = Posterior(fit(observations), observations)
        mean = posterior.mean() * observations.scales[:, None]
        gap = (evaluations.full - evaluations.empty - mean.sum(1)) / evaluations.n
        variance = posterior.variance()
        inflated = torch.maximum(variance, (variance * posterior.jackknife()).sqrt())
        return Estimate(mean + gap[:, None], inflated.sqrt() * observations.scales[:, None])


def observe(evaluations: Evaluations) -> Observations:
    """Pairs where every coalition is known with its complement, coalitions as they are where one is not."""
    side, other = complements(evaluations)
    if 2 * len(side) + 2 < len(evaluations.coalitions):
        return Observations.of_coalitions(evaluations.coalitions, evaluations.values)
    side, other = torch.cat([torch.tensor([0]), side]), torch.cat([torch.tensor([1]), other])
    return Observations.of_pairs(evaluations.coalitions[side], evaluations.values[side], evaluations.values[other])
