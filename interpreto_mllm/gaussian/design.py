"""Which coalitions to evaluate next."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interpreto_mllm.gaussian.cholesky import factor
from interpreto_mllm.gaussian.kernel import ODD, Kernel

LEAST_VARIANCE_SHARE = 1e-9
"""Share of its prior variance above which a candidate still counts as uncertain."""
TIE_TOLERANCE = 1e-9
"""Relative difference of gains below which candidates are tied."""


def greedy_design(
    kernel: Kernel, known: Float[Tensor, "u n"], candidates: Float[Tensor, "q n"], count: int, room: Int[Tensor, "sizes"]
) -> Int[Tensor, "chosen"]:
    """Rows of at most `count` candidates, each the one whose pair lowers the summed variance of the Shapley values most.

    Each choice counts those before it as known, because variances do not depend on values. Of tied candidates the first is
    chosen; those of which nothing is uncertain are never chosen.

    A game may change with the number of features present in ways that no stationary covariance foresees. Pairs of one size, and
    those of no feature, would then seem to tell everything, so that the others are hardly looked at. `room` prevents this.

    Args:
        kernel: the covariance of the game.
        known: one side of each pair evaluated, as signs.
        candidates: one side of each pair to choose from, as signs.
        count: how many to choose.
        room: how many to choose at most of each size, that of the smaller side of a pair, 0 … n/2.
    """
    lower = factor(kernel.covariance(known, known, ODD))
    whitened = torch.linalg.solve_triangular(lower, kernel.covariance(known, candidates, ODD), upper=False)
    whitened_shapley = torch.linalg.solve_triangular(lower, kernel.shapley_covariance(known), upper=False)
    covariance = kernel.shapley_covariance(candidates) - whitened.T @ whitened_shapley
    prior = kernel.variance(candidates, ODD)
    variance = prior - whitened.square().sum(0)
    steps = torch.zeros(min(count, len(candidates)), len(candidates), dtype=torch.float64)
    chosen: list[int] = []
    sizes, room = torch.minimum((candidates > 0).sum(1), (candidates < 0).sum(1)), room.clone()
    eligible = torch.ones(len(candidates), dtype=torch.bool)
    for step in range(len(steps)):
        eligible &= (variance > LEAST_VARIANCE_SHARE * prior) & (room[sizes] > 0)
        if not eligible.any():
            break
        gains = torch.where(eligible, covariance.square().sum(1) / variance, -1.0)
        row = int((gains >= (1 - TIE_TOLERANCE) * gains.max()).nonzero()[0])
        chosen.append(row)
        eligible[row] = False
        room[sizes[row]] -= 1
        between = kernel.covariance(candidates[row : row + 1], candidates, ODD)[0]
        between = between - whitened[:, row] @ whitened - steps[:step, row] @ steps[:step]
        deviation = variance[row].sqrt()
        steps[step] = between / deviation
        covariance = covariance - torch.outer(steps[step], covariance[row] / deviation)
        variance = variance - steps[step].square()
    return torch.tensor(chosen, dtype=torch.int64)
