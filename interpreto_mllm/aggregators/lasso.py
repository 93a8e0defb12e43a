"""Weights of a sparse linear surrogate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from interpreto_mllm.aggregators.aggregator import Aggregator, Estimate
from interpreto_mllm.aggregators.requirements import require_alike
from interpreto_mllm.aggregators.split_evaluations import log_population_weights
from interpreto_mllm.core.coalitions import pair_numbers
from interpreto_mllm.core.evaluations import Evaluations
from interpreto_mllm.core.numbers import is_number

PENALTIES = 40
LEAST_PENALTY = 1e-3
"""Of the largest one, at which every weight is zero; between the two are those that are tried."""
FOLDS = 5
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
        if penalty is not None and (not is_number(penalty) or not 0 <= penalty < float("inf")):
            raise ValueError(f"penalty must be a number, at least 0, or None for cross-validation; got {penalty!r}.")
        self.penalty = penalty

    def aggregate(self, evaluations: Evaluations) -> Estimate:
        require_alike(evaluations, self, "BernoulliPerturbator or ExactPerturbator")
        logs = log_population_weights(evaluations)
        standard = _Standardised.of(evaluations.coalitions.double(), evaluations.values, torch.exp(logs - logs.max()))
        if self.penalty is not None:
            penalties = torch.full((evaluations.values.shape[1],), float(self.penalty), dtype=torch.float64)
        else:
            penalties = _cross_validated(evaluations, torch.exp(logs - logs.max()), standard.penalties())
        return Estimate(standard.weights(penalties))


@dataclass(frozen=True, eq=False)
class _Standardised:
    """A regression on columns of mean 0 and variance 1.

    Args:
        centre, scale: of the columns; a scale of 0 where a feature is always there, or never.
        middle: the mean of each target.
        gram: the products of the columns.
        products: of the columns with each target.
    """

    centre: Float[Tensor, "n"]
    scale: Float[Tensor, "n"]
    middle: Float[Tensor, "t"]
    gram: Float[Tensor, "n n"]
    products: Float[Tensor, "t n"]

    @classmethod
    def of(cls, present: Float[Tensor, "p n"], values: Float[Tensor, "p t"], weights: Float[Tensor, "p"]) -> _Standardised:
        share = weights / weights.sum()
        centre, middle = share @ present, share @ values
        scale = (share @ (present - centre).square()).sqrt()
        columns = (present - centre) / torch.where(scale > 1e-12, scale, torch.inf)
        weighted = columns * share[:, None]
        return cls(centre, scale, middle, weighted.T @ columns, (values - middle).T @ weighted)

    def penalties(self) -> Float[Tensor, "t tried"]:
        """Those that are tried for each target, from the one at which all weights are zero down."""
        most = self.products.abs().amax(1).clamp_min(1e-300)
        return most[:, None] * torch.logspace(0, np.log10(LEAST_PENALTY), PENALTIES, dtype=torch.float64)

    def weights(self, penalties: Float[Tensor, "t"]) -> Float[Tensor, "t n"]:
        """The weights of the features, not standardised, for each target."""
        found = coordinate_descent(self.gram.numpy(), self.products.numpy(), penalties.numpy())
        return torch.from_numpy(found) / torch.where(self.scale > 1e-12, self.scale, torch.inf)

    def nearly(self, penalties: Float[Tensor, "t tried"]) -> Float[Tensor, "t tried n"]:
        """The same for many penalties at once, nearly: by alternating directions (Boyd et al. 2011)."""
        inverse = torch.linalg.inv(self.gram + torch.eye(len(self.gram), dtype=torch.float64))
        products, bound = self.products[:, None], penalties[:, :, None]
        kept = dual = torch.zeros(*penalties.shape, len(self.gram), dtype=torch.float64)
        for _ in range(ROUNDS):
            free = (products + kept - dual) @ inverse
            kept = (free + dual).sign() * ((free + dual).abs() - bound).clamp_min(0)
            dual = dual + free - kept
        return kept / torch.where(self.scale > 1e-12, self.scale, torch.inf)


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


def _cross_validated(
    evaluations: Evaluations, counts: Float[Tensor, "p"], penalties: Float[Tensor, "t tried"]
) -> Float[Tensor, "t"]:
    """For each target the penalty whose predictions of held-out coalitions are best; with two pairs or fewer the smallest."""
    pairs = pair_numbers(evaluations.coalitions)
    number = int(pairs.max()) + 1
    if number < 3:
        return penalties[:, -1]
    fold = (torch.randperm(number, generator=torch.Generator().manual_seed(0)) % min(FOLDS, number))[pairs]
    present, errors = evaluations.coalitions.double(), torch.zeros_like(penalties)
    for held in range(int(fold.max()) + 1):
        out = fold == held
        standard = _Standardised.of(present[~out], evaluations.values[~out], counts[~out])
        weights = standard.nearly(penalties)
        said = standard.middle[:, None, None] + weights @ (present[out] - standard.centre).T
        errors += (said - evaluations.values[out].T[:, None]).square() @ counts[out]
    return penalties.gather(1, errors.argmin(1, keepdim=True))[:, 0]
