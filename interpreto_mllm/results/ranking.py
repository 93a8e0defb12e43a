"""Features in the order of their scores, with intervals, and the places that they may have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from interpreto_mllm.results.folding import row_of
from interpreto_mllm.results.intervals import interval
from interpreto_mllm.results.record import Record


@dataclass(frozen=True)
class RankedPiece:
    """A piece of a prompt at its place in a ranking.

    Args:
        label: of the source that it is, or is a part of.
        text: it.
        score: its attribution.
        interval: the ends of its confidence interval; None where errors are not known.
        places: the first and the last place that it may have, by intervals that do not overlap; None without intervals.

    Example:
        >>> RankedPiece("logbook", "the sky is blue .", 2.5, (2.25, 2.75), (1, 1))
        1  logbook: the sky is blue .  +2.5 [+2.25, +2.75]
    """

    label: str
    text: str
    score: float
    interval: tuple[float, float] | None = None
    places: tuple[int, int] | None = None

    def __repr__(self) -> str:
        first, last = self.places or (0, 0)
        place = "" if self.places is None else f"{first}  " if first == last else f"{first}–{last}  "
        low, high = self.interval or (self.score, self.score)
        told = f" [{low:+.3g}, {high:+.3g}]" if low < high else ""
        return f"{place}{self.label}: {self.text}  {self.score:+.3g}{told}"


def ranking(record: Record, level: float = 0.95) -> list[RankedPiece]:
    """The features of a result by their scores for the whole answer, the largest first.

    Raises:
        ValueError: for a level outside (0, 1), or several targets that are no one answer.
    """
    row, index = row_of(record, None)
    scores = row.attributions[index].tolist()
    ends = None
    if row.standard_errors is not None and not bool(row.standard_errors[index].isnan().any()):
        ends = torch.stack(interval(row, level))[:, index].T.tolist()
    places = None if ends is None else [_places(ends, one) for one in range(row.n)]
    order = sorted(range(row.n), key=lambda one: -scores[one])
    return [
        RankedPiece(
            row.features[one].source or row.features[one].label or row.features[one].text,
            row.features[one].text,
            scores[one],
            None if ends is None else (ends[one][0], ends[one][1]),
            None if places is None else places[one],
        )
        for one in order
    ]


def _places(ends: Sequence[Sequence[float]], one: int) -> tuple[int, int]:
    """The first and the last place of a feature."""
    low, high = ends[one]
    above = sum(other[0] > high for other in ends)
    below = sum(other[1] < low for other in ends)
    return above + 1, len(ends) - below
