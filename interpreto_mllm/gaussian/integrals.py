"""Shapley values of a random game with a product covariance: polynomials integrated exactly by Gauss–Legendre nodes.

The Shapley value is ∫₀¹ E[v(S ∪ i) − v(S)] dt over coalitions S of the others, each present with probability t (Owen 1972).
Under a covariance that is a product over features, the expectation is such a product too.
"""

from __future__ import annotations

from functools import lru_cache
from math import ceil, comb, sqrt

import numpy as np
import torch
from einops import einsum
from jaxtyping import Bool, Float
from torch import Tensor

NODES_PER_ROOT = 4.3
"""Nodes per √n beyond which no more are needed; see `nodes`."""
AT_ONCE = 32
"""Features whose factors are held in memory at a time."""


@lru_cache(maxsize=32)
def nodes(n: int) -> tuple[Float[Tensor, "nodes"], Float[Tensor, "nodes"]]:
    """Nodes and weights on [0, 1] that integrate products of up to n + 1 factors at + b(1 − t), none of them negative.

    Such a product is a mixture of the t^j (1 − t)^(n − j), whose Chebyshev coefficients fall at least as exp(−k² / 2n). Beyond
    74 features √(74 n) / 2 nodes are therefore as good as the n/2 + 1 that integrate every polynomial of degree n + 1.

    Example:
        >>> points, weights = nodes(6)
        >>> round(float(weights @ points**7), 12)
        0.125
    """
    points, weights = np.polynomial.legendre.leggauss(min(n // 2 + 1, ceil(NODES_PER_ROOT * sqrt(n)) + 1))
    return torch.from_numpy((points + 1) / 2), torch.from_numpy(weights / 2)


def share_covariance(present: Bool[Tensor, "p n"], rates: Float[Tensor, "n"]) -> Float[Tensor, "p n"]:
    """Covariance of v(S) with each feature's Shapley value under k = exp(−Σᵢ rateᵢ [xᵢ ≠ xᵢ′])."""
    points, weights = nodes(len(rates))
    apart = torch.exp(-rates)
    with_it = torch.log(points[:, None] + (1 - points[:, None]) * apart)
    without = torch.log(points[:, None] * apart + 1 - points[:, None])
    inside = present.double()
    products = torch.exp(inside @ (with_it - without).T + without.sum(1)) * weights
    gains = torch.where(present, products @ torch.exp(-with_it), -(products @ torch.exp(-without)))
    return -torch.expm1(-rates) * gains


def share_variance(rates: Float[Tensor, "n"]) -> Float[Tensor, "n"]:
    """Variance of each feature's Shapley value under the same covariance."""
    points, weights = nodes(len(rates))
    different = points[:, None] + points - 2 * points[:, None] * points
    area = weights[:, None] * weights
    apart = -torch.expm1(-rates)
    total = torch.zeros_like(different)
    for share in apart.tolist():
        total += torch.log1p(-share * different)
    gains = [(torch.exp(total - torch.log1p(-share * different)) * area).sum() for share in apart.tolist()]
    return 2 * apart * torch.stack(gains)


def share_variance_of_sums(rates: Float[Tensor, "n"], members: Float[Tensor, "n sums"]) -> Float[Tensor, "sums"]:
    """Variance of the sum of the Shapley values of some features under the same covariance.

    Example:
        >>> rates = torch.tensor([0.5, 1.0, 0.2]).double()
        >>> whole = share_variance_of_sums(rates, torch.ones(3, 1).double())  # that of v(N) − v(∅)
        >>> bool((whole - 2 * (1 - torch.exp(-rates.sum()))).abs() < 1e-12)
        True
    """
    points, weights = nodes(len(rates))
    different = points[:, None] + points - 2 * points[:, None] * points
    edges, total = 2 * points - 1, torch.zeros_like(different)
    own = torch.zeros(members.shape[1], *different.shape, dtype=torch.float64)
    squares = torch.zeros_like(own)
    for some, apart in zip(members.split(AT_ONCE), (-torch.expm1(-rates)).split(AT_ONCE), strict=True):
        kept = 1 - apart[:, None, None] * different
        ratios = apart[:, None, None] / kept
        total += torch.log(kept).sum(0)
        own += einsum(some, ratios, "n sums, n i j -> sums i j")
        squares += einsum(some.square(), ratios.square(), "n sums, n i j -> sums i j")
    products = torch.exp(total) * weights[:, None] * weights
    return ((2 * own + edges[:, None] * edges * (own.square() - squares)) * products).sum((1, 2))


@lru_cache(maxsize=32)
def white_variance(n: int) -> float:
    """Variance of a Shapley value when the values of all coalitions are independent with variance 1.

    Example:
        >>> white_variance(2)  # four coalitions, each with a coefficient of one half
        1.0
    """
    present = sum(comb(n - 1, size - 1) / (size * comb(n, size)) ** 2 for size in range(1, n + 1))
    absent = sum(comb(n - 1, size) / ((n - size) * comb(n, size)) ** 2 for size in range(n))
    return float(present + absent)
