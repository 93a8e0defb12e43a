"""Interactions of pairs as a Gaussian process sees them that is conditioned on the evaluations."""

from __future__ import annotations

from interpreto_mllm.aggregators.pair_regression import PairEstimate, pair_matrices, regress_pairs
from interpreto_mllm.aggregators.set_process import SetProcess
from interpreto_mllm.core.evaluations import Evaluations

EVEN_INDICES = ("SII", "FSII", "k-SII")
"""Indices that are regressed on even parts alone."""


def read_pairs(evaluations: Evaluations, index: str) -> PairEstimate:
    """The posterior mean of each pair's index, and standard errors, from coalitions however they were drawn.

    The prior is that of `GaussianProcessAggregator`, and variances are widened as there. Where there are so many pairs of
    coalitions that a regression on products of features needs no ridge, and it predicts their even parts better when they are
    left out, as in games of pairs alone, its answer is given.

    Raises:
        ValueError: with no coalitions besides the empty and the full one.
    """
    process = SetProcess(evaluations, 2, index)
    posterior = process.posterior
    if index in EVEN_INDICES and process.observed == process.kept and _many(evaluations):
        regressed = regress_pairs(evaluations, index)
        between = (posterior.signs.sum(1).abs() < evaluations.n)[:, None]
        left_out = (posterior.left_out[-1] * between * process.scales).square().sum(0)
        if regressed.left_out is not None and bool((regressed.left_out <= left_out).all()):
            return regressed
    found, n = process.read(), evaluations.n
    errors = None if found.standard_errors is None else pair_matrices(found.standard_errors, n)
    return PairEstimate(pair_matrices(found.values, n), errors)


def _many(evaluations: Evaluations) -> bool:
    """Whether there may be enough pairs of coalitions for a regression on all products of two features without a ridge."""
    return len(evaluations.coalitions) >= evaluations.n * (evaluations.n - 1)
