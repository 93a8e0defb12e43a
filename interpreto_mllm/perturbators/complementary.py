"""Pairs of complementary coalitions, sizes shared out evenly."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from math import comb

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interpreto_mllm.core.coalitions import coalition_keys
from interpreto_mllm.core.evaluations import Draw
from interpreto_mllm.perturbators.perturbator import Drawing, Perturbator


class ComplementaryPerturbator(Perturbator):
    """Draws pairs (S, N∖S) for the complementary contributions v(S) − v(N∖S), all sizes of S equally often and no pair twice.

    From Zhang, Sun, Liu, Xiong, Pei and Ren, "Efficient Sampling Approaches to Shapley Value Approximation", SIGMOD
    2023, with sizes shared out as evenly as the number of existing pairs allows instead of drawn by chance, and
    features spread evenly over the smaller sides. A budget of 2^n draws every pair. Of an odd budget one evaluation
    stays unspent.

    Args:
        cover_minimal: begin with the pairs ({i}, N∖{i}) of every feature, as far as the budget goes, in random order.

    Example:
        >>> [draw] = ComplementaryPerturbator().draw(3, 8, torch.Generator().manual_seed(0))
        >>> bool((draw.coalitions[0::2] == ~draw.coalitions[1::2]).all()), len(draw.coalitions)
        (True, 6)
    """

    def __init__(self, cover_minimal: bool = True):
        self.cover_minimal = cover_minimal

    def minimum_budget(self, n: int) -> int:
        """One pair besides v(∅) and v(N)."""
        return min(2**n, 4)

    def draw(self, n: int, budget: int, generator: torch.Generator) -> Drawing:
        """Yield all pairs in one round, S then N∖S, with a chain for each."""
        deck = PairDeck(n, generator)
        pairs, drawn = deck.open(budget, self.cover_minimal)
        if pairs < 1:
            return
        drawn += deck.deal_all(share_out(pairs - sum(map(len, drawn)), deck.evenly, deck.room(), generator))
        coalitions = torch.cat(drawn)
        sizes = coalitions.sum(1)
        existing = torch.tensor([float(min(deck.existing(int(size)), 10**300)) for size in sizes], dtype=torch.float64)
        weights = existing / torch.bincount(sizes, minlength=n)[sizes]
        yield Draw.of_pairs(coalitions, weights)


class PairDeck:
    """Every pair (S, N∖S) of `n` features, dealt at random and never twice; S is the larger side.

    Args:
        n: number of features.
        generator: of all randomness.

    Example:
        >>> deck = PairDeck(4, torch.Generator().manual_seed(0))
        >>> deck.sizes, deck.room(), deck.deal(2, 10).sum(1).tolist(), deck.room()
        ([2, 3], [3, 4], [2, 2, 2], [0, 4])
    """

    def __init__(self, n: int, generator: torch.Generator):
        self.n, self._generator = n, generator
        self.sizes = list(range((n + 1) // 2, n))
        self.evenly = torch.tensor([1.0 if 2 * size == n else 2.0 for size in self.sizes], dtype=torch.float64)
        self._dealt: dict[int, set[bytes]] = {size: set() for size in self.sizes}

    def existing(self, size: int) -> int:
        """Number of pairs whose larger side has this size."""
        return comb(self.n, size) // (2 if 2 * size == self.n else 1)

    def room(self) -> list[int]:
        """Number of pairs not dealt yet, by size."""
        return [self.existing(size) - len(self._dealt[size]) for size in self.sizes]

    def open(self, budget: int, cover_minimal: bool) -> tuple[int, list[Bool[Tensor, "_ n"]]]:
        """How many pairs the budget pays beside v(∅) and v(N), and those to begin with: the minimal ones, if wanted."""
        pairs = min((budget - 2) // 2, sum(self.room()))
        return pairs, [self.deal(self.n - 1, self.n)[:pairs]] if cover_minimal and pairs > 0 else []

    def deal(self, size: int, count: int) -> Bool[Tensor, "p n"]:
        """`count` new larger sides of this size, or all there are if fewer."""
        dealt = self._dealt[size]
        count = min(count, self.existing(size) - len(dealt))
        few = self.existing(size) <= 4 * (len(dealt) + count)
        rows: list[Tensor] = []
        while len(rows) < count:
            sides = self._all(size) if few else self._random(size, count)
            for key, side in zip(coalition_keys(sides), sides, strict=True):
                if len(rows) < count and key not in dealt:
                    dealt.add(key)
                    rows.append(side)
        return torch.stack(rows) if rows else torch.zeros(0, self.n, dtype=torch.bool)

    def deal_all(self, counts: Int[Tensor, "s"]) -> list[Bool[Tensor, "_ n"]]:
        """New larger sides, so many of each of `sizes`."""
        return [self.deal(size, count) for size, count in zip(self.sizes, counts.tolist(), strict=True)]

    def _all(self, size: int) -> Tensor:
        halves = 2 * size == self.n
        chosen = (
            [(0, *rest) for rest in combinations(range(1, self.n), size - 1)] if halves else combinations(range(self.n), size)
        )
        members = torch.tensor(list(chosen))
        sides = torch.zeros(len(members), self.n, dtype=torch.bool).scatter_(1, members, True)
        return sides[torch.randperm(len(sides), generator=self._generator)]

    def _random(self, size: int, count: int) -> Tensor:
        """Random orders of the features cut into blocks, each block a smaller side, to spread the features evenly."""
        small = self.n - size
        blocks = self.n // small
        orders = torch.rand(-(-count // blocks), self.n, generator=self._generator).argsort(1)
        absent = orders[:, : blocks * small].reshape(-1, small)
        sides = torch.ones(len(absent), self.n, dtype=torch.bool).scatter_(1, absent, False)
        return torch.where(~sides[:, :1], ~sides, sides) if 2 * size == self.n else sides


def share_out(total: int, weights: Float[Tensor, "s"], room: Sequence[int], generator: torch.Generator) -> Int[Tensor, "s"]:
    """Whole numbers in proportion to `weights`, none above its `room`, that sum to `total` (or to all the room, if less).

    What one share cannot hold goes to the others; what is left after whole shares is given by chance; weights of 0 come last.

    Example:
        >>> share_out(10, torch.tensor([1.0, 1.0, 8.0], dtype=torch.float64), [9, 9, 4], torch.Generator()).tolist()
        [3, 3, 4]
    """
    total = min(total, sum(room))
    limits = torch.tensor([min(places, total) for places in room])
    counts = torch.zeros(len(room), dtype=torch.int64)
    while (left := total - int(counts.sum())) > 0:
        wanted = torch.where(counts < limits, weights.double(), 0.0)
        if not wanted.sum() > 0:
            wanted = (counts < limits).double()
        whole = (left * (wanted / wanted.sum())).floor().long()
        if not whole.any():
            whole[torch.multinomial(wanted, min(left, int((wanted > 0).sum())), generator=generator)] = 1
        counts += torch.minimum(whole, limits - counts)
    return counts
