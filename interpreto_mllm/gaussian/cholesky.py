"""Factors of covariances."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

JITTERS = (1e-10, 1e-8, 1e-6)
"""Tried in turn, relative to the mean of the diagonal."""


def factor(covariance: Float[Tensor, "u u"]) -> Float[Tensor, "u u"]:
    """The lower Cholesky factor, with the least jitter on the diagonal for which it exists in floating point.

    Example:
        >>> factor(torch.ones(2, 2, dtype=torch.float64)).tolist()  # of a singular matrix
        [[1.0..., 0.0], [0.99..., 1.4...e-05]]
    """
    diagonal = covariance.diagonal().mean() * torch.eye(len(covariance), dtype=torch.float64)
    for jitter in JITTERS[:-1]:
        lower, failed = torch.linalg.cholesky_ex(covariance + jitter * diagonal)
        if not failed:
            return lower
    return torch.linalg.cholesky(covariance + JITTERS[-1] * diagonal)
