"""Coin flips: every feature present or absent with equal probability."""

from __future__ import annotations

import torch
from jaxtyping import Bool
from torch import Tensor

from interpreto_mllm.core.evaluations import Draw
from interpreto_mllm.perturbators.inclusion import shares
from interpreto_mllm.perturbators.perturbator import Drawing, Perturbator
from interpreto_mllm.perturbators.subsets import MOST_ENUMERATED, counting, distinct


class BernoulliPerturbator(Perturbator):
    """Coalitions uniform among all, without replacement: the distribution behind Banzhaf values and LIME.

    Args:
        paired: follow each coalition by its complement, which removes the even part of the game from the noise.

    Example:
        >>> next(BernoulliPerturbator().draw(2, 4, torch.Generator().manual_seed(0))).coalitions.int().tolist()
        [[0, 1], [1, 0]]
    """

    nested = True

    def __init__(self, paired: bool = True):
        self.paired = paired

    def draw(self, n: int, budget: int, generator: torch.Generator) -> Drawing:
        multiplicity = 2 if self.paired else 1
        population = (2**n - 2) // multiplicity
        count = min((budget - 2) // multiplicity, population)
        if population <= max(MOST_ENUMERATED, 4 * count):
            drawn = counting(n, 1 + torch.randperm(population, generator=generator)[:count])
        else:
            drawn = distinct(lambda rows: self._flips(rows, n, generator), count)
        weights, logs = shares([population] * len(drawn), [count] * len(drawn))
        yield Draw.of_pairs(drawn, weights, log_weights=logs) if self.paired else Draw(drawn, weights, log_weights=logs)

    def minimum_budget(self, n: int) -> int:
        return min(2**n, 4)

    def _flips(self, count: int, n: int, generator: torch.Generator) -> Bool[Tensor, "p n"]:
        flips = torch.randint(2, (count, n), generator=generator) == 1
        if self.paired:
            flips[:, 0] = False
        return flips[flips.any(1) & ~flips.all(1)]
