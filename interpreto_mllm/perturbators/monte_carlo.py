"""Stratified random coalitions with known inclusion probabilities."""

from __future__ import annotations

import torch

from interpreto_mllm.perturbators.perturbator import Drawing, Perturbator
from interpreto_mllm.perturbators.stratified_pairs import draw_stratified_pairs

ALL_OF_A_SIZE = 1e9
"""A share so large that every pair of the size is drawn."""


class MonteCarloPerturbator(Perturbator):
    """Complementary pairs without replacement, stratified by size, for unbiased sums over all coalitions.

    A coalition of size s enters Shapley sums with a root-mean-square coefficient proportional to (s(n−s))^(−1/2) / C(n, s),
    so sizes share the budget as (s(n−s))^(−1/2), the allocation of least variance when values vary alike at all sizes
    (Neyman 1934). Once the budget pays two pairs a feature, all pairs ({i}, N∖{i}) come first: what they
    say of each feature removes most of the noise of the rest. Weights are inverse inclusion probabilities (Horvitz &
    Thompson 1952).

    Args:
        cover_minimal: True for all pairs ({i}, N∖{i}) first at every budget, which must pay them and another pair; False for
            never, so that they are drawn at random like the others; None, the default, as said above.

    Example:
        >>> draw = next(MonteCarloPerturbator().draw(4, 10, torch.Generator().manual_seed(0)))
        >>> bool((draw.coalitions[0::2] ^ draw.coalitions[1::2]).all())
        True
    """

    nested = True

    def __init__(self, cover_minimal: bool | None = None):
        self.cover_minimal = cover_minimal

    def draw(self, n: int, budget: int, generator: torch.Generator) -> Drawing:
        sizes = torch.arange(1, n // 2 + 1, dtype=torch.float64)
        pairs, shares = (budget - 2) // 2, (sizes * (n - sizes)).rsqrt()
        if pairs >= 2 * n if self.cover_minimal is None else self.cover_minimal:
            shares[0] = ALL_OF_A_SIZE
        yield draw_stratified_pairs(n, pairs, shares, generator)

    def minimum_budget(self, n: int) -> int:
        return min(2**n, 2 * n + 4 if self.cover_minimal else 4)
