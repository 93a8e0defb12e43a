"""Weights of coalitions, as floats where they fit and always as logarithms."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, log

import torch
from jaxtyping import Float
from torch import Tensor

LARGEST = 10**300
"""Numbers of coalitions up to which weights are floats; above they are infinite, and only their logarithms count."""

Weights = tuple[Float[Tensor, "q"], Float[Tensor, "q"] | None]
"""Weights, and their logarithms where some are infinite."""


def shares(existing: Sequence[int], drawn: Sequence[int | float]) -> Weights:
    """For each coalition the number of those it was drawn among over the number expected to be drawn of them.

    Example:
        >>> shares([10, 20], [5, 4])
        (tensor([2., 5.], dtype=torch.float64), None)
        >>> [each.tolist() for each in shares([10**400, 6], [10.0, 2.0])]
        [[inf, 3.0], [918.7..., 1.0986...]]
    """
    pairs = list(zip(existing, drawn, strict=True))
    weights = torch.tensor([many / few if many <= LARGEST else inf for many, few in pairs], dtype=torch.float64)
    if not weights.isinf().any():
        return weights, None
    return weights, torch.tensor([log(many) - log(few) for many, few in pairs], dtype=torch.float64)
