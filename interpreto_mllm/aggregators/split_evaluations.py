"""Evaluations as Shapley estimates need them: pairs (S, N∖S) by their odd and even parts, and coalitions on their own.

`docs/pairs.md` derives why.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interpreto_mllm.core.coalitions import complementary_rows
from interpreto_mllm.core.evaluations import Evaluations


def population_weights(evaluations: Evaluations) -> Float[Tensor, "p"]:
    """How many coalitions of the game each distinct one stands for: itself alone once all are known."""
    return (
        torch.ones(len(evaluations.coalitions), dtype=torch.float64) if evaluations.complete else evaluations.merged_weights()
    )


@dataclass(frozen=True, eq=False)
class PairedCoalitions:
    """Coalitions that were evaluated together with their complements, ∅ and N aside.

    Args:
        sides: of each pair the coalition S of at most n/2 features.
        odd: (v(S) − v(N∖S)) / 2, above the same of the line from v(∅) to v(N).
        even: (v(S) + v(N∖S)) / 2, above (v(∅) + v(N)) / 2.
        weights: how many pairs of the game each one stands for.
    """

    sides: Bool[Tensor, "q n"]
    odd: Float[Tensor, "q t"]
    even: Float[Tensor, "q t"]
    weights: Float[Tensor, "q"]


@dataclass(frozen=True, eq=False)
class SingleCoalitions:
    """Coalitions that were evaluated without their complements, ∅ and N aside.

    Args:
        coalitions: as they were evaluated.
        values: v(S), above the line from v(∅) to v(N).
        weights: how many coalitions of the game each one stands for.
    """

    coalitions: Bool[Tensor, "sizes n"]
    values: Float[Tensor, "sizes t"]
    weights: Float[Tensor, "sizes"]


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
        weights = population_weights(evaluations)[2:]
        first, second = complementary_rows(coalitions)
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
            ),
            SingleCoalitions(coalitions[single], values[single], weights[single]),
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
