"""What a Shapley estimate is made of: coalitions joined with their complements, and centred."""

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
class Units:
    """Coalitions other than ∅ and N; where the complement is known too, one unit stands for both.

    Args:
        coalitions: of a pair, the one of at most n/2 features.
        values: v(S) above the line from v(∅) to v(N); of a pair the odd part, half of v(S) − v(N∖S), above the same line.
        even: of a pair the even part, the mean of v(S) and v(N∖S), above that of v(∅) and v(N); else the same as `values`.
        weights: how many units of the game each one stands for.
        copies: 2 for a pair, 1 for a coalition on its own.
    """

    coalitions: Bool[Tensor, "u n"]
    values: Float[Tensor, "u t"]
    even: Float[Tensor, "u t"]
    weights: Float[Tensor, "u"]
    copies: Int[Tensor, "u"]

    @staticmethod
    def of(evaluations: Evaluations) -> Units:
        """The units of these evaluations."""
        n, coalitions = evaluations.n, evaluations.coalitions[2:]
        share = coalitions.double().mean(1, keepdim=True)
        values = evaluations.values[2:] - evaluations.empty - share * (evaluations.full - evaluations.empty)
        first, second = complementary_rows(coalitions)
        smaller = 2 * coalitions[first].sum(1) <= n
        low, high = torch.where(smaller, first, second), torch.where(smaller, second, first)
        alone = torch.ones(len(coalitions), dtype=torch.bool)
        alone[torch.cat([low, high])] = False
        weights = population_weights(evaluations)[2:]
        return Units(
            torch.cat([coalitions[low], coalitions[alone]]),
            torch.cat([(values[low] - values[high]) / 2, values[alone]]),
            torch.cat([(values[low] + values[high]) / 2, values[alone]]),
            torch.cat([(weights[low] + weights[high]) / 2, weights[alone]]),
            torch.cat([torch.full_like(low, 2), torch.ones(int(alone.sum()), dtype=torch.int64)]),
        )

    @property
    def sizes(self) -> Int[Tensor, "u"]:
        """Number of features present in each unit's coalition."""
        return self.coalitions.sum(1)

    def strata(self) -> Iterator[tuple[Int[Tensor, "k"], bool]]:
        """The units of each size and kind, and whether their mean is theirs to lose.

        The mean of a stratum tells no feature from another, except for pairs of n/2 features, whose sign is arbitrary.
        """
        n = self.coalitions.shape[1]
        keys = self.sizes * 2 + (self.copies == 2)
        for key in keys.unique().tolist():
            yield (keys == key).nonzero()[:, 0], key != n + 1 or n % 2 == 1
