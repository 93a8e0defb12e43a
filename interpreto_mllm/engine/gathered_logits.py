"""Logits at other positions in each row of a batch, so that those between them are not computed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import get_ident
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor, nn

MIN_LOGITS = 2**22
"""Logits between the answers of a batch that are worth leaving out."""


def output_layer(model: Any) -> nn.Module | None:
    """The layer that makes logits of hidden states, where a model says which it is."""
    getter = getattr(model, "get_output_embeddings", None)
    layer = getter() if callable(getter) else None
    return layer if isinstance(layer, nn.Module) else None


@contextmanager
def gathered_logits(model: Any, at: Int[Tensor, "b t"]) -> Iterator[None]:
    """Within, the output layer reads the states at these positions of each row alone; forwards in other threads are left alone.

    Args:
        model: one with an output layer.
        at: positions among the tokens of a forward, counted from the end of what the layer is given.

    Raises:
        ValueError: where the model has no such layer.
    """
    layer, thread = output_layer(model), get_ident()
    if layer is None:
        raise ValueError(f"{type(model).__name__} does not say which its output layer is.")

    def chosen(module: nn.Module, args: tuple[Any, ...]) -> Any:
        if get_ident() != thread or not args or not isinstance(args[0], Tensor) or args[0].ndim != 3:
            return None
        states = args[0]
        rows = torch.arange(len(at), device=states.device)[:, None]
        return (states[rows, at.to(states.device) + states.shape[1]], *args[1:])

    handle = layer.register_forward_pre_hook(chosen)
    try:
        yield
    finally:
        handle.remove()
