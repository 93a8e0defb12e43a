"""Which arguments a model's forward takes."""

from __future__ import annotations

import inspect
from typing import Any


def forward_parameters(model: Any) -> frozenset[str]:
    """The names of the arguments of a model's forward, also of those that a wrapper passes on (`torch.compile`, PEFT)."""
    names: set[str] = set()
    within: Any = model
    while within is not None:
        parameters = inspect.signature(within.forward).parameters.values()
        names |= {parameter.name for parameter in parameters}
        passes_on = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
        within = wrapped(within) if passes_on else None
    return frozenset(names)


def unwrapped(model: Any) -> Any:
    """The model of transformers inside all wrappers."""
    while (within := wrapped(model)) is not None:
        model = within
    return model


def wrapped(model: Any) -> Any:
    """The model that a wrapper calls, None for a model that is no wrapper."""
    compiled = model._modules.get("_orig_mod")
    if compiled is not None:
        return compiled
    of_peft = getattr(model, "get_base_model", None)
    return of_peft() if callable(of_peft) else None
