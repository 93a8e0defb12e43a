"""The outline of a mask, for drawing libraries and SVG."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool

Loop = list[tuple[int, int]]
"""The corners of a closed line, as (x, y) between pixels."""


def outline(mask: Bool[np.ndarray, "height width"]) -> list[Loop]:
    """The closed lines around the pixels of a mask, holes included.

    Example:
        >>> import numpy as np
        >>> outline(np.array([[True, True]]))
        [[(0, 0), (2, 0), (2, 1), (0, 1)]]
    """
    if not mask.any():
        return []
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    top, left = int(rows[0]), int(columns[0])
    padded = np.pad(mask[top : rows[-1] + 1, left : columns[-1] + 1], 1)
    ahead: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for step, axis, inside_first in (((1, 0), 0, False), ((-1, 0), 0, True), ((0, 1), 1, True), ((0, -1), 1, False)):
        first, second = (padded[:-1], padded[1:]) if axis == 0 else (padded[:, :-1], padded[:, 1:])
        borders = (first & ~second) if inside_first else (second & ~first)
        for row, column in np.argwhere(borders).tolist():
            x, y = (column - 1, row) if axis == 0 else (column, row - 1)
            start = (left + x - min(step[0], 0), top + y - min(step[1], 0))
            ahead.setdefault(start, []).append(step)
    loops = []
    while ahead:
        loops.append(_walk(ahead, next(iter(ahead))))
    return loops


def _walk(ahead: dict[tuple[int, int], list[tuple[int, int]]], start: tuple[int, int]) -> Loop:
    """Follow the borders from a corner until back at it, using them up; only corners where the line turns are kept."""
    loop: Loop = []
    here, last = start, None
    while True:
        steps = ahead[here]
        step = steps.pop()
        if not steps:
            del ahead[here]
        if step != last:
            loop.append(here)
        here, last = (here[0] + step[0], here[1] + step[1]), step
        if here == start:
            return loop


def svg_path(mask: Bool[np.ndarray, "height width"]) -> str:
    """The outline as the `d` of an SVG path.

    Example:
        >>> import numpy as np
        >>> svg_path(np.array([[False, True]]))
        'M1 0H2V1H1Z'
    """
    return "".join(_svg_loop(loop) for loop in outline(mask))


def _svg_loop(loop: Loop) -> str:
    (x, y), *rest = loop
    drawn = f"M{x} {y}"
    for to_x, to_y in rest:
        drawn += f"H{to_x}" if to_y == y else f"V{to_y}"
        x, y = to_x, to_y
    return drawn + "Z"
