"""Blocks of coalitions for Sobol indices."""

from __future__ import annotations

import torch

from interpreto_mllm.core.coalitions import coalition_keys
from interpreto_mllm.core.design import Design
from interpreto_mllm.core.evaluations import Draw
from interpreto_mllm.perturbators.perturbator import Drawing, Perturbator


class SobolPerturbator(Perturbator):
    """Saltelli blocks: two coin-flip coalitions A and B, then A with feature i taken from B, for each i (Saltelli et al. 2010).

    Each block [A, B, AB_1 … AB_n] is one chain and is drawn whole or not at all.

    Example:
        >>> draw = next(SobolPerturbator().draw(3, 8, torch.Generator().manual_seed(0)))
        >>> len(draw.coalitions) % 5
        0
    """

    def draw(self, n: int, budget: int, generator: torch.Generator) -> Drawing:
        swap = torch.eye(n, dtype=torch.bool)
        blocks = []
        seen = set(coalition_keys(torch.tensor([[False] * n, [True] * n])))
        while len(seen) < 2**n:
            a, b = torch.randint(2, (2, n), generator=generator) == 1
            block = torch.cat([a[None], b[None], torch.where(swap, b, a)])
            seen.update(coalition_keys(block))
            if len(seen) > budget:
                break
            blocks.append(block)
        if blocks:
            chains = torch.arange(len(blocks)).repeat_interleave(n + 2)
            yield Draw(torch.cat(blocks), chains=chains, design=Design.BLOCKS)

    def minimum_budget(self, n: int) -> int:
        return min(2**n, n + 4)
