"""Random orders in which the features join."""

from __future__ import annotations

from collections.abc import Iterator
from math import comb, log

import torch
from jaxtyping import Bool
from torch import Tensor

from interpreto_mllm.core.coalitions import coalition_keys
from interpreto_mllm.core.design import Design
from interpreto_mllm.core.evaluations import Draw
from interpreto_mllm.perturbators.inclusion import LARGEST
from interpreto_mllm.perturbators.perturbator import Drawing, Perturbator

MOST_IDLE_PERMUTATIONS = 64
"""Permutations in a row that bring nothing new, or too much for the budget, after which the search ends."""


class PermutationPerturbator(Perturbator):
    """Random permutations, each a chain of coalitions from ∅ to N that grows by one feature; only whole ones are drawn.

    Permutation sampling is due to Castro, Gómez & Tejada 2009; the reversed partner to Mitchell et al. 2022. Coalitions
    evaluated before are free, so small games get more permutations than the budget would pay for one by one. Whether a
    permutation still fits depends on no value and treats all features alike, so the mean marginal contribution is unbiased.

    Args:
        antithetic: follow each permutation by its reverse.

    Example:
        >>> draw = next(PermutationPerturbator().draw(3, 4, torch.Generator().manual_seed(0)))
        >>> draw.coalitions.sum(1).tolist()
        [0, 1, 2, 3]
    """

    nested = True

    def __init__(self, antithetic: bool = True):
        self.antithetic = antithetic

    def draw(self, n: int, budget: int, generator: torch.Generator) -> Drawing:
        chains = self._fitting(n, budget, generator)
        existing = [comb(n, size) for size in range(n + 1)]
        per_size = torch.tensor([1 / many for many in existing], dtype=torch.float64)
        weights = 1 / torch.expm1(len(chains) * torch.log1p(-per_size)).abs()
        logs = torch.tensor([log(many) - log(len(chains)) for many in existing], dtype=torch.float64)
        large = existing[n // 2] > LARGEST
        yield Draw(
            torch.cat(chains),
            weights.repeat(len(chains)),
            torch.arange(len(chains)).repeat_interleave(n + 1),
            design=Design.ORDERS,
            log_weights=torch.where(weights.isfinite(), weights.log(), logs).repeat(len(chains)) if large else None,
        )

    def minimum_budget(self, n: int) -> int:
        return n + 1

    def _fitting(self, n: int, budget: int, generator: torch.Generator) -> list[Bool[Tensor, "steps n"]]:
        """Distinct permutations, until everything was seen or many in a row brought nothing new that fits the budget."""
        kept: dict[tuple[bytes, ...], Tensor] = {}
        seen: set[bytes] = set()
        idle = 0
        for chain in self._chains(n, generator):
            keys = coalition_keys(chain)
            new = len(seen.union(keys)) - len(seen)
            idle = 0 if 0 < new <= budget - len(seen) else idle + 1
            if new <= budget - len(seen):
                kept[tuple(keys)] = chain
                seen.update(keys)
            if idle > MOST_IDLE_PERMUTATIONS or len(seen) == 2**n:
                break
        return list(kept.values())

    def _chains(self, n: int, generator: torch.Generator) -> Iterator[Bool[Tensor, "steps n"]]:
        sizes = torch.arange(n + 1)[:, None]
        while True:
            ranks = torch.randperm(n, generator=generator)
            yield ranks < sizes
            if self.antithetic:
                yield n - 1 - ranks < sizes
