"""Interactions of a random game with a product covariance, integrated like the Shapley values of `integrals`.

The expectation of Δ_T v(S) over coalitions S of the features outside T is a product over features: those of T contribute
their slopes, the others their means at the presence.
"""

from __future__ import annotations

from itertools import product
from math import comb

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interpreto_mllm.gaussian.presences import Presences


def set_covariance(
    present: Bool[Tensor, "p n"], sets: Int[Tensor, "sets order"], rates: Float[Tensor, "n"], presence: Presences
) -> Float[Tensor, "p sets"]:
    """Covariance of v(x) with the index of each set under k = exp(−Σᵢ rateᵢ [xᵢ ≠ xᵢ′])."""
    points, alike = presence[0][:, None], torch.exp(-rates)
    means = (points * alike + 1 - points, points + (1 - points) * alike)  # of a feature absent from x, and of one in it
    inside, absent = present.double(), means[0].log()
    products = torch.exp(inside @ (means[1].log() - absent).T + absent.sum(1)) * presence[1]
    covariance = torch.zeros(len(present), len(sets), dtype=torch.float64)
    for states in product((False, True), repeat=sets.shape[1]):
        own = torch.ones(len(points), len(sets), dtype=torch.float64)
        holds = torch.ones(len(present), len(sets), dtype=torch.bool)
        for state, members in zip(states, sets.T, strict=True):
            own = own * means[state][:, members]
            holds &= present[:, members] == state
        covariance = torch.where(holds, (-1) ** states.count(False) * (products @ (1 / own)), covariance)
    return covariance * (-torch.expm1(-rates))[sets].prod(1)


def set_variance(sets: Int[Tensor, "sets order"], rates: Float[Tensor, "n"], presence: Presences) -> Float[Tensor, "sets"]:
    """Variance of the index of each set under the same covariance."""
    points, apart = presence[0], -torch.expm1(-rates)
    different = (points[:, None] + points - 2 * points[:, None] * points).flatten()
    area = (presence[1][:, None] * presence[1]).flatten()
    means = torch.log1p(-apart[:, None] * different)
    total = means.sum(0)
    return torch.exp(total - means[sets].sum(1)) @ area * (2 * apart[sets]).prod(1)


def set_coefficients(
    present: Bool[Tensor, "p n"], sets: Int[Tensor, "sets order"], weights: Float[Tensor, "sizes"]
) -> Float[Tensor, "p sets"]:
    """What the index of each set takes v(x) times, for the weights of coalitions of the other features by size."""
    order = sets.shape[1]
    held = present[:, sets].sum(2)
    return weights[present.sum(1)[:, None] - held] * (-1.0) ** (order - held)


def size_coefficients(order: int, weights: Float[Tensor, "sizes"]) -> Float[Tensor, "counts"]:
    """The same summed over all coalitions of one size, for sizes 0 … n."""
    n = len(weights) - 1 + order
    summed = torch.zeros(n + 1, dtype=torch.float64)
    for size, weight in enumerate(weights.tolist()):
        for more in range(order + 1):
            summed[size + more] += (-1) ** (order - more) * comb(order, more) * comb(n - order, size) * weight
    return summed


def white_set_variance(order: int, weights: Float[Tensor, "sizes"]) -> float:
    """Variance of an index when the values of all coalitions are independent with variance 1."""
    n = len(weights) - 1 + order
    return 2**order * sum(comb(n - order, size) * weight**2 for size, weight in enumerate(weights.tolist()))
