"""The rules together, and how the operations of one model get them for as long as its forward is recorded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from torch import nn

from interpreto_mllm.engine.relevance.activations import ACTIVATIONS, activation_rules
from interpreto_mllm.engine.relevance.attention import ATTENTION
from interpreto_mllm.engine.relevance.mode import Function, Operate, RuleMode, ruling
from interpreto_mllm.engine.relevance.normalisation import NORMALISATION
from interpreto_mllm.engine.relevance.products import PRODUCTS
from interpreto_mllm.engine.relevance.share import carries

RULES: dict[Function, Function] = {**PRODUCTS, **ATTENTION, **NORMALISATION, **ACTIVATIONS}
"""For each function of torch whose backward is not its gradient, a function that gives the same values."""


def ruled(function: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Carry out an operation with its rule, if it has one and any of its arguments carries relevance."""
    rule = RULES.get(function)
    if rule is not None and (any(map(_carrying, args)) or any(map(_carrying, kwargs.values()))):
        return rule(*args, **kwargs)
    return function(*args, **kwargs)


@contextmanager
def relevance_rules(model: nn.Module, operate: Operate = ruled) -> Iterator[None]:
    """Within, forwards of a model are recorded with the backward rules of AttnLRP: their gradient times input is relevance.

    The values stay what they are. Nothing is replaced: only operations of this thread are concerned, and of modules only the
    activations of this model. Afterwards, also after an error, everything is as it was. The backward may run inside or outside.

    Args:
        model: a model that `require_rules` has tried.
        operate: carries out an operation; for trials, which look at each.

    Example:
        >>> import torch
        >>> mlp = nn.Sequential(nn.Linear(4, 8, bias=False), nn.GELU(), nn.Linear(8, 1, bias=False))
        >>> x = torch.randn(4, requires_grad=True)
        >>> with relevance_rules(mlp):
        ...     y = mlp(x)
        >>> [gradient] = torch.autograd.grad(y, x)
        >>> torch.testing.assert_close((x * gradient).sum(), y[0])  # none is lost
    """
    outer = ruling()
    scope = object() if outer is None else outer.scope
    with activation_rules(model, scope), nullcontext() if outer else RuleMode(operate, scope):
        yield


def _carrying(value: Any) -> bool:
    return carries(value) or (isinstance(value, (list, tuple)) and any(map(carries, value)))
