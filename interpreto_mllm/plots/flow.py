"""Running text set in lines: which word of which piece stands where."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Placed:
    """A word or space on its line.

    Args:
        text: a word, or the space between two.
        tag: the caller's number for it.
        line: from 0.
        left: where it begins.
        width: how wide it is.
    """

    text: str
    tag: int
    line: int
    left: int | float
    width: int | float


def flow(stretches: Sequence[tuple[str, int]], width: int | float, measure: Callable[[str], int | float]) -> list[Placed]:
    """Set stretches of text in lines of a width; words are kept whole across stretches unless they are wider than a line.

    Args:
        stretches: text and tag of each.
        width: of a line, in the unit of `measure`.
        measure: how wide a text is.

    Example:
        >>> [(bit.text, bit.line, bit.left) for bit in flow([("to be", 0), (", or", 1)], 4, len)]
        [('to', 0, 0.0), ('be', 1, 0.0), (',', 1, 2.0), ('or', 2, 0.0)]
    """
    bits = [(bit, tag) for text, tag in stretches for bit in re.findall(r"\n|[^\S\n]+|\S+", text)]
    placed: list[Placed] = []
    line, left, place = 0, 0.0, 0
    while place < len(bits):
        end = place + 1
        if not bits[place][0].isspace():
            while end < len(bits) and not bits[end][0].isspace():
                end += 1
        unit = [(text, tag, measure(text)) for text, tag in bits[place:end]]
        if left > 0 and left + sum(wide for _, _, wide in unit) > width:
            line, left = line + 1, 0.0
            placed = placed[:-1] if placed and placed[-1].text.isspace() else placed
        for text, tag, wide in unit:
            if text == "\n":
                line, left = line + 1, 0.0
            elif not (text.isspace() and left == 0):
                placed.append(Placed(text, tag, line, left, wide))
                left += wide
        place = end
    return placed
