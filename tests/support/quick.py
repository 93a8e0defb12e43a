"""What runs by default, and what `make thorough` repeats it with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest


def each(names: Sequence[Any], quick: Sequence[Any]) -> list[Any]:
    """Values of a parameter, or tuples for several: those in `quick` for every run, the others for `make thorough`."""
    rows = [name if isinstance(name, tuple) else (name,) for name in names]
    marks = [() if name in quick else pytest.mark.thorough for name in names]
    return [pytest.param(*row, marks=mark) for row, mark in zip(rows, marks, strict=True)]
