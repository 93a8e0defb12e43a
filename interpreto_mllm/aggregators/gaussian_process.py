"""Shapley values of a Gaussian process conditioned on the evaluations."""

from __future__ import annotations

from math import log

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interpreto_mllm.aggregators.aggregator import Aggregator, Estimate
from interpreto_mllm.aggregators.complementary import complements
from interpreto_mllm.aggregators.kernel import KernelAggregator
from interpreto_mllm.aggregators.process_errors import ProcessErrors
from interpreto_mllm.aggregators.shapley import ShapleyAggregator
from interpreto_mllm.aggregators.split_evaluations import log_population_weights, population_weights
from interpreto_mllm.aggregators.sums import alike
from interpreto_mllm.core.design import Design
from interpreto_mllm.core.evaluations import Evaluations
from interpreto_mllm.gaussian.fit import fit_kernel
from interpreto_mllm.gaussian.kernel import Kernel
from interpreto_mllm.gaussian.observations import Observations
from interpreto_mllm.gaussian.posterior import Posterior
from interpreto_mllm.gaussian.tilted_kernel import TiltedKernel

MOST_CONDITIONED = 2048
"""Observations that the process is conditioned on, as many as `ActivePerturbator` designs; its cost grows with their cube."""
MOST_TILTED = 1024
"""Coalitions that are observed one by one, twice as many as rates are fitted to; of more, a fit would see too small a part."""


class GaussianProcessAggregator(Aggregator):
    """The posterior mean of the Shapley values: of all games that fit the evaluations, weighted by their prior density.

    The prior is a Gaussian process over coalitions (Rasmussen & Williams 2006) whose rates, one for each feature, are
    learnt from the evaluations; `interpreto_mllm.gaussian.tilted_kernel.TiltedKernel` writes it out. Shapley values are linear
    in the game, so their posterior has a closed form. Any coalitions can be used, however they were drawn. Rates are first
    fitted to the odd and even parts of pairs of complements, if all complements are known, without a tilt, and from there with
    a tilt to all coalitions. Of more than 1024 coalitions only the parts are used; without a tilt, Shapley values depend on the
    odd ones alone. All targets share one set of rates and one factorisation. Exact when every coalition is known;
    Σφ = v(N) − v(∅) always.

    The posterior alone is overconfident about games unlike its prior. Where coalitions were chosen, standard errors therefore
    rest on the jackknife: the squared changes of the scores when one observation after the other is left out, each counted by
    the share of the coalitions of its size that were not evaluated, so that intervals close as the budget covers all. 0.45 of
    this variance is averaged with its mean over all features, because a feature that was wrongly found to be irrelevant looks
    certain; and standard errors are multiplied by 1 + 2n / p for the n rates learnt from p evaluations. What none of few
    evaluations shows, such as a word that matters beside two others only, is added: 3 (2n / p)⁴ of the prior's variance of what
    features do together, and (2n / p)⁴ of the posterior's variance, at most all of them. Where coalitions were drawn, the
    posterior's variance is raised half of the way to the jackknife's instead, if that is larger, which counts by the share of
    all coalitions that were not evaluated.

    There are no standard errors where it is not known how coalitions were drawn, or where these follow blocks, groups or a
    fixed rule: such coalitions may be too much alike to show how far off the posterior is.

    Fitting takes milliseconds to seconds, which pays off on models, not on games that cost nothing to evaluate; use
    `KernelAggregator` there. Rates are learnt from at most 512 observations (coalitions, or pairs of them where there are more
    than 1024 coalitions), and at most 2048 are conditioned on: the first ones where a Gaussian process chose them, which tell
    most, else evenly spaced ones. From the others `KernelAggregator` estimates the error of the process, and the two are
    weighted by their variances. So time and memory of its own do not grow with the budget: seconds, some hundred megabytes.

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
        kernel, rows, observations = learnt(evaluations)
        kept = conditioned_rows(evaluations, len(rows))
        posterior = Posterior(kernel, observations.rows(kept))
        scales = observations.scales[:, None]
        errors, mean = ProcessErrors.of(evaluations), posterior.mean() * scales
        counted, prior = errors.counted(observations.rows(kept)), posterior.kernel.joint_shapley_variance()
        raw = errors.raw(posterior.variance(), posterior.jackknife(counted))
        variance = errors.variance(raw, raw.mean(1, keepdim=True), prior.mean(0, keepdim=True)) * scales.square()
        if len(rows) > MOST_CONDITIONED:
            mean, variance = self._corrected(mean, variance, evaluations, posterior, scales, rows[kept].flatten())
        gap = (evaluations.full - evaluations.empty - mean.sum(1)) / evaluations.n
        if not shows_errors(evaluations.design):
            return Estimate(mean + gap[:, None])

        def sums(members: Float[Tensor, "n sums"]) -> Float[Tensor, "t sums"]:
            own = errors.raw(posterior.variance_of_sums(members), posterior.jackknife(counted, members))
            nothing = torch.zeros_like(scales)
            typical, unforeseen = alike(raw.mean(1), nothing, members), alike(prior.mean()[None], nothing[:1], members)
            return errors.variance(own, typical, unforeseen[0]).sqrt() * scales

        all_used = len(rows) <= MOST_CONDITIONED
        return Estimate(mean + gap[:, None], variance.sqrt(), sums=sums if all_used else None)

    def _corrected(
        self,
        mean: Float[Tensor, "t n"],
        variance: Float[Tensor, "t n"],
        evaluations: Evaluations,
        posterior: Posterior,
        scales: Float[Tensor, "t 1"],
        used: Int[Tensor, "used"],
    ) -> tuple[Float[Tensor, "t n"], Float[Tensor, "t n"]]:
        """Mean and variance combined with a regression on the evaluations that were not conditioned on."""
        rest = torch.ones(len(evaluations.coalitions), dtype=torch.bool)
        rest[used] = False
        rest[:2] = True
        coalitions = evaluations.coalitions[rest]
        residuals = evaluations.values[rest] - posterior.predict(coalitions.double() * 2 - 1) * scales.T
        everyone = torch.arange(len(coalitions))
        more = len(rest) / len(coalitions)
        weights, logs = population_weights(evaluations)[rest] * more, log_population_weights(evaluations)[rest] + log(more)
        none = -torch.ones_like(everyone)
        left_out = Evaluations(coalitions, residuals, everyone, weights, none, design=Design.SAMPLE, log_weights=logs)
        error = KernelAggregator().aggregate(left_out)
        if error.standard_errors is None:
            return mean, variance
        error_variance = error.standard_errors.square()
        share = variance / (variance + error_variance).clamp_min(1e-300)
        return mean + share * error.attributions, share * error_variance


def learnt(evaluations: Evaluations) -> tuple[Kernel, Int[Tensor, "u side"], Observations]:
    """The kernel fitted to what is observed; with a tilt, to each coalition, unless there are too many."""
    rows = observed_rows(evaluations)
    observations = observe(evaluations, rows)
    level = fit_kernel(observations)
    if len(evaluations.coalitions) > min(MOST_TILTED, MOST_CONDITIONED):
        return level, rows, observations
    rows = torch.arange(len(evaluations.coalitions))[:, None]
    observations = observe(evaluations, rows)
    return fit_kernel(observations, TiltedKernel.level(level), kind=TiltedKernel), rows, observations


def conditioned_rows(evaluations: Evaluations, count: int) -> Int[Tensor, "kept"]:
    """Which of so many observations the process is conditioned on."""
    kept = torch.linspace(0, count - 1, min(count, MOST_CONDITIONED)).round().long()
    return torch.arange(len(kept)) if evaluations.design is Design.CHOSEN else kept


def shows_errors(design: Design) -> bool:
    """Whether coalitions drawn like this can show how far off the posterior is."""
    return design.independent or design in (Design.ORDERS, Design.CHOSEN)


def observed_rows(evaluations: Evaluations) -> Int[Tensor, "u side"]:
    """Rows of each coalition and its complement if every complement is known, otherwise each row on its own; ∅ and N first."""
    side, other = complements(evaluations)
    if 2 * len(side) + 2 < len(evaluations.coalitions):
        return torch.arange(len(evaluations.coalitions))[:, None]
    return torch.cat([torch.tensor([[0, 1]]), torch.stack([side, other], 1)])


def observe(evaluations: Evaluations, rows: Int[Tensor, "u side"]) -> Observations:
    """Pairs, or coalitions as they are."""
    if rows.shape[1] == 1:
        return Observations.of_coalitions(evaluations.coalitions, evaluations.values)
    side, other = rows.T
    return Observations.of_pairs(evaluations.coalitions[side], evaluations.values[side], evaluations.values[other])
