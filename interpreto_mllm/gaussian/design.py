"""Which coalitions to evaluate next."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interpreto_mllm.gaussian.cholesky import factor
from interpreto_mllm.gaussian.kernel import ODD, Kernel

NOTHING = 1e-9
TIE = 1e-9


def most_telling(kernel: Kernel, known: Float[Tensor, "m n"], candidates: Float[Tensor, "q n"], count: int) -> Int[Tensor, "k"]:
    """Rows of at most `count` candidates, each the one whose pair lowers the summed variance of the Shapley values most.

    Each choice takes those before it for granted, as variances do not depend on values. Of candidates that tell as much, the
    first is chosen. Those of which nothing is uncertain never are.

    Args:
        kernel: the covariance of the game.
        known: one side of each pair evaluated, as signs.
        candidates: one side of each pair to choose from, as signs.
        count: how many to choose.
    """
    lower = factor(kernel.covariance(known, known, ODD))
    seen = torch.linalg.solve_triangular(lower, kernel.covariance(known, candidates, ODD), upper=False)
    told = torch.linalg.solve_triangular(lower, kernel.shapley_covariance(known), upper=False)
    covariance = kernel.shapley_covariance(candidates) - seen.T @ told
    prior = kernel.variance(candidates, ODD)
    variance = prior - seen.square().sum(0)
    steps = torch.zeros(min(count, len(candidates)), len(candidates), dtype=torch.float64)
    chosen: list[int] = []
    open_still = torch.ones(len(candidates), dtype=torch.bool)
    for k in range(len(steps)):
        open_still &= variance > NOTHING * prior
        if not open_still.any():
            break
        gains = torch.where(open_still, covariance.square().sum(1) / variance, -1.0)
        row = int((gains >= (1 - TIE) * gains.max()).nonzero()[0])
        chosen.append(row)
        open_still[row] = False
        between = kernel.covariance(candidates[row : row + 1], candidates, ODD)[0]
        between = between - seen[:, row] @ seen - steps[:k, row] @ steps[:k]
        deviation = variance[row].sqrt()
        steps[k] = between / deviation
        covariance = covariance - torch.outer(steps[k], covariance[row] / deviation)
        variance = variance - steps[k].square()
    return torch.tensor(chosen, dtype=torch.int64)
