"""The size of a figure, and what fits on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from interpreto_mllm.plots.text import shortened

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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
