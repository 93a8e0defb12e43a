"""Activations: the relevance of an activation is the relevance of its input (Achtibat et al. 2024, Equation 9).

As gradient times input this is the slope f(x)/x; 0 where x is 0, of which there is nothing to pass on.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from interpreto_mllm.engine.relevance.mode import Function, ruling
from interpreto_mllm.engine.relevance.share import carries, shared, valued


def passed(input: Tensor, output: Tensor) -> Any:
    """The output of an activation, with the identity rule from it to the input."""
    x, y = input.detach(), output.detach()
    slope = torch.where(x == 0, 0, y / torch.where(x == 0, 1, x))
    return valued(input * slope, y)


def activation(function: Function) -> Function:
    """The rule of a function of single numbers."""

    def rule(input: Tensor, *args: Any, inplace: bool = False, **kwargs: Any) -> Any:
        return passed(input, function(input.detach(), *args, **kwargs))

    return rule


def gated(input: Tensor, dim: int = -1) -> Any:
    """The rule of `glu`: half to each half, as both are factors."""
    value, gate = input.chunk(2, dim)
    return shared(value, 0.5) * shared(passed(gate, gate.detach().sigmoid()), 0.5)


ACTIVATIONS: dict[Function, Function] = {
    function: activation(function)
    for function in (
        torch.tanh,
        torch.sigmoid,
        Tensor.tanh,
        Tensor.sigmoid,
        F.tanh,
        F.sigmoid,
        F.silu,
        F.gelu,
        F.mish,
        F.elu,
        F.selu,
        F.celu,
        F.softplus,
        F.hardswish,
        F.hardsigmoid,
        F.hardtanh,
        F.relu6,
    )
} | {F.glu: gated}
"""By function; `relu` needs no rule, whose slope is its gradient."""


def activation_modules(model: nn.Module) -> list[nn.Module]:
    """The modules of a model that are activations of transformers, some of which are formulas of several operations."""
    from transformers.activations import ACT2CLS

    kinds = {kind[0] if isinstance(kind, tuple) else kind for kind in ACT2CLS.values()}
    return [module for module in model.modules() if type(module) in kinds]


@contextmanager
def activation_rules(model: nn.Module, scope: object) -> Iterator[None]:
    """Within, the activation modules of a model have the identity rule, where operations have rules of this scope."""
    inputs: dict[nn.Module, Tensor] = {}

    def ours() -> bool:
        now = ruling()
        return now is not None and now.scope is scope

    def before(module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        if not ours() or not carries(args[0]):
            return None
        inputs[module] = args[0]
        return args[0].detach(), *args[1:]

    def after(module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        return passed(inputs.pop(module), output) if ours() and module in inputs else None

    with ExitStack() as stack:
        for module in activation_modules(model):
            stack.enter_context(_removed(module.register_forward_pre_hook(before)))
            stack.enter_context(_removed(module.register_forward_hook(after)))
        yield


@contextmanager
def _removed(handle: Any) -> Iterator[None]:
    try:
        yield
    finally:
        handle.remove()
