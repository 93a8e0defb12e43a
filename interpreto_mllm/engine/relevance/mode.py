"""How the operations of one thread are given rules, while everything else goes on as ever."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from torch import nn
from torch.overrides import TorchFunctionMode, handle_torch_function

Function = Callable[..., Any]
Operate = Callable[[Function, tuple[Any, ...], dict[str, Any]], Any]
"""Carries out a function of torch with its arguments."""


class _Thread(threading.local):
    """The modes that are on in a thread."""

    def __init__(self) -> None:
        self.modes: list[RuleMode] = []


_THREAD = _Thread()


def ruling() -> RuleMode | None:
    """What gives the operations of this thread their rules just now."""
    return _THREAD.modes[-1] if _THREAD.modes else None


def recomputing() -> tuple[AbstractContextManager[Any], AbstractContextManager[Any]]:
    """`context_fn` of `torch.utils.checkpoint`: what is computed again in a backward pass has the rules that it has now."""
    now = ruling()
    return nullcontext(), nullcontext() if now is None else RuleMode(now.operate, now.scope)


def as_one(function: Function, *args: Any) -> Any:
    """Call a function as one operation with the gradient that it has: what it calls has no rules.

    Example:
        >>> import torch
        >>> as_one(torch.exp, torch.zeros(1))
        tensor([1.])
    """
    return handle_torch_function(called, (), function, *args) if ruling() is not None else function(*args)


def called(function: Function, *args: Any) -> Any:
    """The operation of `as_one`."""
    return function(*args)


class RuleMode(TorchFunctionMode):
    """Gives the functions of torch that are called in this thread their rules; weights are constants meanwhile.

    Torch keeps such modes by thread: what other threads compute, also with the same model, is as ever.

    Args:
        operate: carries out an operation, with its rule if it has one.
        scope: tells one use of a model from another, whichever threads each runs in.
    """

    def __init__(self, operate: Operate, scope: object):
        super().__init__()
        self.operate, self.scope = operate, scope

    def __enter__(self) -> Any:
        _THREAD.modes.append(self)
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        _THREAD.modes.pop()
        super().__exit__(*error)

    def __torch_function__(
        self, func: Function, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        named = {} if kwargs is None else kwargs
        if func.__name__ == "__get__":
            return func(*args, **named)
        return self.operate(func, tuple(map(_constant, args)), {name: _constant(value) for name, value in named.items()})


def _constant(value: Any) -> Any:
    return value.detach() if type(value) is nn.Parameter else value
