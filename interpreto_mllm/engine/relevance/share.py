"""Values with another backward than their own, of which all rules are made."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Shaped
from torch import Tensor


class _Valued(torch.autograd.Function):
    """The value of the second argument, the gradient of the first."""

    @staticmethod
    def forward(ctx: Any, path: Shaped[Tensor, "*shape"], value: Shaped[Tensor, "*shape"]) -> Shaped[Tensor, "*shape"]:
        alias = value.new_empty(0)  # no view, which could not be written to
        return alias.set_(value.untyped_storage(), value.storage_offset(), value.shape, value.stride())

    @staticmethod
    def backward(ctx: Any, *gradients: Shaped[Tensor, "*shape"]) -> tuple[Shaped[Tensor, "*shape"], None]:
        return gradients[0], None


class _Shared(torch.autograd.Function):
    """The value of the first argument, and a part of its gradient."""

    @staticmethod
    def forward(ctx: Any, value: Shaped[Tensor, "*shape"], part: float) -> Shaped[Tensor, "*shape"]:
        ctx.part = part
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, *gradients: Shaped[Tensor, "*shape"]) -> tuple[Shaped[Tensor, "*shape"], None]:
        return gradients[0] * ctx.part, None


def valued(path: Shaped[Tensor, "*shape"], value: Shaped[Tensor, "*shape"]) -> Shaped[Tensor, "*shape"]:
    """`value`, bit for bit, whose gradient flows into `path`; nothing else may use `value` afterwards.

    Example:
        >>> x = torch.tensor(3.0, requires_grad=True)
        >>> y = valued(x * 2, x.square())
        >>> y.backward()
        >>> y.item(), x.grad.item()
        (9.0, 2.0)
    """
    return _Valued.apply(path, value.detach())  # pyright: ignore[reportReturnType]


def carries(value: object) -> bool:
    """Whether relevance flows back through a value; weights are constants."""
    return isinstance(value, Tensor) and value.requires_grad


def shared(value: Any, part: float) -> Any:
    """A value through which `part` of the relevance flows back; what carries none is as it was.

    Example:
        >>> x = torch.tensor(3.0, requires_grad=True)
        >>> shared(x, 0.5).backward()
        >>> x.grad.item()
        0.5
    """
    return _Shared.apply(value, part) if carries(value) and part != 1 else value
