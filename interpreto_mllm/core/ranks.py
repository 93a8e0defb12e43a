"""Ranks of numbers."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor


def ranks(values: Float[Tensor, "k"]) -> Float[Tensor, "k"]:
    """From 0 up; ties share their mean rank.

    Example:
        >>> import torch
        >>> ranks(torch.tensor([3.0, 1.0, 3.0])).tolist()
        [1.5, 0.0, 1.5]
    """
    _, place, count = values.unique(return_inverse=True, return_counts=True)
    return (count.cumsum(0) - (count + 1) / 2).double()[place]
