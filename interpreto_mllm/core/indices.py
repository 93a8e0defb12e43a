"""Indices of interactions: what k features are worth together, averaged over coalitions S of the others.

Δ_T v(S) = Σ_{L⊆T} (−1)^(k−|L|) v(S ∪ L) is averaged as if each feature outside T were in S with one probability, the presence.
An index is a distribution of the presence. Where an index is defined for sets of several orders at once, as FSII is, it is that
of the largest sets.
"""

from __future__ import annotations

from math import factorial

import torch
from jaxtyping import Float, Int
from torch import Tensor

BETAS = {"SII": (False, False), "FSII": (True, True), "STII": (False, True), "k-SII": (False, False)}
"""Whether the first and the second parameter of the presence's Beta distribution are k; they are 1 otherwise."""
POINTS = {"BII": 0.5, "FBII": 0.5, "Möbius": 0.0}
"""The presence, where it is one number."""
INDICES = (*BETAS, *POINTS)


def beta_parameters(index: str, order: int) -> tuple[int, int]:
    """Parameters of the presence's Beta distribution.

    Example:
        >>> beta_parameters("SII", 2), beta_parameters("FSII", 2), beta_parameters("STII", 3)
        ((1, 1), (2, 2), (1, 3))
    """
    first, second = BETAS[index]
    return (order if first else 1), (order if second else 1)


def size_weights(n: int, order: int, index: str) -> Float[Tensor, "sizes"]:
    """The weight of each coalition S without the k features of a set, by its size 0 … n − k.

    Example:
        >>> size_weights(4, 2, "SII").tolist()  # of sizes 0, 1 and 2, of which there are 1, 2 and 1
        [0.333..., 0.166..., 0.333...]
    """
    size = torch.arange(n - order + 1, dtype=torch.float64)
    if index in POINTS:
        return POINTS[index] ** size * (1 - POINTS[index]) ** (n - order - size)
    a, b = beta_parameters(index, order)
    total = torch.tensor(n - order + a + b, dtype=torch.float64)
    factor = factorial(a + b - 1) // (factorial(a - 1) * factorial(b - 1))
    return factor * torch.exp(torch.lgamma(size + a) + torch.lgamma(n - order - size + b) - torch.lgamma(total))


def held_coefficients(sizes: Int[Tensor, "p"], order: int, weights: Float[Tensor, "sizes"]) -> Float[Tensor, "p counts"]:
    """What the index of a set takes the value of a coalition times, by its size and if it holds 0 … order features of the set.

    Args:
        sizes: of the coalitions.
        order: features in the set.
        weights: those of `size_weights`.

    Example:
        >>> held_coefficients(torch.tensor([2]), 2, size_weights(4, 2, "SII")).tolist()  # none, one or both of the set's
        [[0.333..., -0.166..., 0.333...]]
    """
    padded = torch.nn.functional.pad(weights, (order, order))  # no coalition of the others has these sizes
    return torch.stack([(-1.0) ** (order - held) * padded[sizes - held + order] for held in range(order + 1)], 1)
