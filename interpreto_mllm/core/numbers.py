"""Which values are numbers: Python's own, NumPy's and tensors without dimensions; a bool is none."""

from __future__ import annotations

from typing import Any, TypeGuard

import numpy as np


def is_whole(given: object) -> TypeGuard[int]:
    """Whether this is an int, of Python or NumPy.

    Example:
        >>> is_whole(np.int64(3)), is_whole(True), is_whole(3.0)
        (True, False, False)
    """
    return isinstance(given, (int, np.integer)) and not isinstance(given, bool)


def is_number(given: Any) -> TypeGuard[int | float]:
    """Whether this is an int or a float, of Python or NumPy.

    Example:
        >>> is_number(np.float32(0.5)), is_number("0.5")
        (True, False)
    """
    return isinstance(given, (int, float, np.integer, np.floating)) and not isinstance(given, bool)
