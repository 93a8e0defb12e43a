"""Evaluations as Shapley estimates need them: pairs (S, N∖S) by their odd and even parts, and coalitions on their own.

`docs/pairs.md` derives why.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import log

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interpreto_mllm.core.coalitions import complementary_rows, log_inverse_binomials
from interpreto_mllm.core.evaluations import Evaluations


def population_weights(evaluations: Evaluations) -> Float[Tensor, "p"]:
    """How many coalitions of the game each distinct one stands for: itself alone once all are known.

    Where the draws carry no such weights, those of one size are taken to be drawn alike, and each stands for its share of them.

    Example:
        >>> none = torch.zeros(0)
        >>> some = torch.tensor([[0, 0, 0], [1, 1, 1], [1, 0, 0], [0, 0, 1], [1, 0, 1]]).bool()
        >>> population_weights(Evaluations(some, torch.zeros(5, 1).double(), none.long(), none.double(), none.long())).tolist()
        [1.0, 1.0, 1.5, 1.5, 3.0]
    """
    if evaluations.complete:
        return torch.ones(len(evaluations.coalitions), dtype=torch.float64)
    if evaluations.design.weighted:
        return evaluations.merged_weights()
    sizes = evaluations.sizes
    return torch.exp(-log_inverse_binomials(evaluations.coalitions)).round() / torch.bincount(sizes)[sizes]


def log_population_weights(evaluations: Evaluations) -> Float[Tensor, "p"]:
    """Logarithms of `population_weights`, also where these exceed the largest float."""
    if evaluations.complete:
        return torch.zeros(len(evaluations.coalitions), dtype=torch.float64)
    if evaluations.design.weighted:
        return evaluations.merged_log_weights()
    sizes = evaluations.sizes
    return -log_inverse_binomials(evaluations.coalitions) - torch.bincount(sizes)[sizes].double().log()


SAME_WEIGHT = 1e-9
"""Difference of the logarithms of two weights up to which a coalition and its complement were drawn as a pair."""


@dataclass(frozen=True, eq=False)
class PairedCoalitions:
    """Coalitions that were evaluated together with their complements, of the same weight, ∅ and N aside.

    Args:
        sides: of each pair the coalition S of at most n/2 features.
        odd: (v(S) − v(N∖S)) / 2, above the same of the line from v(∅) to v(N).
        even: (v(S) + v(N∖S)) / 2, above (v(∅) + v(N)) / 2.
        weights: how many pairs of the game each one stands for.
        log_weights: their logarithms, also where they exceed the largest float.
    """

    sides: Bool[Tensor, "q n"]
    odd: Float[Tensor, "q t"]
    even: Float[Tensor, "q t"]
    weights: Float[Tensor, "q"]
    log_weights: Float[Tensor, "q"]


@dataclass(frozen=True, eq=False)
class SingleCoalitions:
    """Coalitions that were evaluated without their complements, or as other draws than these, ∅ and N aside.

    Args:
        coalitions: as they were evaluated.
        values: v(S), above the line from v(∅) to v(N).
        weights: how many coalitions of the game each one stands for.
        log_weights: their logarithms, also where they exceed the largest float.
    """

    coalitions: Bool[Tensor, "sizes n"]
    values: Float[Tensor, "sizes t"]
    weights: Float[Tensor, "sizes"]
    log_weights: Float[Tensor, "sizes"]


@dataclass(frozen=True, eq=False)
class SplitEvaluations:
    """Units of observation: first the pairs, then the coalitions on their own."""

    pairs: PairedCoalitions
    singles: SingleCoalitions

    @staticmethod
    def of(evaluations: Evaluations) -> SplitEvaluations:
        """All evaluations but ∅ and N."""
        n, coalitions = evaluations.n, evaluations.coalitions[2:]
        share = coalitions.double().mean(1, keepdim=True)
        values = evaluations.values[2:] - evaluations.empty - share * (evaluations.full - evaluations.empty)
        weights, logs = population_weights(evaluations)[2:], log_population_weights(evaluations)[2:]
        first, second = complementary_rows(coalitions)
        together = (logs[first] - logs[second]).abs() < SAME_WEIGHT
        first, second = first[together], second[together]
        first_is_smaller = 2 * coalitions[first].sum(1) <= n
        small, large = torch.where(first_is_smaller, first, second), torch.where(first_is_smaller, second, first)
        single = torch.ones(len(coalitions), dtype=torch.bool)
        single[torch.cat([small, large])] = False
        return SplitEvaluations(
            PairedCoalitions(
                coalitions[small],
                odd=(values[small] - values[large]) / 2,
                even=(values[small] + values[large]) / 2,
                weights=(weights[small] + weights[large]) / 2,
                log_weights=torch.logaddexp(logs[small], logs[large]) - log(2),
            ),
            SingleCoalitions(coalitions[single], values[single], weights[single], logs[single]),
        )

    @property
    def n(self) -> int:
        """Number of features."""
        return self.coalitions.shape[1]

    @property
    def paired(self) -> Bool[Tensor, "u"]:
        """Whether each unit is a pair."""
        return torch.arange(len(self.coalitions)) < len(self.pairs.sides)

    @property
    def multiplicity(self) -> Int[Tensor, "u"]:
        """Number of coalitions in each unit: 2 in a pair, else 1."""
        return 1 + self.paired.long()

    @property
    def coalitions(self) -> Bool[Tensor, "u n"]:
        """The coalition of each unit; of a pair, its smaller side."""
        return torch.cat([self.pairs.sides, self.singles.coalitions])

    @property
    def sizes(self) -> Int[Tensor, "u"]:
        """Number of features in each unit's coalition."""
        return self.coalitions.sum(1)

    @property
    def weights(self) -> Float[Tensor, "u"]:
        """How many units of the game each one stands for."""
        return torch.cat([self.pairs.weights, self.singles.weights])

    @property
    def log_weights(self) -> Float[Tensor, "u"] | None:
        """Logarithms of the weights, where some exceed the largest float; None elsewhere."""
        return torch.cat([self.pairs.log_weights, self.singles.log_weights]) if self.weights.isinf().any() else None

    @property
    def odd_observations(self) -> Float[Tensor, "u t"]:
        """What each unit says of the odd part of the game: a pair its odd part itself, a single v(S), even part and all."""
        return torch.cat([self.pairs.odd, self.singles.values])

    @property
    def even_observations(self) -> Float[Tensor, "u t"]:
        """What each unit says of the even part of the game: a pair its even part itself, a single v(S), odd part and all."""
        return torch.cat([self.pairs.even, self.singles.values])

    def size_groups(self) -> Iterator[tuple[Int[Tensor, "k"], bool]]:
        """The units of each size, pairs and singles apart, and whether the mean of their odd observations may be subtracted.

        That mean does not distinguish features, except among pairs of n/2 features, whose sign is arbitrary.
        """
        keys = self.sizes * 2 + self.paired
        for key in keys.unique().tolist():
            yield (keys == key).nonzero()[:, 0], key != self.n + 1 or self.n % 2 == 1


def every_size_repeats(sides: Bool[Tensor, "u n"], paired: Bool[Tensor, "u"]) -> bool:
    """Whether there are two units or more, or all there are, of coalitions of each size.

    A size drawn once says nothing of how its coalitions differ, and one never drawn nothing at all.

    Args:
        sides: the coalition of each unit, one side of a pair.
        paired: whether each unit is a pair.

    Example:
        >>> sides = torch.tensor([[1, 1, 0], [1, 0, 1]]).bool()
        >>> every_size_repeats(sides, torch.tensor([True, True])), every_size_repeats(sides, torch.tensor([False, True]))
        (True, False)
    """
    n, sizes = sides.shape[1], sides.sum(1)
    counts = torch.bincount(sizes, minlength=n + 1)
    counts = counts + torch.bincount((n - sizes)[paired & (2 * sizes != n)], minlength=n + 1)
    return bool((counts[1:n] >= (2 if n > 2 else 1)).all())


def effective_freedom(weights: Float[Tensor, "u"], unseen: Float[Tensor, "u"]) -> float:
    """Degrees of freedom of a variance that sums squared weights, by Satterthwaite's rule: few where a few units decide.

    Args:
        weights: of each unit in the estimate.
        unseen: 1 − inclusion probability of each unit, 0 for one that was bound to be there.

    Example:
        >>> effective_freedom(torch.tensor([1.0, 1.0, 9.0]), torch.tensor([1.0, 1.0, 0.0]))
        2.0
    """
    relative = weights / weights.max().clamp_min(1e-300) if len(weights) else weights
    return effective_number(relative.square() * unseen)


def effective_number(weights: Float[Tensor, "u"]) -> float:
    """How many units of equal weight say as much: (Σw)² / Σw² (Kish 1965).

    Example:
        >>> effective_number(torch.tensor([1.0, 1.0, 1.0])), effective_number(torch.tensor([1.0, 0.0, 0.0]))
        (3.0, 1.0)
    """
    return float(weights.sum().square() / weights.square().sum().clamp_min(1e-300))
