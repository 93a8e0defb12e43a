"""Pairs of complementary coalitions, drawn size by size without replacement."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from math import comb

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interpreto_mllm.core.coalitions import coalition_keys


class PairSampler:
    """Every pair (S, N∖S) of `n` features, drawn at random and never twice; S is the larger side.

    Args:
        n: number of features.
        generator: of all randomness.

    Example:
        >>> sampler = PairSampler(4, torch.Generator().manual_seed(0))
        >>> sampler.sizes, sampler.left(), sampler.draw(2, 10).sum(1).tolist(), sampler.left()
        ([2, 3], [3, 4], [2, 2, 2], [0, 4])
    """

    def __init__(self, n: int, generator: torch.Generator):
        self.n, self._generator = n, generator
        self.sizes = list(range((n + 1) // 2, n))
        self.equal_shares = torch.tensor([1.0 if 2 * size == n else 2.0 for size in self.sizes], dtype=torch.float64)
        self._drawn: dict[int, set[bytes]] = {size: set() for size in self.sizes}

    def existing(self, size: int) -> int:
        """Number of pairs whose larger side has this size."""
        return comb(self.n, size) // (2 if 2 * size == self.n else 1)

    def left(self) -> list[int]:
        """Number of pairs not drawn yet, by size."""
        return [self.existing(size) - len(self._drawn[size]) for size in self.sizes]

    def draw_minimal(self, budget: int, cover_minimal: bool) -> tuple[int, Bool[Tensor, "q n"]]:
        """How many pairs the budget pays for besides v(∅) and v(N), and those to begin with: the minimal ones, if wanted."""
        pairs = min((budget - 2) // 2, sum(self.left()))
        if pairs < 1 or not cover_minimal:
            return pairs, torch.zeros(0, self.n, dtype=torch.bool)
        return pairs, self.draw(self.n - 1, self.n)[:pairs]

    def draw(self, size: int, count: int) -> Bool[Tensor, "q n"]:
        """`count` new larger sides of this size, or all there are if fewer."""
        drawn = self._drawn[size]
        count = min(count, self.existing(size) - len(drawn))
        enumerate_all = self.existing(size) <= 4 * (len(drawn) + count)
        rows: list[Tensor] = []
        while len(rows) < count:
            sides = self._all(size) if enumerate_all else self._random(size, count)
            for key, side in zip(coalition_keys(sides), sides, strict=True):
                if len(rows) < count and key not in drawn:
                    drawn.add(key)
                    rows.append(side)
        return torch.stack(rows) if rows else torch.zeros(0, self.n, dtype=torch.bool)

    def draw_counts(self, counts: Int[Tensor, "sizes"]) -> Bool[Tensor, "q n"]:
        """New larger sides, so many of each of `sizes`."""
        return torch.cat([self.draw(size, count) for size, count in zip(self.sizes, counts.tolist(), strict=True)])

    def _all(self, size: int) -> Bool[Tensor, "q n"]:
        """All larger sides of this size in random order; of halves, those with feature 0."""
        halves = 2 * size == self.n
        chosen = (
            [(0, *rest) for rest in combinations(range(1, self.n), size - 1)] if halves else combinations(range(self.n), size)
        )
        members = torch.tensor(list(chosen))
        sides = torch.zeros(len(members), self.n, dtype=torch.bool).scatter_(1, members, True)
        return sides[torch.randperm(len(sides), generator=self._generator)]

    def _random(self, size: int, count: int) -> Bool[Tensor, "q n"]:
        """Random orders of the features cut into blocks, each block a smaller side, to spread the features evenly."""
        small = self.n - size
        blocks = self.n // small
        orders = torch.rand(-(-count // blocks), self.n, generator=self._generator).argsort(1)
        absent = rearrange(orders[:, : blocks * small], "order (block small) -> (order block) small", small=small)
        sides = torch.ones(len(absent), self.n, dtype=torch.bool).scatter_(1, absent, False)
        return torch.where(~sides[:, :1], ~sides, sides) if 2 * size == self.n else sides


def share_out(
    total: int, weights: Float[Tensor, "sizes"], capacities: Sequence[int], generator: torch.Generator
) -> Int[Tensor, "sizes"]:
    """Whole numbers in proportion to `weights`, none above its capacity, that sum to `total` (or to all capacities, if less).

    What exceeds a capacity goes to the others; what is left after whole shares is distributed at random. Weights of 0 come
    last.

    Example:
        >>> share_out(10, torch.tensor([1.0, 1.0, 8.0], dtype=torch.float64), [9, 9, 4], torch.Generator()).tolist()
        [3, 3, 4]
    """
    total = min(total, sum(capacities))
    limits = torch.tensor([min(places, total) for places in capacities])
    counts = torch.zeros(len(capacities), dtype=torch.int64)
    while (left := total - int(counts.sum())) > 0:
        wanted = torch.where(counts < limits, weights.double(), 0.0)
        if not wanted.sum() > 0:
            wanted = (counts < limits).double()
        whole = (left * (wanted / wanted.sum())).floor().long()
        if not whole.any():
            whole[torch.multinomial(wanted, min(left, int((wanted > 0).sum())), generator=generator)] = 1
        counts += torch.minimum(whole, limits - counts)
    return counts
