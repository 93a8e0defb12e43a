"""The inputs of a multimodal model's decoder: the merged embeddings of text, images and clips, read or replaced by hooks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import get_ident
from typing import Any

from torch import nn


class _DecoderCalled(Exception):
    """The decoder was called, and need not run."""


def decoder_of(model: Any) -> nn.Module | None:
    """The part of a model that reads merged embeddings, None where the model has no such part."""
    decoder = model.get_decoder() if callable(getattr(model, "get_decoder", None)) else None
    return decoder if isinstance(decoder, nn.Module) and decoder is not model else None


def capture_decoder_inputs(model: Any, arguments: dict[str, Any]) -> dict[str, Any]:
    """Run a model up to its decoder, and return the keyword arguments of the decoder's call.

    Raises:
        ValueError: when the model has no decoder or never calls it.
    """
    captured: dict[str, Any] = {}

    def stop(module: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
        captured.update(kwargs)
        raise _DecoderCalled

    with _hooked(model, stop):
        try:
            model(**arguments)
        except _DecoderCalled:
            return captured
    raise ValueError(f"{type(model).__name__} never called its language model.")


@contextmanager
def override_decoder_inputs(model: Any, override: Callable[[dict[str, Any]], dict[str, Any]]) -> Iterator[None]:
    """Within, the decoder of `model` is called with what `override` makes of its keyword arguments."""

    def replace(module: nn.Module, args: tuple, kwargs: dict[str, Any]) -> tuple[tuple, dict[str, Any]]:
        return args, override(kwargs)

    with _hooked(model, replace):
        yield


@contextmanager
def _hooked(model: Any, hook: Callable[..., Any]) -> Iterator[None]:
    """A hook before the decoder, gone afterwards. The user's own forwards in other threads are left alone."""
    decoder = decoder_of(model)
    if decoder is None:
        raise ValueError(f"{type(model).__name__} has no language model of its own.")
    thread = get_ident()

    def in_this_thread(module: nn.Module, args: tuple, kwargs: dict[str, Any] | None = None) -> Any:
        # torch leaves the keyword arguments out where a hook is removed while another thread is about to call it
        return hook(module, args, kwargs) if kwargs is not None and get_ident() == thread else None

    handle = decoder.register_forward_pre_hook(in_this_thread, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()
