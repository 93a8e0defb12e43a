"""Numbers as people read them: one minus sign, no exponents, as many decimals as the scale they stand on asks for."""

from __future__ import annotations

import math
from dataclasses import dataclass

SIGNIFICANT = 3
"""Digits of the largest number on a scale."""

MOST_DECIMALS = 6


@dataclass(frozen=True)
class NumberScale:
    """How the numbers of one list are written, so that they stand under each other.

    Args:
        bound: the largest absolute value on it.

    Example:
        >>> scale = NumberScale(4.0)
        >>> scale.signed(4.0), scale.signed(-0.5), scale.plain(0.25), scale.signed(-0.001)
        ('+4.00', '−0.50', '0.25', '0.00')
        >>> NumberScale(3e-9).signed(-1e-9)
        '−0.33 × 3.00e−9'
        >>> NumberScale(1234.5).plain(1234.5)
        '1,234'
    """

    bound: float

    @property
    def decimals(self) -> int:
        """Behind the point."""
        if not self.bound or not math.isfinite(self.bound):
            return 0
        return max(0, SIGNIFICANT - 1 - math.floor(math.log10(self.bound)))

    def plain(self, value: float) -> str:
        """A number without a plus sign."""
        if not math.isfinite(value):
            return "?"
        if self.decimals > MOST_DECIMALS:
            return f"{value / self.bound:.2f} × {self.bound:.2e}".replace("e-0", "e-").replace("-", "−")
        text = f"{value:,.{self.decimals}f}"
        return text.removeprefix("-") if not text.strip("-0.,") else text.replace("-", "−")

    def error(self, value: float) -> str:
        """A standard error, or what it is below where it would read as zero.

        Example:
            >>> NumberScale(4.0).error(0.25), NumberScale(4.0).error(0.001)
            ('0.25', '<0.01')
        """
        text = self.plain(value)
        rounded = value > 0 and self.decimals <= MOST_DECIMALS and not text.strip("0.,")
        return f"<{10.0**-self.decimals:.{self.decimals}f}" if rounded else text

    def signed(self, value: float) -> str:
        """A number with its sign, zero without."""
        text = self.plain(value)
        return f"+{text}" if value > 0 and text.strip("0.,") else text


def duration(seconds: float) -> str:
    """A time.

    Example:
        >>> duration(0.0123), duration(2.34), duration(4.0), duration(300.2), duration(5400.0)
        ('12 ms', '2.3 s', '4 s', '300 s', '1 h 30 min')
    """
    if seconds < 0.0995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 999.5:
        return f"{seconds:.2g} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60:,} h {minutes % 60:02} min"
