"""Interactions of pairs by regression on products of pairs; `docs/pairs.md` derives the formulas."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interpreto_mllm.aggregators.errors import seen_errors
from interpreto_mllm.aggregators.kernel import KernelAggregator
from interpreto_mllm.aggregators.ridge import RidgeFit, fit_ridge
from interpreto_mllm.aggregators.split_evaluations import SplitEvaluations
from interpreto_mllm.core.evaluations import Evaluations

REGRESSED = ("SII", "FSII", "STII", "k-SII")
"""Indices that a regression converges to."""
LEAST_UNITS_PER_MEAN = 2
"""Units per size, on average, from which on each size has a mean of its own."""


@dataclass(frozen=True, eq=False)
class PairEstimate:
    """Interactions of all pairs.

    Args:
        interactions: symmetric, with zeros on the diagonal.
        standard_errors: the same, where they are determined.
        left_out: sum of the squared errors of values that were left out, where pairs were regressed without a ridge.
    """

    interactions: Float[Tensor, "t n n"]
    standard_errors: Float[Tensor, "t n n"] | None
    left_out: Float[Tensor, "t"] | None = None


def pair_matrices(pairs: Float[Tensor, "t k"], n: int) -> Float[Tensor, "t n n"]:
    """The numbers of all k = n(n−1)/2 pairs as symmetric matrices with zeros on the diagonal."""
    first, second = torch.triu_indices(n, n, 1)
    upper = torch.zeros(len(pairs), n, n, dtype=torch.float64)
    upper[:, first, second] = pairs
    return upper + rearrange(upper, "t i j -> t j i")


def regress_pairs(evaluations: Evaluations, index: str) -> PairEstimate:
    """Weighted regression on products of pairs; what it converges to with more coalitions is the index.

    A coalition known with its complement enters by its even part, which contains no main effects; one on its own by its value
    above the additive reading. Every size has a mean of its own. What the interactions of a feature sum to is not estimated
    where it is known: for SII it is v(N) − v(N∖i) − v(i) + v(∅), for STII 2φᵢ − 2(v(i) − v(∅)). The kernel weights of SII are
    those of Fumagalli et al., "KernelSHAP-IQ", 2024. With few coalitions there is a ridge, and no standard errors: the
    strongest pairs can then be named, but their values are too small.

    Raises:
        ValueError: for an index that is not `REGRESSED`, with no coalitions besides the empty and the full one, or for STII
            when some feature was never alone.
    """
    if index not in REGRESSED:
        raise ValueError(
            f"{index} is not read off coalitions that follow a fixed rule: explain with GaussianProcessShapley or KernelShap, "
            f"or ask for {', '.join(REGRESSED[:-1])} or {REGRESSED[-1]}."
        )
    if len(evaluations.coalitions) < 3:
        raise ValueError(
            "Interactions are read off stored coalitions, and only the empty and the full one are there: give a larger budget."
        )
    regression = _PairRegression(evaluations, faithful=index == "FSII")
    if index == "STII":
        return _shapley_taylor(evaluations, regression)
    influence, determined = regression.influence_with_free_mean(), regression.fit.determined
    estimate = 4 * influence @ regression.even
    if index == "SII":
        known, sums = regression.singleton_margins()
        influence = influence - regression.project_on_sums(known, influence)
        estimate += regression.minimum_norm_pairs(known, sums) - regression.project_on_sums(known, estimate)
        determined = determined and bool(known.all())
    errors = 4 * ((influence.square() * regression.unseen) @ regression.fit.residuals.square()).sqrt()
    known = determined and evaluations.design.independent
    shown = seen_errors(errors.T, evaluations.values) if known else None
    errors = None if shown is None else regression.matrices(shown.T)
    return PairEstimate(regression.matrices(estimate), errors, regression.left_out())


def _shapley_taylor(evaluations: Evaluations, regression: _PairRegression) -> PairEstimate:
    """STII: SII without a third of what pairs gain with each other feature present, which the odd part determines."""
    n, singleton = evaluations.n, evaluations.sizes == 1
    if int(singleton.sum()) < n:
        raise ValueError(
            f"STII needs every feature on its own, and only {int(singleton.sum())} of {n} were evaluated so: explain with "
            f"KernelShap or MonteCarloShapley and a budget of {4 * n + 2} or more, or ask for SII or FSII."
        )
    alone = torch.zeros(n, evaluations.values.shape[1], dtype=torch.float64)
    alone[evaluations.coalitions[singleton].int().argmax(1)] = evaluations.values[singleton] - evaluations.empty
    shapley = KernelAggregator().regress(evaluations).attributions.T
    third = regression.third_order(shapley)
    every = torch.ones(n, dtype=torch.bool)
    estimate = regression.fit.influence @ regression.even - (n - 4) / 3 * third
    estimate = 4 * (estimate - regression.project_on_sums(every, estimate))
    estimate += regression.minimum_norm_pairs(every, 2 * (shapley - alone))
    return PairEstimate(regression.matrices(estimate), None, regression.left_out())


class _PairRegression:
    """The even part regressed on the products of all k = n(n−1)/2 pairs.

    Args:
        evaluations: those to read.
        faithful: weigh sizes for FSII rather than for SII and STII.
    """

    def __init__(self, evaluations: Evaluations, faithful: bool):
        split = SplitEvaluations.of(evaluations)
        self.split, self.n, self.sizes, self.paired = split, split.n, split.sizes, split.paired
        self.first, self.second = torch.triu_indices(self.n, self.n, 1)
        self.signs = split.coalitions.double() * 2 - 1
        self.products = self.signs[:, self.first] * self.signs[:, self.second]
        self.weights, self.unseen = _weights(split, faithful)
        self.groups = _mean_groups(split)
        self.even = split.even_observations
        columns = [self.products]
        if not self.paired.all():
            single = ~self.paired
            additive = KernelAggregator().regress(evaluations).attributions.T
            slopes = additive - (evaluations.full - evaluations.empty) / self.n
            self.even[single] -= self.signs[single] @ slopes / 2
            columns.append(torch.where(single[:, None], self.signs, 0.0))
        fit = fit_ridge(torch.cat(columns, 1), self.even, self.weights, self.groups)
        self.fit = RidgeFit(fit.influence[: len(self.first)], fit.residuals, fit.determined)

    def matrices(self, pairs: Float[Tensor, "k t"]) -> Float[Tensor, "t n n"]:
        """The numbers of all pairs as symmetric matrices."""
        return pair_matrices(pairs.T, self.n)

    def left_out(self) -> Float[Tensor, "t"] | None:
        """Sum of the squared errors of left-out values of pairs of coalitions, if there are only pairs and no ridge."""
        return self.fit.residuals.square().sum(0) if self.fit.determined and bool(self.paired.all()) else None

    def singleton_margins(self) -> tuple[Bool[Tensor, "n"], Float[Tensor, "n t"]]:
        """Of which features the pair ({i}, N∖{i}) is known, and what it says that their interactions sum to."""
        pairs = self.split.pairs
        singleton = pairs.sides.sum(1) == 1
        feature = pairs.sides[singleton].int().argmax(1)
        known, sums = torch.zeros(self.n, dtype=torch.bool), torch.zeros(self.n, self.even.shape[1], dtype=torch.float64)
        known[feature], sums[feature] = True, -2 * pairs.even[singleton]
        return known, sums

    def sums(self, pairs: Float[Tensor, "k c"]) -> Float[Tensor, "n c"]:
        """What the pairs of each feature sum to."""
        zero = torch.zeros(self.n, pairs.shape[1], dtype=torch.float64)
        return zero.index_add(0, self.first, pairs).index_add(0, self.second, pairs)

    def minimum_norm_pairs(self, known: Bool[Tensor, "n"], sums: Float[Tensor, "n c"]) -> Float[Tensor, "k c"]:
        """The pairs of least Euclidean norm that have these sums for the known features."""
        gram = (torch.ones(self.n, self.n) + (self.n - 2) * torch.eye(self.n)).double()[known][:, known]
        per_feature = torch.zeros_like(sums)
        per_feature[known] = torch.linalg.pinv(gram, hermitian=True) @ sums[known]
        return per_feature[self.first] + per_feature[self.second]

    def project_on_sums(self, known: Bool[Tensor, "n"], pairs: Float[Tensor, "k c"]) -> Float[Tensor, "k c"]:
        """The part of the pairs that their sums for the known features determine."""
        return self.minimum_norm_pairs(known, self.sums(pairs))

    def influence_with_free_mean(self) -> Float[Tensor, "k u"]:
        """The influence of each unit on each pair, the mean of all pairs estimated from how values curve with the size.

        Means of sizes absorb the mean of all pairs, because Σ xᵢxⱼ depends on the size alone. It is regressed here on what
        they absorbed, v(∅) and v(N) met exactly.
        """
        influence = self.fit.influence - self.fit.influence.mean(0)
        curve = ((2 * self.sizes - self.n).double() ** 2 - self.n) / 2 - len(self.first)
        of_mean = self.weights * curve / (self.weights * curve.square()).sum().clamp_min(1e-300)
        return influence + of_mean - (of_mean @ self.products) @ influence

    def third_order(self, shapley: Float[Tensor, "n t"]) -> Float[Tensor, "k t"]:
        """Slope of the odd part, without main effects, on (Σxₗ) xᵢxⱼ: how the product of a pair grows with the others."""
        if not self.paired.any():
            raise ValueError(
                "STII needs coalitions with their complements; draw with KernelPerturbator or MonteCarloPerturbator."
            )
        paired = self.paired
        mean = shapley.sum(0) / self.n
        rest = self.split.pairs.odd - self.signs[paired] @ (shapley - mean) / 2
        sizes = self.sizes[paired]
        design = (2 * sizes - self.n)[:, None] * self.products[paired]
        halves = 2 * sizes == self.n
        groups = self.groups[paired].unique(return_inverse=True)[1]
        weights = self.weights[paired][~halves]
        return fit_ridge(design[~halves], rest[~halves], weights, groups[~halves]).influence @ rest[~halves]


def _weights(split: SplitEvaluations, faithful: bool) -> tuple[Float[Tensor, "u"], Float[Tensor, "u"]]:
    """Kernel weight of each unit, sizes having their mass however many were drawn; and the share of its size not seen."""
    n, sizes, paired = split.n, split.sizes.double(), split.paired

    def mass(s: Float[Tensor, "u"]) -> Float[Tensor, "u"]:
        shapley_kernel = 1 / (s * (n - s))
        return shapley_kernel if faithful else shapley_kernel / ((s - 1).clamp_min(1) * (n - s - 1).clamp_min(1))

    seen = torch.zeros(n + 1, dtype=torch.float64)
    seen.index_add_(0, split.sizes, torch.ones_like(sizes))
    seen.index_add_(0, n - split.sizes, paired.double())
    of_complement = torch.where(paired, mass(n - sizes) / seen[n - split.sizes], 0.0)
    existing = torch.exp(torch.lgamma(torch.tensor(n + 1.0).double()) - torch.lgamma(sizes + 1) - torch.lgamma(n - sizes + 1))
    return mass(sizes) / seen[split.sizes] + of_complement, (1 - seen[split.sizes] / existing.round()).clamp_min(0)


def _mean_groups(split: SplitEvaluations) -> Int[Tensor, "u"]:
    """The group whose mean each unit shares: its size, pairs and singles apart; one for all if units are few per group."""
    groups = (split.sizes * 2 + split.paired).unique(return_inverse=True)[1]
    return groups if len(groups) >= LEAST_UNITS_PER_MEAN * (int(groups.max()) + 1) else torch.zeros_like(groups)
