"""Factors of covariances."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

JITTERS = (1e-10, 1e-8, 1e-6)


def factor(covariance: Float[Tensor, "m m"]) -> Float[Tensor, "m m"]:
    """The lower Cholesky factor, with no more jitter on the diagonal than rounding asks for.

    Example:
        >>> factor(torch.ones(2, 2, dtype=torch.float64)).tolist()  # singular, and yet
        [[1.0..., 0.0], [0.99..., 1.4...e-05]]
    """
    diagonal = covariance.diagonal().mean() * torch.eye(len(covariance), dtype=torch.float64)
    for jitter in JITTERS[:-1]:
        lower, failed = torch.linalg.cholesky_ex(covariance + jitter * diagonal)
        if not failed:
            return lower
    return torch.linalg.cholesky(covariance + JITTERS[-1] * diagonal)
