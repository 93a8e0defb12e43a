"""Using a model and leaving it as it was: evaluation mode and no gradients meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary

import torch

_LOCK = Lock()


class _Held:
    """Objects that are in use, each by so many contexts at once, and how to give each back when the last of them ends."""

    def __init__(self) -> None:
        self._depths: WeakKeyDictionary[Any, int] = WeakKeyDictionary()
        self._restoring: WeakKeyDictionary[Any, Callable[[], None]] = WeakKeyDictionary()

    def take(self, held: Any, remember: Callable[[], Callable[[], None]]) -> None:
        """The first to take it remembers how it was."""
        depth = self._depths.get(held, 0)
        if not depth:
            self._restoring[held] = remember()
        self._depths[held] = depth + 1

    def give_back(self, held: Any) -> None:
        """The last to give it back restores it."""
        self._depths[held] -= 1
        if not self._depths[held]:
            del self._depths[held]
            self._restoring.pop(held)()


_MODULES, _TOKENIZERS = _Held(), _Held()


@contextmanager
def preserved_state(model: Any, tokenizer: Any = None) -> Iterator[None]:
    """Within, the model's modules are in evaluation mode and no gradient is recorded.

    Afterwards, also after an error, every module's training flag and the position offsets that it keeps, the gradient mode, and
    the tokenizer's truncation and padding are as they were. Where several contexts use one model, in one thread or in several,
    the last to end restores it.

    Example:
        >>> model = torch.nn.Dropout().train()
        >>> with preserved_state(model):
        ...     with preserved_state(model):
        ...         pass
        ...     assert not model.training and not torch.is_grad_enabled()
        >>> model.training and torch.is_grad_enabled()
        True
    """
    with ExitStack() as stack:
        for module in model.modules():
            _hold(stack, _MODULES, module, lambda module=module: _evaluating(module))
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if backend is not None:
            _hold(stack, _TOKENIZERS, tokenizer, lambda: _kept_settings(backend))
        stack.enter_context(torch.no_grad())
        yield


def _hold(stack: ExitStack, held: _Held, what: Any, remember: Callable[[], Callable[[], None]]) -> None:
    with _LOCK:
        held.take(what, remember)
    stack.callback(_give_back, held, what)


def _give_back(held: _Held, what: Any) -> None:
    with _LOCK:
        held.give_back(what)


def _evaluating(module: Any) -> Callable[[], None]:
    """Put one module into evaluation mode; what is returned undoes that."""
    training, has_deltas = module.training, hasattr(module, "rope_deltas")
    deltas = module.rope_deltas if has_deltas else None
    module.training = False

    def restore() -> None:
        module.training = training
        if has_deltas:
            module.rope_deltas = deltas

    return restore


def _kept_settings(backend: Any) -> Callable[[], None]:
    """What is returned gives a tokenizer its truncation and padding back."""
    truncation, padding = getattr(backend, "truncation", None), getattr(backend, "padding", None)

    def restore() -> None:
        if truncation is not None:
            backend.enable_truncation(**truncation)
        if padding is not None:
            backend.enable_padding(**padding)

    return restore
