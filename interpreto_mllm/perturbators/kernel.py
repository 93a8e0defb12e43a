"""Coalitions for KernelSHAP."""

from __future__ import annotations

from math import comb

import torch

from interpreto_mllm.core.design import Design
from interpreto_mllm.core.evaluations import Draw
from interpreto_mllm.perturbators.inclusion import shares
from interpreto_mllm.perturbators.perturbator import Drawing, Perturbator
from interpreto_mllm.perturbators.stratified_pairs import draw_stratified_pairs


class KernelPerturbator(Perturbator):
    """Complementary pairs without replacement, sizes in proportion to their mass under the Shapley kernel.

    All coalitions of size s together weigh 1/(s(n−s)) (Lundberg & Lee 2017). Sizes that the budget covers, s and n−s from the
    border inwards, are enumerated; the others are sampled, and weigh as many coalitions as each one stands for. Pairing
    follows Covert & Lee 2021. Once the budget covers 2^n, it draws everything and the regression is exact.

    A budget of at most 2n + 1 leaves no more than one pair a feature. Independent pairs would then often carry the same
    information, so the coalitions are the nested ones of a random order, which are linearly independent.

    Example:
        >>> draw = next(KernelPerturbator().draw(6, 14, torch.Generator().manual_seed(0)))
        >>> draw.coalitions[0].logical_xor(draw.coalitions[1]).all().item()
        True
    """

    nested = True

    def draw(self, n: int, budget: int, generator: torch.Generator) -> Drawing:
        pairs = (budget - 2) // 2
        if pairs < n:
            yield self._nested(n, pairs, generator)
        else:
            sizes = torch.arange(1, n // 2 + 1, dtype=torch.float64)
            yield draw_stratified_pairs(n, pairs, 1 / (sizes * (n - sizes)), generator)

    def minimum_budget(self, n: int) -> int:
        return min(2**n, 4)

    def _nested(self, n: int, pairs: int, generator: torch.Generator) -> Draw:
        sizes = 1 + torch.randperm(n - 1, generator=generator)[:pairs]
        inside = torch.randperm(n, generator=generator) < sizes[:, None]
        existing = [comb(n, size) * (n - 1) for size in sizes.tolist()]
        weights, log_weights = shares(existing, [2 * len(sizes)] * len(sizes))
        return Draw.of_pairs(inside, weights, design=Design.ORDERS, log_weights=log_weights)
