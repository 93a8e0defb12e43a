"""Weights of a sparse linear surrogate."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from interpreto_mllm.aggregators.aggregator import Aggregator, Estimate
from interpreto_mllm.aggregators.requirements import require_alike
from interpreto_mllm.aggregators.split_evaluations import log_population_weights
from interpreto_mllm.aggregators.standardised import Standardised, checked_penalty, cross_validated
from interpreto_mllm.core.evaluations import Evaluations

PENALTIES = 40
LEAST_PENALTY = 1e-3
"""Of the largest one, at which every weight is zero; between the two are those that are tried."""
SWEEPS = 2_000
PRECISION = 1e-10
"""Of weights, relative to the largest, up to which sweeps go on."""
ROUNDS = 200
"""Of alternating directions, which bring predictions near enough to choose a penalty by."""


class LassoAggregator(Aggregator):
    """The lasso: least squares on the features present, with a penalty on the absolute weights, most of which it makes zero.

    Features are standardised, so that the penalty is alike for all: ½ mean (v − w·x)² + penalty · Σ|w| σ. Coalitions count by
    how many of the game each stands for, those of coin flips alike. Without a penalty given, the one is taken, for each
    target, whose predictions of held-out coalitions are best; a coalition and its complement are held out together.
    Tibshirani, "Regression shrinkage and selection via the lasso", 1996; Cohen-Wang et al., "ContextCite", NeurIPS 2024.

    Args:
        penalty: in units of the value; ContextCite's is 0.01 for each token of the answer. None: by cross-validation.

    Raises:
        ValueError: for a penalty below zero.

    Example:
        >>> from interpreto_mllm.explainers.play import play
        >>> from interpreto_mllm.perturbators import ExactPerturbator
        >>> line = lambda s: s.double() @ torch.tensor([1.0, 2.0, 0.1]).double()
        >>> play(line, ExactPerturbator(), LassoAggregator(0.25), n_features=3).attributions.round(decimals=3).tolist()
        [[0.5, 1.5, 0.0]]
    """

    estimand = "surrogate weights"

    def __init__(self, penalty: float | None = None):
        self.penalty = checked_penalty(penalty)

    def aggregate(self, evaluations: Evaluations) -> Estimate:
        require_alike(evaluations, self, "BernoulliPerturbator or ExactPerturbator")
        logs = log_population_weights(evaluations)
        counts = torch.exp(logs - logs.max())
        standard = Standardised.of(evaluations.coalitions.double(), evaluations.values, counts)
        if self.penalty is not None:
            penalties = torch.full((evaluations.values.shape[1],), float(self.penalty), dtype=torch.float64)
        else:
            penalties = cross_validated(evaluations, counts, tried(standard), nearly)
        return Estimate(weights(standard, penalties))


def tried(standard: Standardised) -> Float[Tensor, "t tried"]:
    """Penalties that are tried for each target, from the one at which all weights are zero down."""
    most = standard.products.abs().amax(1).clamp_min(1e-300)
    return most[:, None] * torch.logspace(0, np.log10(LEAST_PENALTY), PENALTIES, dtype=torch.float64)


def weights(standard: Standardised, penalties: Float[Tensor, "t"]) -> Float[Tensor, "t n"]:
    """The weights of the features for each target."""
    found = coordinate_descent(standard.gram.numpy(), standard.products.numpy(), penalties.numpy())
    return standard.unscaled(torch.from_numpy(found))


def nearly(standard: Standardised, penalties: Float[Tensor, "t tried"]) -> Float[Tensor, "t tried n"]:
    """The same for many penalties at once, nearly: by alternating directions (Boyd et al. 2011)."""
    n = len(standard.gram)
    inverse = torch.linalg.inv(standard.gram + torch.eye(n, dtype=torch.float64))
    products, bound = standard.products[:, None], penalties[:, :, None]
    kept = dual = torch.zeros(*penalties.shape, n, dtype=torch.float64)
    for _ in range(ROUNDS):
        free = (products + kept - dual) @ inverse
        kept = (free + dual).sign() * ((free + dual).abs() - bound).clamp_min(0)
        dual = dual + free - kept
    return standard.unscaled(kept)


def coordinate_descent(
    gram: Float64[np.ndarray, "n n"], products: Float64[np.ndarray, "k n"], penalties: Float64[np.ndarray, "k"]
) -> Float64[np.ndarray, "k n"]:
    """The w that makes ½ w·Gw − b·w + penalty · Σ|w| least, for each of k right sides b (Friedman, Hastie, Tibshirani 2010)."""
    weights = np.zeros_like(products)
    slopes = products.copy()  # b − Gw
    for _ in range(SWEEPS):
        furthest = np.zeros(len(products))
        for feature in np.flatnonzero(np.diag(gram) > 0):
            own = gram[feature, feature]
            pull = slopes[:, feature] + own * weights[:, feature]
            moved = np.sign(pull) * np.maximum(np.abs(pull) - penalties, 0) / own - weights[:, feature]
            if moved.any():
                weights[:, feature] += moved
                slopes -= moved[:, None] * gram[feature]
                furthest = np.maximum(furthest, np.abs(moved))
        if (furthest <= PRECISION * np.abs(weights).max(1)).all():
            break
    return weights
