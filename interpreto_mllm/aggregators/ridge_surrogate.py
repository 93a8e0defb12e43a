"""Weights of a linear surrogate with a ridge."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from interpreto_mllm.aggregators.aggregator import Aggregator, Estimate
from interpreto_mllm.aggregators.requirements import require_alike
from interpreto_mllm.aggregators.split_evaluations import log_population_weights
from interpreto_mllm.aggregators.standardised import Standardised, checked_penalty, cross_validated
from interpreto_mllm.core.evaluations import Evaluations

PENALTIES = torch.logspace(3, -6, 46, dtype=torch.float64)
"""Those that are tried, the largest first."""


class RidgeAggregator(Aggregator):
    """Ridge regression: least squares on the features present, with a penalty on the squared weights, which shrinks all alike.

    Features are standardised, so that the penalty is alike for all: mean (v − w·x)² + penalty · Σ (w σ)². Coalitions count by
    how many of the game each stands for, those of coin flips alike. Without a penalty given, the one is taken, for each target,
    whose predictions of held-out coalitions are best; a coalition and its complement are held out together. Hoerl & Kennard,
    "Ridge regression: biased estimation for nonorthogonal problems", 1970.

    Args:
        penalty: of the squared weights, without a unit; 1 halves the weights of features that come independently. None: by
            cross-validation.

    Raises:
        ValueError: for a penalty below zero.

    Example:
        >>> from interpreto_mllm.explainers.play import play
        >>> from interpreto_mllm.perturbators import ExactPerturbator
        >>> line = lambda s: s.double() @ torch.tensor([1.0, 2.0, 0.0]).double()
        >>> play(line, ExactPerturbator(), RidgeAggregator(1.0), n_features=3).attributions.round(decimals=3).tolist()
        [[0.5, 1.0, 0.0]]
    """

    estimand = "surrogate weights"

    def __init__(self, penalty: float | int | None = None):
        self.penalty = checked_penalty(penalty)

    def aggregate(self, evaluations: Evaluations) -> Estimate:
        require_alike(evaluations, self, "BernoulliPerturbator or ExactPerturbator")
        logs = log_population_weights(evaluations)
        counts = torch.exp(logs - logs.max())
        standard = Standardised.of(evaluations.coalitions.double(), evaluations.values, counts)
        t = evaluations.values.shape[1]
        if self.penalty is not None:
            penalties = torch.full((t, 1), float(self.penalty), dtype=torch.float64)
        else:
            penalties = cross_validated(evaluations, counts, PENALTIES.expand(t, -1), ridge)[:, None]
        return Estimate(ridge(standard, penalties)[:, 0])


def ridge(standard: Standardised, penalties: Float[Tensor, "t tried"]) -> Float[Tensor, "t tried n"]:
    """The weights of the features under each penalty; without one the shortest that fit best."""
    values, vectors = torch.linalg.eigh(standard.gram)
    kept = values.clamp_min(0) + penalties[:, :, None]
    kept = torch.where(kept > 1e-11 * values.max().clamp_min(1e-300), kept, torch.inf)
    return standard.unscaled(((standard.products @ vectors)[:, None] / kept) @ vectors.T)
