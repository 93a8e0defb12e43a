"""What belongs to one call of an explainer: kept under it, seen by no other call, and gone with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary

T = TypeVar("T")


class Call:
    """One call of an explainer."""


_CURRENT: ContextVar[Call | None] = ContextVar("call", default=None)
_BLOCK: ContextVar[Call | None] = ContextVar("block", default=None)
_OUTSIDE = Call()


@contextmanager
def new_call() -> Iterator[None]:
    """Within, in this thread, everything belongs to a call of its own."""
    token = _CURRENT.set(Call())
    try:
        yield
    finally:
        _CURRENT.reset(token)


@contextmanager
def new_block() -> Iterator[None]:
    """Within, in this thread, what decides last digits and is shared by a call belongs to a block of its coalitions alone."""
    token = _BLOCK.set(Call())
    try:
        yield
    finally:
        _BLOCK.reset(token)


def in_call() -> bool:
    """Whether this thread is within a call, after which what belongs to it is forgotten."""
    return _CURRENT.get() is not None or _BLOCK.get() is not None


def within_block(context: AbstractContextManager[None]) -> AbstractContextManager[None]:
    """The context where a block is evaluated; elsewhere one that does nothing."""
    return nullcontext() if _BLOCK.get() is None else context


class PerCall(Generic[T]):
    """One value for each call, made when it is first asked for, and one for all use outside of calls.

    Args:
        make: the value.
        of_block: whether each block of a call that is evaluated in blocks has one of its own.

    Example:
        >>> seen = PerCall(list)
        >>> with new_call():
        ...     seen.value.append(1)
        ...     print(seen.value)
        [1]
        >>> seen.value
        []
    """

    def __init__(self, make: Callable[[], T], of_block: bool = False):
        self._make, self._of_block = make, of_block
        self._values: WeakKeyDictionary[Call, T] = WeakKeyDictionary()

    @property
    def value(self) -> T:
        """That of the current call."""
        call = (_BLOCK.get() if self._of_block else None) or _CURRENT.get() or _OUTSIDE
        if call not in self._values:
            self._values[call] = self._make()
        return self._values[call]

    def __getstate__(self) -> dict[str, Any]:
        """Copies and pickles begin without values."""
        return {"_make": self._make, "_of_block": self._of_block}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["_make"], state["_of_block"])
