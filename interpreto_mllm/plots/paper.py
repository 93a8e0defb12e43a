"""The size of a figure, and what fits on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from interpreto_mllm.core.numbers import is_number
from interpreto_mllm.core.shown import shown
from interpreto_mllm.plots.fonts import installed_fonts
from interpreto_mllm.plots.text import shortened

if TYPE_CHECKING:
    from matplotlib.figure import Figure

USUAL, NARROWEST, WIDEST = 7.5, 2, 40
"""Widths in inches."""

COLUMN = 4.5
"""Inches up to which a figure is for a column of a paper: its letters are smaller."""

LETTER = 0.62
"""Width of a letter, as a share of its size: a little more than the mean of DejaVu Sans."""


@dataclass(frozen=True)
class Paper:
    """What a figure is drawn on.

    Args:
        width: in inches.
        fonts: the files of the installed fonts, by name.
    """

    width: float
    fonts: dict[str, str]

    @property
    def points(self) -> float:
        """Size of the letters."""
        return 8.0 if self.width <= COLUMN else 10.0

    @property
    def line(self) -> float:
        """Height of a bar and its label, in inches."""
        return 0.24 if self.width <= COLUMN else 0.3

    @property
    def letters(self) -> int:
        """Letters that a label beside the axis may have: those of 30 % of the width."""
        return max(8, int(0.3 * self.width / self._letter))

    def room_for(self, text: str, span: float) -> float:
        """How wide a text is in the units of an axis of this span, which takes most of the width; rather too much."""
        return len(text) * self._letter / (0.62 * self.width) * span

    def fitting(self, text: str) -> str:
        """The text, cut to one line of the figure."""
        return shortened(text, int(self.width / self._letter))

    def title(self, figure: Figure, text: str) -> None:
        """A title at the left, as text and never as a formula."""
        figure.suptitle(self.fitting(text), x=0.01, ha="left", fontsize=self.points, parse_math=False)

    @property
    def _letter(self) -> float:
        """Width of a letter in inches."""
        return LETTER * self.points / 72


@contextmanager
def drawing(width: int | float | None, points: float | None = None) -> Iterator[Paper]:
    """The paper of a figure that is drawn within, under settings of its own; figures leave pyplot's list.

    Args:
        width: of the paper, None for the usual one.
        points: size of the letters, None for that of the paper.

    Raises:
        ImportError: without matplotlib.
        ValueError: for a width that is none.
    """
    if width is not None and not (is_number(width) and NARROWEST <= width <= WIDEST):
        raise ValueError(f"width is a number of inches from {NARROWEST} to {WIDEST}; got {shown(width)}.")
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError("plot() needs matplotlib: pip install interpreto_mllm[plot]") from error
    paper = Paper(USUAL if width is None else float(width), installed_fonts())
    open_before = plt.get_fignums()
    with plt.rc_context(
        {
            "font.family": list(paper.fonts),
            "font.size": paper.points if points is None else points,
            "axes.unicode_minus": True,
            "svg.fonttype": "none",
            "pdf.fonttype": 42,
        }
    ):
        try:
            yield paper
        finally:
            for number in set(plt.get_fignums()) - set(open_before):
                plt.close(number)
