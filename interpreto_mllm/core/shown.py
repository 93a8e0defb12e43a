"""What a user gave, as an error message repeats it: short, and never a whole payload."""

from __future__ import annotations

from reprlib import Repr
from typing import Any

LONGEST = 60
"""Characters of a text that a message repeats."""


class _Shortened(Repr):
    """Long texts and bytes by their beginning and their length, arrays and tensors by their shape."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxother = 4, 2 * LONGEST
        self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = self.maxdict = 6

    def repr1(self, x: Any, level: int) -> str:
        if hasattr(x, "shape") and hasattr(x, "dtype") and getattr(x, "ndim", 0):
            return f"{type(x).__name__} of shape {tuple(x.shape)}, {x.dtype}"
        if isinstance(x, (bytes, bytearray, memoryview)):
            return f"{type(x).__name__} ({len(x):,} of them)"
        return super().repr1(x, level)

    def repr_str(self, x: str, level: int) -> str:
        return repr(x) if len(x) <= LONGEST else f"{x[:LONGEST]!r}… ({len(x):,} characters)"


def shown(given: Any) -> str:
    """A short `repr`.

    Example:
        >>> shown(["a", 1]), shown("data:image/png;base64," + "A" * 5000)[:40]
        ("['a', 1]", "'data:image/png;base64,AAAAAAAAAAAAAAAAA")
        >>> shown("A" * 5000)[-20:]
        '… (5,000 characters)'
    """
    return _Shortened().repr(given)
