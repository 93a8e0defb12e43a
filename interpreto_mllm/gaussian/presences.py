"""Distributions of the presence of features, as points and weights."""

from __future__ import annotations

from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

from interpreto_mllm.core.indices import POINTS, beta_parameters
from interpreto_mllm.gaussian.integrals import nodes

Presences = tuple[Float[Tensor, "nodes"], Float[Tensor, "nodes"]]
"""Points in [0, 1] and their weights, which sum to one."""


@lru_cache(maxsize=32)
def presences(index: str, order: int, n: int) -> Presences:
    """The presence of the features outside a set: where an index of `core.indices` integrates polynomials exactly.

    Example:
        >>> points, weights = presences("FSII", 2, 8)
        >>> round(float(weights @ points), 12), round(float(weights.sum()), 12)
        (0.5, 1.0)
    """
    if index in POINTS:
        return torch.tensor([POINTS[index]], dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    points, weights = nodes(n + order)
    a, b = beta_parameters(index, order)
    density = points ** (a - 1) * (1 - points) ** (b - 1)
    return points, weights * density / (weights @ density)
