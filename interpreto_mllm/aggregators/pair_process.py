"""Interactions of pairs as a Gaussian process sees them that is conditioned on the evaluations."""

from __future__ import annotations

import torch

from interpreto_mllm.aggregators.errors import seen_errors
from interpreto_mllm.aggregators.gaussian_process import (
    conditioned_rows,
    observe,
    observed_rows,
    shows_errors,
    unseen_share,
    widened,
)
from interpreto_mllm.aggregators.pair_regression import PairEstimate, pair_matrices, regress_pairs
from interpreto_mllm.core.design import Design
from interpreto_mllm.core.evaluations import Evaluations
from interpreto_mllm.gaussian.fit import fit_kernel
from interpreto_mllm.gaussian.posterior import counted
from interpreto_mllm.gaussian.set_posterior import SetFunctional, SetPosterior

PAIRS_AT_ONCE = 512
EVEN_INDICES = ("SII", "FSII", "k-SII")
"""Indices that are regressed on even parts alone."""


def read_pairs(evaluations: Evaluations, index: str) -> PairEstimate:
    """The posterior mean of each pair's index, and standard errors, from coalitions however they were drawn.

    The process is that of `GaussianProcessAggregator`, and variances are widened as there. Where there are so many pairs of
    coalitions that a regression on products of features needs no ridge, and it predicts their even parts better when they are
    left out, as in games of pairs alone, its answer is given.

    Raises:
        ValueError: with no coalitions besides the empty and the full one.
    """
    if len(evaluations.coalitions) < 3:
        raise ValueError(
            "Interactions are read off stored coalitions, and only the empty and the full one are there: give a larger budget."
        )
    rows = observed_rows(evaluations)
    observations = observe(evaluations, rows)
    kernel, kept = fit_kernel(observations), conditioned_rows(evaluations, len(rows))
    posterior = SetPosterior(SetFunctional(kernel, 2, index), observations.rows(kept))
    scales = observations.scales
    if index in EVEN_INDICES and len(rows) == len(kept) and _many(evaluations):
        regressed = regress_pairs(evaluations, index)
        left_out = (posterior.left_out[-1] * counted(posterior.signs, chosen=True) * scales).square().sum(0)
        if regressed.left_out is not None and bool((regressed.left_out <= left_out).all()):
            return regressed
    pairs = torch.triu_indices(evaluations.n, evaluations.n, 1).T
    read = zip(*(posterior.read(some, evaluations.design is Design.CHOSEN) for some in pairs.split(PAIRS_AT_ONCE)), strict=True)
    mean, variance, jackknife = (torch.cat(parts, -1) for parts in read)
    jackknife = jackknife * unseen_share(evaluations)
    variance = widened(variance.expand_as(mean), jackknife, 1 + evaluations.n / len(rows))
    errors = pair_matrices((variance * scales.square()[:, None]).sqrt(), evaluations.n)
    shown = seen_errors(errors, evaluations.values) if shows_errors(evaluations.design) else None
    return PairEstimate(pair_matrices(mean * scales[:, None], evaluations.n), shown)


def _many(evaluations: Evaluations) -> bool:
    """Whether there may be enough pairs of coalitions for a regression on all products of two features without a ridge."""
    return len(evaluations.coalitions) >= evaluations.n * (evaluations.n - 1)
