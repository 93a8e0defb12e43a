"""Less memory for gradients: each layer's inner states are computed again in the backward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from torch import nn
from torch.utils.checkpoint import checkpoint

from interpreto_mllm.engine.relevance.mode import recomputing


@contextmanager
def checkpointed(model: nn.Module, site: nn.Module | None) -> Iterator[None]:
    """Within, every layer of the model keeps its inputs alone, and computes the rest a second time for the backward pass.

    Args:
        model: its layers are the modules of its lists of modules.
        site: where gradients are taken; the layer that holds it is left alone.

    Example:
        >>> import torch
        >>> model = torch.nn.Sequential(torch.nn.ModuleList([torch.nn.Linear(1, 1)]))
        >>> with checkpointed(model, None):
        ...     "forward" in vars(model[0][0])
        True
        >>> "forward" in vars(model[0][0])
        False
    """
    lists = [module for module in model.modules() if isinstance(module, nn.ModuleList)]
    nested = {id(inner) for outer in lists for layer in outer for inner in layer.modules()}
    layers = [layer for outer in lists if id(outer) not in nested for layer in outer]
    with ExitStack() as stack:
        for layer in layers:
            if not any(module is site for module in layer.modules() if module is not layer):
                stack.enter_context(_recomputed(layer))
        yield


@contextmanager
def _recomputed(layer: nn.Module) -> Iterator[None]:
    """Within, this one object's forward is a checkpointed one; the class is left alone."""
    own = vars(layer).get("forward")
    layer.forward = partial(_checkpointed, layer.forward)
    try:
        yield
    finally:
        if own is None:
            del layer.forward
        else:
            layer.forward = own


def _checkpointed(forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return checkpoint(forward, *args, use_reentrant=False, context_fn=recomputing, **kwargs)
