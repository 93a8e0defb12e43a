"""Where a sorted list of rows is cut into batches, so that little of them is padding."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

MIN_SAVING, MIN_FORWARDS = 0.05, 4
"""Full batches are cut where that saves at least this part of their tokens, and as much as so many forwards cost."""


def batch_sizes(lengths: Sequence[int], rows: int, tokens: int, held: int, forward_cost: int) -> list[int]:
    """How many rows each batch holds: as many as it may, or fewer where shorter rows would be padded for more than a forward.

    It depends on the lengths alone, not on the time that anything took, so that the same rows always go together.

    Args:
        lengths: of the rows, ascending; each is padded to the longest of its batch.
        rows: the most in a batch.
        tokens: the most positions in a batch of several rows, padding and `held` included.
        held: positions that each row holds beyond its length, in a cache.
        forward_cost: what a forward costs beyond its tokens, in tokens.

    Example:
        >>> batch_sizes([10, 10, 10, 90, 90], rows=4, tokens=1000, held=0, forward_cost=16)
        [3, 2]
        >>> batch_sizes([10, 10, 10, 90, 90], rows=4, tokens=180, held=0, forward_cost=16)
        [3, 2]
        >>> batch_sizes([10, 10, 10, 11, 11], rows=4, tokens=1000, held=0, forward_cost=16)
        [4, 1]
    """
    padded = np.asarray(lengths, dtype=np.int64)
    full = _full(padded, rows, tokens, held)
    best = _cheapest(padded, rows, tokens, held, forward_cost)
    cost_of_full = _cost(padded, full, forward_cost)
    worthwhile = cost_of_full - _cost(padded, best, forward_cost) >= max(MIN_SAVING * cost_of_full, MIN_FORWARDS * forward_cost)
    return best if worthwhile else full


def _full(lengths: Int[np.ndarray, "p"], rows: int, tokens: int, held: int) -> list[int]:
    """Batches from the first row on, each as large as it may be."""
    sizes, start = [], 0
    while start < len(lengths):
        some = lengths[start : start + rows] + held
        fitting = np.flatnonzero(some * np.arange(1, len(some) + 1) <= tokens)
        sizes.append(int(fitting[-1]) + 1 if len(fitting) else 1)
        start += sizes[-1]
    return sizes


def _cheapest(lengths: Int[np.ndarray, "p"], rows: int, tokens: int, held: int, forward_cost: int) -> list[int]:
    """The batches that together cost least, by dynamic programming over where the last of them begins."""
    total = len(lengths)
    costs, begins = np.zeros(total + 1), np.zeros(total + 1, dtype=np.int64)
    for end in range(1, total + 1):
        first = max(0, end - rows)
        counts = np.arange(end - first, 0, -1)
        longest = lengths[end - 1]
        allowed = (counts * (longest + held) <= tokens) | (counts == 1)
        each = np.where(allowed, costs[first:end] + counts * longest + forward_cost, np.inf)
        place = int(each.argmin())
        costs[end], begins[end] = each[place], first + place
    sizes, end = [], total
    while end:
        sizes.append(int(end - begins[end]))
        end = int(begins[end])
    return sizes[::-1]


def _cost(lengths: Int[np.ndarray, "p"], sizes: list[int], forward_cost: int) -> int:
    """Tokens that these batches read, padding included, and what their forwards cost beyond them."""
    ends = np.cumsum(sizes)
    return int((lengths[ends - 1] * np.asarray(sizes)).sum()) + forward_cost * len(sizes)
