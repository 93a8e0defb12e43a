"""Shapley values of a Gaussian process conditioned on the evaluations."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interpreto_mllm.aggregators.aggregator import Aggregator, Estimate
from interpreto_mllm.aggregators.complementary import complements
from interpreto_mllm.aggregators.kernel import KernelAggregator
from interpreto_mllm.aggregators.shapley import ShapleyAggregator
from interpreto_mllm.core.evaluations import Evaluations
from interpreto_mllm.gaussian.fit import fit
from interpreto_mllm.gaussian.observations import Observations
from interpreto_mllm.gaussian.posterior import Posterior

MOST_EXACT = 4096


class GaussianProcessAggregator(Aggregator):
    """The mean of the Shapley values of all games that fit the evaluations, each counting by how likely it is a priori.

    The prior is a Gaussian process over coalitions (Rasmussen & Williams 2006) whose rates, one for each feature, are
    learnt from the evaluations; `interpreto_mllm.gaussian.kernel.Kernel` writes it out. Shapley values are linear in the
    game, so that their posterior has a closed form. Any coalitions serve, however they were drawn; a coalition known with
    its complement enters by its odd part, which alone matters, and by its even part, which helps to learn the rates. All
    targets share one set of rates and one factorisation. Exact when every coalition is known, and Σφ = v(N) − v(∅) always.

    The posterior alone is too sure of games unlike its prior. Standard errors therefore count half of what the jackknife's
    variance has more, as it charges each observation with what no other could have told and so errs the other way; then take
    half of each feature's variance from the mean of all, as a feature that was wrongly taken to be idle looks certain; and
    grow by 1 + n / m for the n rates learnt from m observations.

    It takes milliseconds to seconds of its own, which pays on models, not on games that cost nothing to evaluate;
    `KernelAggregator` is the choice there. Rates are learnt from at most 512 observations (pairs, or coalitions if some have
    no complement), and at most 4096 are conditioned on. `KernelAggregator` finds in the others what the process got wrong, and
    the two are weighed by their variances.

    Example:
        >>> from interpreto_mllm.explainers.play import play
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
        rows = observed_rows(evaluations)
        observations = observe(evaluations, rows)
        kept = torch.linspace(0, len(rows) - 1, min(len(rows), MOST_EXACT)).round().long()
        posterior = Posterior(fit(observations), observations.rows(kept))
        scales = observations.scales[:, None]
        mean, variance = posterior.mean() * scales, posterior.variance().expand(len(scales), -1)
        variance = _honest(variance, posterior.jackknife(), 1 + evaluations.n / len(rows)) * scales.square()
        if len(rows) > MOST_EXACT:
            mean, variance = self._corrected(mean, variance, evaluations, posterior, scales, rows[kept].flatten())
        gap = (evaluations.full - evaluations.empty - mean.sum(1)) / evaluations.n
        return Estimate(mean + gap[:, None], variance.sqrt())

    def _corrected(
        self,
        mean: Float[Tensor, "t n"],
        variance: Float[Tensor, "t n"],
        evaluations: Evaluations,
        posterior: Posterior,
        scales: Float[Tensor, "t 1"],
        used: Int[Tensor, "u"],
    ) -> tuple[Float[Tensor, "t n"], Float[Tensor, "t n"]]:
        """Mean and variance given as well what the regression finds in the evaluations that were not conditioned on."""
        rest = torch.ones(len(evaluations.coalitions), dtype=torch.bool)
        rest[used] = False
        rest[:2] = True
        coalitions = evaluations.coalitions[rest]
        surprise = evaluations.values[rest] - posterior.foretold(coalitions.double() * 2 - 1) * scales.T
        everyone = torch.arange(len(coalitions))
        weights = evaluations.merged_weights()[rest] * len(rest) / len(coalitions)
        missed = KernelAggregator().aggregate(Evaluations(coalitions, surprise, everyone, weights, -torch.ones_like(everyone)))
        if missed.standard_errors is None:
            return mean, variance
        doubt = missed.standard_errors.square()
        share = variance / (variance + doubt).clamp_min(1e-300)
        return mean + share * missed.attributions, share * doubt


def _honest(posterior: Float[Tensor, "t n"], jackknife: Float[Tensor, "t n"], learning: float) -> Float[Tensor, "t n"]:
    """The posterior's variances, raised to what they proved to be."""
    raised = posterior + (jackknife - posterior).clamp_min(0) / 2
    return learning**2 * (raised + raised.mean(1, keepdim=True)) / 2


def observed_rows(evaluations: Evaluations) -> Int[Tensor, "m c"]:
    """Rows of each coalition and its complement if every one is known with it, otherwise each row on its own; ∅ and N first."""
    side, other = complements(evaluations)
    if 2 * len(side) + 2 < len(evaluations.coalitions):
        return torch.arange(len(evaluations.coalitions))[:, None]
    return torch.cat([torch.tensor([[0, 1]]), torch.stack([side, other], 1)])


def observe(evaluations: Evaluations, rows: Int[Tensor, "m c"]) -> Observations:
    """Pairs, or coalitions as they are."""
    if rows.shape[1] == 1:
        return Observations.of_coalitions(evaluations.coalitions, evaluations.values)
    side, other = rows.T
    return Observations.of_pairs(evaluations.coalitions[side], evaluations.values[side], evaluations.values[other])
