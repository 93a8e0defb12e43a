"""Coin flips made even: orthogonal arrays, in which each feature and each pair of features is as often there as away."""

from __future__ import annotations

from itertools import count as numbers
from math import isqrt

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from interpreto_mllm.core.evaluations import Draw
from interpreto_mllm.perturbators.inclusion import shares
from interpreto_mllm.perturbators.perturbator import Drawing, Perturbator
from interpreto_mllm.perturbators.subsets import counting, distinct


class BalancedPerturbator(Perturbator):
    """Coalitions as of coin flips, but balanced: the two-level orthogonal arrays of Plackett & Burman.

    Over a whole array each feature is in half of the coalitions, and each pair of features in a quarter, so that no effect is
    mistaken for that of another feature: n effects are told apart by little more than n evaluations, with the least variance
    that so many allow. Features take the columns, and the two levels, at random; so each coalition is as likely to be drawn as
    any other, and whatever reads coin flips reads these. What a budget leaves over a whole array is part of another one. The
    arrays are those of Paley, doubled by Sylvester's rule. Plackett & Burman, "The design of optimum multifactorial
    experiments", 1946.

    Example:
        >>> draw = next(BalancedPerturbator().draw(7, 10, torch.Generator().manual_seed(0)))
        >>> present = draw.coalitions.double()
        >>> len(present), present.sum(0).unique().tolist()
        (8, [4.0])
    """

    def minimum_budget(self, n: int) -> int:
        """Two coalitions besides v(∅) and v(N)."""
        return min(2**n, 4)

    def draw(self, n: int, budget: int, generator: torch.Generator) -> Drawing:
        """Yield all coalitions at once."""
        population = 2**n - 2
        count = min(budget - 2, population)
        if 4 * count >= population:
            drawn = counting(n, 1 + torch.randperm(population, generator=generator)[:count])
        else:
            drawn = distinct(lambda rows: _balanced(rows, n, generator), count)
        weights, logs = shares([population] * count, [count] * count)
        yield Draw(drawn, weights, log_weights=logs)


def _balanced(count: int, n: int, generator: torch.Generator) -> Bool[Tensor, "p n"]:
    """So many coalitions of arrays, each as large as fits, but for ∅ and N."""
    parts = []
    while count > 0:
        order = next((order for order in range(count, n, -1) if _base(order)), 0) or _least(n + 1)
        rows = torch.randperm(order, generator=generator)[:count]
        columns = 1 + torch.randperm(order - 1, generator=generator)[:n]
        flipped = torch.randint(2, (n,), generator=generator) == 1
        parts.append(orthogonal(order, rows, columns) ^ flipped)
        count -= len(rows)
    drawn = torch.cat(parts)
    return drawn[drawn.any(1) & ~drawn.all(1)]


def orthogonal(order: int, rows: Int[Tensor, "p"], columns: Int[Tensor, "n"]) -> Bool[Tensor, "p n"]:
    """Where a Hadamard matrix of this order is 1, in these rows and columns; its first row and column are.

    Example:
        >>> orthogonal(4, torch.arange(4), torch.arange(4)).int().tolist()
        [[1, 1, 1, 1], [1, 0, 0, 1], [1, 1, 0, 0], [1, 0, 1, 0]]
    """
    base = _base(order)
    row, column = (rows % base)[:, None], (columns % base)[None]
    squares = torch.zeros(max(base - 1, 1), dtype=torch.bool)
    squares[torch.arange(1, max(base - 1, 1)).square() % max(base - 1, 1)] = True
    of_base = (row == 0) | (column == 0) | ((row != column) & ~squares[(column - row) % len(squares)])
    doubled = (rows // base)[:, None] & (columns // base)[None]
    odd = torch.zeros_like(doubled, dtype=torch.bool)
    for bit in range(int(doubled.max()).bit_length()):
        odd ^= (doubled >> bit) & 1 == 1
    return of_base ^ odd


def _least(size: int) -> int:
    """The least order of an array that is no smaller."""
    return next(order for order in numbers(size) if _base(order))


def _base(order: int) -> int:
    """The order of Paley's matrix that is doubled to one of this order, 1 where all is doubled; 0 where there is none."""
    while order > 1:
        if order % 4 == 0 and all((order - 1) % divisor for divisor in range(2, isqrt(order - 1) + 1)):
            return order
        if order % 2:
            return 0
        order //= 2
    return order
