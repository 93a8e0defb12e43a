"""Shapley values of a random game with a product covariance: polynomials integrated exactly by Gauss–Legendre nodes.

The Shapley value is ∫₀¹ E[v(S ∪ i) − v(S)] dt over coalitions S of the others, each present with probability t (Owen 1972).
Under a covariance that is a product over features, the expectation is such a product too.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from math import ceil, exp, sqrt

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


def share_covariance(present: Bool[Tensor, "p n"], rates: Float[Tensor, "n"], tilt: Float[Tensor, "n"]) -> Float[Tensor, "p n"]:
    """Covariance of v(S) with each feature's Shapley value under k = exp(Σᵢ tiltᵢ (xᵢ + xᵢ′) / 2 − rateᵢ [xᵢ ≠ xᵢ′])."""
    points, weights = nodes(len(rates))
    apart, up, down = torch.exp(-rates), torch.exp(tilt), torch.exp(-tilt)
    with_it = torch.log(points[:, None] * up + (1 - points[:, None]) * apart)
    without = torch.log(points[:, None] * apart + (1 - points[:, None]) * down)
    products = torch.exp(present.double() @ (with_it - without).T + without.sum(1)) * weights
    return torch.where(present, products @ torch.exp(-with_it) * (up - apart), products @ torch.exp(-without) * (apart - down))


def share_variance(rates: Float[Tensor, "n"], tilt: Float[Tensor, "n"]) -> Float[Tensor, "n"]:
    """Variance of each feature's Shapley value under the same covariance."""
    points, weights = nodes(len(rates))
    area, total = weights[:, None] * weights, torch.zeros(len(points), len(points), dtype=torch.float64)
    for mean in _means(points, rates, tilt):
        total += torch.log(mean)
    products = torch.exp(total) * area
    gains = [(products / mean).sum() for mean in _means(points, rates, tilt)]
    return (2 * torch.cosh(tilt) - 2 * torch.exp(-rates)) * torch.stack(gains)


def share_variance_of_sums(
    rates: Float[Tensor, "n"], members: Float[Tensor, "n sums"], tilt: Float[Tensor, "n"]
) -> Float[Tensor, "sums"]:
    """Variance of the sum of the Shapley values of some features under the same covariance.

    Example:
        >>> rates, level = torch.tensor([0.5, 1.0, 0.2]).double(), torch.zeros(3).double()
        >>> whole = share_variance_of_sums(rates, torch.ones(3, 1).double(), level)  # that of v(N) − v(∅)
        >>> bool((whole - 2 * (1 - torch.exp(-rates.sum()))).abs() < 1e-12)
        True
    """
    points, weights = nodes(len(rates))
    total = torch.zeros(len(points), len(points), dtype=torch.float64)
    own = torch.zeros(members.shape[1], *total.shape, dtype=torch.float64)
    squares = torch.zeros_like(own)
    for some in torch.arange(len(rates)).split(AT_ONCE):
        means = torch.stack(list(_means(points, rates[some], tilt[some])))
        apart, up, down = (torch.exp(logs)[:, None] for logs in (-rates[some], tilt[some], -tilt[some]))
        edges = (points * (up - apart) + (1 - points) * (apart - down))[:, None] / means
        both = (up + down - 2 * apart)[:, None] / means - edges * edges.transpose(1, 2)
        total += torch.log(means).sum(0)
        own += einsum(members[some], edges, "n sums, n i j -> sums i j")
        squares += einsum(members[some].square(), both, "n sums, n i j -> sums i j")
    products = torch.exp(total) * weights[:, None] * weights
    return ((own * own.transpose(1, 2) + squares) * products).sum((1, 2))


def _means(
    points: Float[Tensor, "nodes"], rates: Float[Tensor, "n"], tilt: Float[Tensor, "n"]
) -> Iterator[Float[Tensor, "nodes nodes"]]:
    """What each feature contributes to E[k(x, x′)] where it is present in x and x′ with two of the probabilities."""
    both, neither = points[:, None] * points, (1 - points[:, None]) * (1 - points)
    for rate, lean in zip(rates.tolist(), tilt.tolist(), strict=True):
        yield both * exp(lean) + neither * exp(-lean) + (1 - both - neither) * exp(-rate)
