"""Interactions of pairs of features: exact from all coalitions, by regression from some."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interpreto_mllm.aggregators.kernel import KernelAggregator
from interpreto_mllm.aggregators.ridge import Fit, fit
from interpreto_mllm.aggregators.units import Units
from interpreto_mllm.core.evaluations import Evaluations

INDICES = ("SII", "FSII", "STII")
MOST_FEATURES = 128


@dataclass(frozen=True, eq=False)
class PairEstimate:
    """Interactions of all pairs, symmetric with zeros on the diagonal, and their standard errors where they can be told."""

    interactions: Float[Tensor, "t n n"]
    standard_errors: Float[Tensor, "t n n"] | None


def interactions(evaluations: Evaluations, index: str = "SII") -> PairEstimate:
    """Exact when every coalition is known, by `regressed` otherwise.

    Each index is a mean of what i and j are worth together beyond what each adds alone, v(S∪ij) − v(S∪i) − v(S∪j) + v(S):
    over sizes of S alike ("SII", Grabisch & Roubens 1999), sizes in the middle first ("FSII", the pairs of the best
    approximation by pairs, Tsai, Yeh & Ravikumar 2023), or small ones first ("STII", Sundararajan, Dhamdhere & Agarwal 2020).

    Raises:
        ValueError: for another index, fewer than 2 features, more than 128 of them, or coalitions that cannot tell.
    """
    n = evaluations.n
    if index not in INDICES:
        raise ValueError(f"index must be one of {', '.join(map(repr, INDICES))}; got {index!r}.")
    if not 2 <= n <= MOST_FEATURES:
        raise ValueError(
            f"Interactions are of pairs among 2 to {MOST_FEATURES} features; this result has {n}. "
            "Explain with a coarser granularity or with groups of features."
        )
    return exact(evaluations, index) if evaluations.complete else regressed(evaluations, index)


def exact(evaluations: Evaluations, index: str) -> PairEstimate:
    """The definition summed over all coalitions T, of which i and j may hold both, one or none.

    Example:
        >>> pair = torch.tensor([[0, 0], [1, 1], [1, 0], [0, 1]]).bool()
        >>> none = torch.zeros(0)
        >>> known = Evaluations(pair, pair.all(1, keepdim=True).double(), none.long(), none, none.long())
        >>> exact(known, "SII").interactions.tolist()
        [[[0.0, 1.0], [1.0, 0.0]]]
    """
    n, present = evaluations.n, evaluations.coalitions.double()
    weight = _size_weights(n, index)
    size = evaluations.sizes + 2
    both, one, none = weight[size - 2], -weight[size - 1], weight[size]
    products, single = (both - 2 * one + none)[:, None], (one - none)[:, None]
    found = []
    for value in evaluations.values.T[:, :, None]:
        alone = (present * single * value).sum(0)
        found.append(present.T @ (products * value * present) + alone + alone[:, None] + none @ value)
    matrix = _hollow(torch.stack(found))
    return PairEstimate(matrix, torch.zeros_like(matrix))


def _size_weights(n: int, index: str) -> Float[Tensor, "m"]:
    """Weight of each S without i and j, by size, with zeros at −2, −1, n − 1 and n: Beta functions B(s + a, n − 1 − s + b)."""
    factor, a, b = {"SII": (1, 1, 0), "FSII": (6, 2, 1), "STII": (2, 1, 1)}[index]
    size = torch.arange(n - 1, dtype=torch.float64)
    total = torch.tensor(n - 1 + a + b, dtype=torch.float64)
    weights = factor * torch.exp(torch.lgamma(size + a) + torch.lgamma(n - 1 - size + b) - torch.lgamma(total))
    return torch.nn.functional.pad(weights, (2, 2))


def regressed(evaluations: Evaluations, index: str) -> PairEstimate:
    """Weighted regression on products of pairs; what it converges to with more coalitions is the index.

    A coalition known with its complement enters by its even part, in which no main effect is left; one on its own by what it
    is worth beyond the additive reading. Every size has a mean of its own. What the products of a feature sum to is not
    estimated where it is known: for SII it is v(N) − v(N∖i) − v(i) + v(∅), for STII 2φᵢ − 2(v(i) − v(∅)). The kernel weights of
    SII are those of Fumagalli et al., "KernelSHAP-IQ", 2024. With few coalitions there is a ridge, and no standard errors:
    the strongest pairs can then be named, their values are too small.

    Raises:
        ValueError: with no coalitions besides the empty and the full one, or for STII when some feature was never alone.
    """
    if len(evaluations.coalitions) < 3:
        raise ValueError(
            "Interactions are read off stored coalitions, and only the empty and the full one are there: give a larger budget."
        )
    pairs = _Pairs(evaluations, faithful=index == "FSII")
    if index == "STII":
        return _taylor(evaluations, pairs)
    influence, told = pairs.curved(), pairs.fit.determined
    estimate = 4 * influence @ pairs.even
    if index == "SII":
        known, sums = pairs.border()
        influence = influence - pairs.spread(known, influence)
        estimate += pairs.lifted(known, sums) - pairs.spread(known, estimate)
        told = told and bool(known.all())
    errors = 4 * ((influence.square() * pairs.unseen) @ pairs.fit.residuals.square()).sqrt()
    return PairEstimate(pairs.square(estimate), pairs.square(errors) if told else None)


def _taylor(evaluations: Evaluations, pairs: _Pairs) -> PairEstimate:
    """STII: as SII, less a third of what pairs gain with each other feature present, read off the odd part."""
    n, alone = evaluations.n, evaluations.sizes == 1
    if int(alone.sum()) < n:
        raise ValueError(
            f"STII needs every feature on its own, and only {int(alone.sum())} of {n} were evaluated so: explain with "
            f"KernelShap or MonteCarloShapley and a budget of {4 * n + 2} or more, or ask for SII or FSII."
        )
    lone = torch.zeros(n, evaluations.values.shape[1], dtype=torch.float64)
    lone[evaluations.coalitions[alone].int().argmax(1)] = evaluations.values[alone] - evaluations.empty
    values = KernelAggregator().aggregate(evaluations).attributions.T
    third = pairs.third_order(values)
    everyone = torch.ones(n, dtype=torch.bool)
    estimate = pairs.fit.influence @ pairs.even - (n - 4) / 3 * third
    estimate = 4 * (estimate - pairs.spread(everyone, estimate)) + pairs.lifted(everyone, 2 * (values - lone))
    return PairEstimate(pairs.square(estimate), None)


class _Pairs:
    """The regression of one set of evaluations on the products of all pairs."""

    def __init__(self, evaluations: Evaluations, faithful: bool):
        n, units = evaluations.n, Units.of(evaluations)
        self.n, self.units, self.sizes = n, units, units.sizes
        self.first, self.second = torch.triu_indices(n, n, 1)
        self.signs = units.coalitions.double() * 2 - 1
        self.products = self.signs[:, self.first] * self.signs[:, self.second]
        self.weights, self.unseen = _weights(units, faithful)
        self.alone = units.copies == 1
        self.groups = _groups(units)
        self.even = units.even.clone()
        columns = [self.products]
        if self.alone.any():
            additive = KernelAggregator().aggregate(evaluations).attributions.T
            slopes = additive - (evaluations.full - evaluations.empty) / n
            self.even[self.alone] -= self.signs[self.alone] @ slopes / 2
            columns.append(torch.where(self.alone[:, None], self.signs, 0.0))
        whole = fit(torch.cat(columns, 1), self.even, self.weights, self.groups)
        self.fit = Fit(whole.influence[: len(self.first)], whole.residuals, whole.determined)

    def square(self, pairs: Float[Tensor, "k t"]) -> Float[Tensor, "t n n"]:
        """As symmetric matrices."""
        matrix = torch.zeros(pairs.shape[1], self.n, self.n, dtype=torch.float64)
        matrix[:, self.first, self.second] = pairs.T
        return matrix + matrix.transpose(1, 2)

    def border(self) -> tuple[Bool[Tensor, "n"], Float[Tensor, "n t"]]:
        """Which features are known alone and as the only one missing, and what their interactions sum to."""
        border = (self.sizes == 1) & ~self.alone
        feature = self.units.coalitions[border].int().argmax(1)
        known, sums = torch.zeros(self.n, dtype=torch.bool), torch.zeros(self.n, self.even.shape[1], dtype=torch.float64)
        known[feature], sums[feature] = True, -2 * self.units.even[border]
        return known, sums

    def sums(self, pairs: Float[Tensor, "k c"]) -> Float[Tensor, "n c"]:
        """What the pairs of each feature sum to."""
        zero = torch.zeros(self.n, pairs.shape[1], dtype=torch.float64)
        return zero.index_add(0, self.first, pairs).index_add(0, self.second, pairs)

    def lifted(self, known: Bool[Tensor, "n"], sums: Float[Tensor, "n c"]) -> Float[Tensor, "k c"]:
        """The smallest pairs with these sums, for the features known."""
        gram = (torch.ones(self.n, self.n) + (self.n - 2) * torch.eye(self.n)).double()[known][:, known]
        each = torch.zeros_like(sums)
        each[known] = torch.linalg.pinv(gram, hermitian=True) @ sums[known]
        return each[self.first] + each[self.second]

    def spread(self, known: Bool[Tensor, "n"], pairs: Float[Tensor, "k c"]) -> Float[Tensor, "k c"]:
        """The part of the pairs that their sums, for the features known, determine."""
        return self.lifted(known, self.sums(pairs))

    def curved(self) -> Float[Tensor, "k u"]:
        """The influence, the mean of all pairs taken from how the value curves with the size, v(∅) and v(N) met."""
        influence = self.fit.influence - self.fit.influence.mean(0)
        curve = ((2 * self.sizes - self.n).double() ** 2 - self.n) / 2 - len(self.first)
        weights = self.weights * curve / (self.weights * curve.square()).sum().clamp_min(1e-300)
        return influence + weights - (weights @ self.products) @ influence

    def third_order(self, values: Float[Tensor, "n t"]) -> Float[Tensor, "k t"]:
        """By how much the product of a pair grows with each feature present rather than absent, on average."""
        together = ~self.alone
        if not together.any():
            raise ValueError(
                "STII needs coalitions with their complements; draw with KernelPerturbator or MonteCarloPerturbator."
            )
        total = values.sum(0) / self.n
        rest = self.units.values[together] - self.signs[together] @ (values - total) / 2
        sizes = self.sizes[together]
        design = (2 * sizes - self.n)[:, None] * self.products[together]
        middle = 2 * sizes == self.n
        groups = self.groups[together].unique(return_inverse=True)[1]
        return fit(design[~middle], rest[~middle], self.weights[together][~middle], groups[~middle]).influence @ rest[~middle]


def _weights(units: Units, faithful: bool) -> tuple[Float[Tensor, "u"], Float[Tensor, "u"]]:
    """Kernel weight of each unit, sizes having their mass however many were drawn; and the share of its size not seen."""
    n, sizes = units.coalitions.shape[1], units.sizes.double()

    def mass(s: Tensor) -> Tensor:
        near = 1 / (s * (n - s))
        return near if faithful else near / ((s - 1).clamp_min(1) * (n - s - 1).clamp_min(1))

    pairs = units.copies == 2
    seen = torch.zeros(n + 1, dtype=torch.float64)
    seen.index_add_(0, units.sizes, torch.ones_like(sizes))
    seen.index_add_(0, n - units.sizes, pairs.double())
    opposite = torch.where(pairs, mass(n - sizes) / seen[n - units.sizes], 0.0)
    existing = torch.exp(torch.lgamma(torch.tensor(n + 1.0).double()) - torch.lgamma(sizes + 1) - torch.lgamma(n - sizes + 1))
    return mass(sizes) / seen[units.sizes] + opposite, (1 - seen[units.sizes] / existing.round()).clamp_min(0)


def kernel_weights(evaluations: Evaluations) -> Float[Tensor, "p"]:
    """Weights of all coalitions but ∅ and N that give every size its mass 1/(s(n−s)) under the Shapley kernel."""
    sizes = evaluations.sizes[2:]
    mass = 1 / (sizes * (evaluations.n - sizes)).double()
    return mass / torch.bincount(sizes, minlength=1)[sizes]


def _groups(units: Units) -> Int[Tensor, "u"]:
    """Units of one size and kind; a single group where there are hardly more units than sizes."""
    groups = (units.sizes * 2 + (units.copies == 2)).unique(return_inverse=True)[1]
    return groups if len(groups) >= 2 * (int(groups.max()) + 1) else torch.zeros_like(groups)


def _hollow(matrices: Float[Tensor, "t n n"]) -> Float[Tensor, "t n n"]:
    return matrices.masked_fill(torch.eye(matrices.shape[1], dtype=torch.bool), 0.0)
