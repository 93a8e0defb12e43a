"""Using a model and leaving it as it was: evaluation mode and no gradients meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def preserved_state(model: Any, tokenizer: Any = None) -> Iterator[None]:
    """Within, the model's modules are in evaluation mode and no gradient is recorded.

    Afterwards, also after an error, every module's training flag and the position offsets that it keeps, the gradient mode, and
    the tokenizer's truncation and padding are as they were.

    Example:
        >>> model = torch.nn.Dropout().train()
        >>> with preserved_state(model):
        ...     assert not model.training and not torch.is_grad_enabled()
        >>> model.training and torch.is_grad_enabled()
        True
    """
    training = [module for module in model.modules() if module.training]
    counted = [module for module in model.modules() if hasattr(module, "rope_deltas")]
    remembered = [module.rope_deltas for module in counted]
    backend = getattr(tokenizer, "backend_tokenizer", None)
    truncation, padding = getattr(backend, "truncation", None), getattr(backend, "padding", None)
    try:
        for module in training:
            module.training = False
        with torch.no_grad():
            yield
    finally:
        for module in training:
            module.training = True
        for module, deltas in zip(counted, remembered, strict=True):
            module.rope_deltas = deltas
        if backend is not None and truncation is not None:
            backend.enable_truncation(**truncation)
        if backend is not None and padding is not None:
            backend.enable_padding(**padding)
