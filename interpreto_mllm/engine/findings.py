"""What trials of a model found, kept for as long as the model is."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

T = TypeVar("T")

_FOUND: WeakKeyDictionary[Any, tuple[Hashable, dict[Hashable, Any]]] = WeakKeyDictionary()


class Longest:
    """The length of the longest prompt or row that something was tried on."""

    def __init__(self) -> None:
        self.length = 0


def finding(model: Any, key: Hashable, make: Callable[[], T]) -> T:
    """What is known of a model under a key; made when it is first asked for, and anew once the model has changed.

    A model has changed when its settings, a weight, or the type or device of its weights have.

    Example:
        >>> import torch
        >>> model = torch.nn.Linear(2, 2)
        >>> finding(model, "size", lambda: 4), finding(model, "size", lambda: 5)
        (4, 4)
        >>> with torch.no_grad():
        ...     _ = model.weight.zero_()
        >>> finding(model, "size", lambda: 5)
        5
    """
    state = _state(model)
    known, found = _FOUND.get(model, (None, {}))
    if known != state:
        found = {}
        _FOUND[model] = (state, found)
    if key not in found:
        found[key] = make()
    return found[key]


def _state(model: Any) -> Hashable:
    """Cheap to compute, and different after a change of the model."""
    weights, buffers = list(model.parameters()), list(model.buffers())
    places = frozenset((tensor.dtype, tensor.device) for tensor in (*weights, *buffers))
    versions = sum(weight._version for weight in weights)
    config = getattr(model, "config", None)
    settings = "" if config is None else _settings(config)
    return settings, places, len(weights), len(buffers), versions


def _settings(config: Any) -> str:
    """A config's settings, which way of attention among them, and those of its parts; its own JSON takes milliseconds."""
    parts = {name: _settings(value) if hasattr(value, "to_json_string") else value for name, value in vars(config).items()}
    return repr(parts)
