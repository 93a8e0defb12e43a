"""Bars of a list beside each other: all on one scale, which leaves no room for a sign that none of them has."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

LONGEST = 3.0
"""Of an interval, in strongest scores."""


@dataclass(frozen=True)
class Track:
    """The scale of the bars of a list, in strongest scores.

    Args:
        low: its left end, at most 0.
        high: its right end, at least 0.
    """

    low: float
    high: float

    @classmethod
    def of(cls, bars: Iterable[tuple[float, float]]) -> Track:
        """That of some scores, each with half the width of its interval.

        Example:
            >>> Track.of([(1.0, 0.25), (0.5, 0.0)])
            Track(low=0.0, high=1.25)
        """
        ends = [0.0, *(end for share, half in bars for end in (share - half, share + half))]
        low, high = max(min(ends), -LONGEST), min(max(ends), LONGEST)
        return cls(low, high if high > low else 1.0)

    @property
    def style(self) -> str:
        """Where zero is, for the list."""
        return f"--zero: {-self.low / (self.high - self.low):.3f}"

    def bar(self, share: float, half: float, classes: str) -> str:
        """A bar, and its interval as a whisker."""
        width = self.high - self.low
        low, high = (min(max(end, self.low), self.high) / width for end in (share - half, share + half))
        whisker = f'<s style="--from: {low:.3f}; --to: {high:.3f}"></s>' if half else ""
        return f'<span class="track"><i class="{classes}" style="--strength: {abs(share) / width:.3f}"></i>{whisker}</span>'
