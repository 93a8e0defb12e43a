"""Cells of tables that set methods beside each other, on pages of studies and of metrics."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

CHANCE = '<small title="no better than a random ranking at 95 %">≈ random</small>'


@dataclass(frozen=True)
class Ranged:
    """A mean with its interval, drawn on the scale of its column.

    Args:
        mean: of the method.
        low, high: ends of the interval.
        text: how the mean is written.
        told: about the interval, on hover.
        kinds: style classes, such as "best".
        chance: whether a random ranking may do as well.
    """

    mean: float
    low: float
    high: float
    text: str
    told: str
    kinds: Sequence[str] = ()
    chance: bool = False


def ranged_cell(shown: Ranged, ends: tuple[float, float]) -> str:
    """A cell with a mean, its interval below it, and a mark where that is no news.

    Args:
        shown: what it holds.
        ends: the least and the largest end of an interval in the column.

    Example:
        >>> cell = ranged_cell(Ranged(0.5, 0.4, 0.6, "0.50", "0.40 to 0.60"), (0.0, 1.0))
        >>> "--at: 0.5000; --from: 0.4000; --to: 0.6000" in cell
        True
    """
    width = ends[1] - ends[0] or 1.0
    at, start, end = ((value - ends[0]) / width for value in (shown.mean, shown.low, shown.high))
    return (
        f'<td data-value="{shown.mean!r}" class="{" ".join(shown.kinds)}" title="{escape(shown.told)}"><span>'
        f'{escape(shown.text)}</span><i class="range" style="--at: {at:.4f}; --from: {start:.4f}; --to: {end:.4f}"></i>'
        f"{CHANCE if shown.chance else ''}</td>"
    )


def breakable(name: str) -> str:
    """The name of a class, which may be broken before its words."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "<wbr>", escape(name))
