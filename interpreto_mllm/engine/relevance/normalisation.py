"""Normalisation: the deviation that is divided by is a constant (Achtibat et al. 2024, Proposition 3.4; Ali et al. 2022)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from interpreto_mllm.engine.relevance.share import valued


def layer_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Any:
    """The rule of `layer_norm`: centring is linear, the standard deviation constant; the bias keeps its part."""
    axes = tuple(range(-len(normalized_shape), 0))
    exact = F.layer_norm(input.detach(), list(normalized_shape), weight, bias, eps)
    deviation = (input.detach().float().var(axes, keepdim=True, correction=0) + eps).sqrt()
    centred = (input - input.mean(axes, keepdim=True)) / deviation.to(input.dtype)
    return valued(centred if weight is None else centred * weight, exact)


def rms_norm(input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None, eps: float | None = None) -> Any:
    """The rule of `rms_norm`: the root mean square is constant."""
    axes = tuple(range(-len(normalized_shape), 0))
    exact = F.rms_norm(input.detach(), list(normalized_shape), weight, eps)
    least = torch.finfo(input.dtype).eps if eps is None else eps
    root = (input.detach().float().square().mean(axes, keepdim=True) + least).sqrt()
    scaled = input / root.to(input.dtype)
    return valued(scaled if weight is None else scaled * weight, exact)


def reciprocal_root(input: Tensor) -> Any:
    """The rule of `rsqrt`."""
    return torch.rsqrt(input.detach())


def root(input: Tensor) -> Any:
    """The rule of `sqrt`."""
    return torch.sqrt(input.detach())


def power(input: Any, exponent: Any) -> Any:
    """The rule of `pow`, for roots."""
    rooted = isinstance(exponent, float) and abs(exponent) == 0.5
    return torch.pow(input.detach() if rooted else input, exponent)


NORMALISATION = {
    F.layer_norm: layer_norm,
    F.rms_norm: rms_norm,
    torch.rsqrt: reciprocal_root,
    Tensor.rsqrt: reciprocal_root,
    torch.sqrt: root,
    Tensor.sqrt: root,
    torch.pow: power,
    Tensor.pow: power,
    Tensor.__pow__: power,
}

SQUARES = frozenset({torch.square, torch.var, torch.var_mean, Tensor.square, Tensor.var})
"""Stages of a normalisation before its root, where the backward ends; elsewhere they would break conservation."""
