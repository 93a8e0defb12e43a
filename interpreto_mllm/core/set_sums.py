"""Sums over coalitions for every set of two or three features, without a number for each coalition and set."""

from __future__ import annotations

from collections.abc import Iterator
from math import comb

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

ORDERS = (2, 3)
"""How many features a set has."""


def all_sets(n: int, order: int) -> Int[Tensor, "sets order"]:
    """Every set of so many of n features, in lexicographic order.

    Example:
        >>> all_sets(3, 2).tolist()
        [[0, 1], [0, 2], [1, 2]]
    """
    return torch.cat([sets_from(first, n, order) for first in range(n - order + 1)])


def sets_from(first: int, n: int, order: int) -> Int[Tensor, "sets order"]:
    """Those of `all_sets` whose first feature is this one.

    Example:
        >>> sets_from(1, 4, 3).tolist()
        [[1, 2, 3]]
    """
    if order == 2:
        others = torch.arange(first + 1, n)[:, None]
    else:
        others = torch.triu_indices(n - first - 1, n - first - 1, 1).T + first + 1
    return torch.cat([torch.full((len(others), 1), first), others], 1)


class HeldSums:
    """Σ_x f(x, |T ∩ x|) for every set T, for a function f of a coalition and of how many features of T it holds.

    Written in finite differences of f, the sum is one over products of up to `order` presences.

    Args:
        present: the coalitions.
        held: f for 0 … order features held.

    Example:
        >>> sums = HeldSums(torch.tensor([[True, True, False]]), torch.tensor([[5.0, 6.0, 8.0]]).double())
        >>> torch.cat(list(sums)).tolist()  # of {0, 1}, {0, 2}, {1, 2}
        [8.0, 6.0, 6.0]
    """

    def __init__(self, present: Bool[Tensor, "p n"], held: Float[Tensor, "p counts"]):
        self._present, self.order = present.double(), held.shape[1] - 1
        steps = [
            sum((-1) ** (k - count) * comb(k, count) * held[:, count] for count in range(k + 1)) for k in range(self.order + 1)
        ]
        none, one, two, *three = (torch.as_tensor(step) for step in steps)
        self._none, self._one = none.sum(), self._present.T @ one
        self._two = self._present.T @ (two[:, None] * self._present)
        self._three = three

    def __iter__(self) -> Iterator[Float[Tensor, "sets"]]:
        """The sums of the sets of `sets_from`, for each first feature."""
        n = self._present.shape[1]
        for first in range(n - self.order + 1):
            rest = slice(first + 1, n)
            alone = self._none + self._one[first] + self._one[rest] + self._two[first, rest]
            if self.order == 2:
                yield alone
                continue
            both = (self._present[:, rest] * (self._three[0] * self._present[:, first])[:, None]).T @ self._present[:, rest]
            both += self._two[rest, rest] + alone[:, None] + self._one[rest] + self._two[first, rest]
            second, third = torch.triu_indices(len(alone), len(alone), 1)
            yield both[second, third]
