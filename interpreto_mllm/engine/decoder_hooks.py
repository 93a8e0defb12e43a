"""The seam of a multimodal model: where the embeddings of text, images and clips, merged, reach its language model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn


class _Reached(Exception):
    """The language model was called, and need not run."""


def language_model(model: Any) -> nn.Module | None:
    """The part of a model that reads merged embeddings, None where the model has no such part."""
    decoder = model.get_decoder() if callable(getattr(model, "get_decoder", None)) else None
    return decoder if isinstance(decoder, nn.Module) and decoder is not model else None


def reach(model: Any, arguments: dict[str, Any]) -> dict[str, Any]:
    """Run a model up to its language model, and tell what that was called with."""
    found: dict[str, Any] = {}

    def stop(module: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
        found.update(kwargs)
        raise _Reached

    with _hooked(model, stop):
        try:
            model(**arguments)
        except _Reached:
            return found
    raise ValueError(f"{type(model).__name__} never called its language model.")


@contextmanager
def filled(model: Any, fill: Callable[[dict[str, Any]], dict[str, Any]]) -> Iterator[None]:
    """Within, the language model of `model` is called with what `fill` makes of its keyword arguments."""

    def pass_on(module: nn.Module, args: tuple, kwargs: dict[str, Any]) -> tuple[tuple, dict[str, Any]]:
        return args, fill(kwargs)

    with _hooked(model, pass_on):
        yield


@contextmanager
def _hooked(model: Any, hook: Callable[..., Any]) -> Iterator[None]:
    """A hook before the language model, gone afterwards."""
    module = language_model(model)
    if module is None:
        raise ValueError(f"{type(model).__name__} has no language model of its own.")
    handle = module.register_forward_pre_hook(hook, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()
