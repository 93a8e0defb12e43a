"""Distinct random coalitions: of one size, or of any, always without replacement."""

from __future__ import annotations

from collections.abc import Callable
from math import comb

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interpreto_mllm.core.coalitions import first_occurrences
from interpreto_mllm.perturbators.inclusion import LARGEST

MOST_ENUMERATED = 1 << 20
"""Coalitions up to which all are numbered, to draw some of the numbers."""


def counting(n: int, codes: Int[Tensor, "p"]) -> Bool[Tensor, "p n"]:
    """The coalitions whose binary digits, most significant first, are these numbers."""
    return (codes[:, None] >> torch.arange(n - 1, -1, -1)) & 1 == 1


def distinct(sample: Callable[[int], Bool[Tensor, "_ n"]], count: int) -> Bool[Tensor, "p n"]:
    """The first `count` distinct rows of an endless stream, which `sample(rows)` continues by up to so many rows."""
    rows = sample(count)
    while True:
        rows = rows[first_occurrences(rows)]
        if len(rows) >= count:
            return rows[:count]
        rows = torch.cat([rows, sample(2 * (count - len(rows)) + 8)])


def subsets(n: int, size: int, count: int, generator: torch.Generator) -> Bool[Tensor, "p n"]:
    """`count` distinct coalitions of one size, every set of them equally likely; the first of them if fewer are asked for."""
    total = comb(n, size)
    if total <= max(MOST_ENUMERATED, 4 * count):
        return ranked(n, size, torch.randperm(total, generator=generator)[:count])

    def sample(rows: int) -> Bool[Tensor, "p n"]:
        picks = torch.rand(rows, n, generator=generator).argsort(1)[:, :size]
        return torch.zeros(rows, n, dtype=torch.bool).scatter_(1, picks, True)

    return distinct(sample, count)


def ranked(n: int, size: int, ranks: Int[Tensor, "p"]) -> Bool[Tensor, "p n"]:
    """The coalitions of one size that stand at these places, from 0, in lexicographic order of their features.

    Example:
        >>> ranked(4, 2, torch.tensor([0, 1, 5])).int().tolist()
        [[1, 1, 0, 0], [1, 0, 1, 0], [0, 0, 1, 1]]
    """
    rows = torch.zeros(len(ranks), n, dtype=torch.bool)
    left = torch.full_like(ranks, size)
    for feature in range(n):
        holding = torch.tensor([comb(n - 1 - feature, rest - 1) if rest else 0 for rest in range(size + 1)])[left]
        rows[:, feature] = ranks < holding
        left = left - rows[:, feature].long()
        ranks = torch.where(rows[:, feature], ranks, ranks - holding)
    return rows


def pairs_of_size(n: int, size: int) -> int:
    """How many pairs (S, N∖S) there are with |S| = `size` ≤ n/2."""
    return comb(n, size) // 2 if 2 * size == n else comb(n, size)


def smaller_sides(n: int, size: int, count: int, generator: torch.Generator) -> Bool[Tensor, "q n"]:
    """The sides S of `count` distinct pairs (S, N∖S) with |S| = `size` ≤ n/2."""
    if 2 * size < n:
        return subsets(n, size, count, generator)
    return torch.cat([torch.zeros(count, 1, dtype=torch.bool), subsets(n - 1, size, count, generator)], 1)


def expected_counts(capacities: list[int], shares: Float[Tensor, "sizes"], total: int) -> Float[Tensor, "sizes"]:
    """`total` divided among strata in proportion to `shares`, none above its capacity; what overflows goes to the others."""
    limits = torch.tensor([float(min(capacity, total)) for capacity in capacities], dtype=torch.float64)
    bounds = torch.tensor([float(min(capacity, LARGEST)) for capacity in capacities])
    full = torch.zeros_like(limits, dtype=torch.bool)
    while True:
        left = total - limits[full].sum()
        counts = torch.where(full, limits, left * shares / shares[~full].sum().clamp_min(1e-300))
        over = ~full & (counts >= bounds - 1e-9)
        if not over.any():
            return counts
        full |= over
        if full.all():
            return limits


def rounded(counts: Float[Tensor, "sizes"], generator: torch.Generator) -> list[int]:
    """Whole numbers with exactly these expectations and the same sum, each at most one away (systematic sampling)."""
    edges = torch.cat([torch.zeros(1, dtype=torch.float64), counts.cumsum(0)])
    edges = torch.where((edges - edges.round()).abs() < 1e-9, edges.round(), edges)
    offset = torch.rand((), generator=generator, dtype=torch.float64)
    return torch.floor(edges + offset).diff().long().tolist()
