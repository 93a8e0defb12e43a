"""How much each coalition counts in a Shapley value."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def inverse_binomials(coalitions: Bool[Tensor, "p n"]) -> Float[Tensor, "p"]:
    """1/C(n, s) of each coalition of s features."""
    sizes, n = coalitions.sum(1).double(), torch.tensor(float(coalitions.shape[1]), dtype=torch.float64)
    return torch.exp(torch.lgamma(sizes + 1) + torch.lgamma(n - sizes + 1) - torch.lgamma(n + 1))


def shapley_coefficients(coalitions: Bool[Tensor, "p n"]) -> Float[Tensor, "p n"]:
    """The coefficient of v(S) in the Shapley value of each feature: 1/(s·C(n,s)) if present, −1/((n−s)·C(n,s)) if absent."""
    sizes = coalitions.sum(1, keepdim=True)
    share = inverse_binomials(coalitions)[:, None]
    return torch.where(coalitions, share / sizes.clamp_min(1), -share / (coalitions.shape[1] - sizes).clamp_min(1))
