"""Minimisation of a smooth function."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from math import inf

from jaxtyping import Float
from torch import Tensor

Smooth = Callable[[Tensor], tuple[Tensor, Tensor]]
REMEMBERED_STEPS = 12
MOST_STEP_LENGTHS = 20
"""Tried in one line search."""


def minimise(
    function: Smooth, start: Float[Tensor, "k"], iterations: int, tolerance: float, looks: float = inf
) -> Float[Tensor, "k"]:
    """Where `function`, which returns a value and a gradient, has a minimum near `start`.

    Limited-memory BFGS (Nocedal 1980) with a line search by bisection for the weak Wolfe conditions (Lewis & Overton 2013).
    It ends once the value falls by less than `tolerance` in an iteration, or the function was looked at so often.

    Example:
        >>> import torch
        >>> valley = lambda x: (((x - 3) ** 2).sum(), 2 * (x - 3))
        >>> minimise(valley, torch.zeros(2, dtype=torch.float64), 50, 1e-12).tolist()
        [3.0, 3.0]
    """
    point, looked = start, 0

    def counted(point: Tensor) -> tuple[Tensor, Tensor]:
        nonlocal looked
        looked += 1
        return function(point)

    value, slope = counted(point)
    steps: deque[tuple[Tensor, Tensor]] = deque(maxlen=REMEMBERED_STEPS)
    for _ in range(iterations):
        direction = _descent_direction(slope, steps)
        found = _line_search(counted, point, value, slope, direction, 1.0 if steps else 1 / max(1.0, float(slope.norm())))
        if found is None:
            break
        step, new_value, new_slope = found
        if float(step @ (new_slope - slope)) > 0:
            steps.append((step, new_slope - slope))
        fall = float(value - new_value)
        point, value, slope = point + step, new_value, new_slope
        if fall < tolerance or looked >= looks:
            break
    return point


def _descent_direction(slope: Tensor, steps: deque[tuple[Tensor, Tensor]]) -> Tensor:
    """The quasi-Newton direction, by the two-loop recursion."""
    direction, shares = -slope, []
    for step, change in reversed(steps):
        share = (step @ direction) / (step @ change)
        direction = direction - share * change
        shares.append(share)
    if steps:
        step, change = steps[-1]
        direction = direction * (step @ change) / (change @ change)
    for (step, change), share in zip(steps, reversed(shares), strict=True):
        direction = direction + (share - (change @ direction) / (step @ change)) * step
    return direction


def _line_search(
    function: Smooth, point: Tensor, value: Tensor, slope: Tensor, direction: Tensor, length: float
) -> tuple[Tensor, Tensor, Tensor] | None:
    """A step along `direction` that lowers the function, with value and gradient at its end; None if there is none."""
    descent = float(slope @ direction)
    short, long, best = 0.0, float("inf"), None
    for _ in range(MOST_STEP_LENGTHS):
        new_value, new_slope = function(point + length * direction)
        if not float(new_value) <= float(value) + 1e-4 * length * descent:
            long = length
        else:
            best = (length * direction, new_value, new_slope)
            if float(new_slope @ direction) >= 0.9 * descent:
                break
            short = length
        length = (short + long) / 2 if long < float("inf") else 2 * length
    return best
