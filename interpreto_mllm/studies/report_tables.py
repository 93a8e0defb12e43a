"""The leaderboard of a study: for each method and metric the mean over samples, with its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from interpreto_mllm.metrics.baselines import RANDOM
from interpreto_mllm.metrics.catalogue import METRICS
from interpreto_mllm.metrics.comparison import MethodComparison, bootstrap_interval, compare_methods
from interpreto_mllm.metrics.metric import ARROWS, Direction
from interpreto_mllm.plots.charts import Point, Series
from interpreto_mllm.plots.number_scale import NumberScale
from interpreto_mllm.studies.report_data import Entry

LEVEL = 0.95


@dataclass(frozen=True)
class Cell:
    """A mean over samples.

    Args:
        mean: of them.
        low, high: ends of its 95 % interval.
        count: of samples.
        best: whether no other method has a better mean.
        beats_random: whether it is better than a random ranking at 95 %; None where that is not known.
    """

    mean: float
    low: float
    high: float
    count: int
    best: bool = False
    beats_random: bool | None = None


@dataclass(frozen=True)
class Leaderboard:
    """Methods in lines, metrics in columns.

    Args:
        entries: the lines.
        metrics: the columns, those with a better and a worse end first.
        cells: by line and column; None where a method has no such number.
    """

    entries: tuple[Entry, ...]
    metrics: tuple[str, ...]
    cells: tuple[tuple[Cell | None, ...], ...]

    @classmethod
    def of(cls, entries: Sequence[Entry]) -> Leaderboard:
        """That of some entries, the best of the first metric on top, baselines last."""
        names = list(dict.fromkeys(name for one in entries for name in one.metrics))
        names.sort(key=lambda name: direction(name) == "none")
        random = next((one for one in entries if one.baseline and one.label == RANDOM), None)
        rows = [[_cell(one, name, random) for name in names] for one in entries]
        rows = [
            list(row) for row in zip(*(_marked(column, entries, name) for column, name in _columns(rows, names)), strict=True)
        ]
        rows = rows or [[] for _ in entries]
        order = sorted(range(len(entries)), key=lambda index: _place(entries[index], rows[index], names))
        return cls(tuple(entries[i] for i in order), tuple(names), tuple(tuple(rows[i]) for i in order))

    def markdown(self) -> tuple[list[str], list[list[str]]]:
        """Head and lines as text, the best of each column in bold; "·" after what a random ranking may reach as well."""
        head = ["method", *(heading(name) for name in self.metrics), "evaluations", "seconds"]
        return head, [
            [one.name, *(_text(cell, self._scale(column)) for column, cell in enumerate(row)), *costs(one)]
            for one, row in zip(self.entries, self.cells, strict=True)
        ]

    def _scale(self, column: int) -> NumberScale:
        return scale_of([row[column] for row in self.cells])


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """The mean, and the ends of its bootstrap interval; of a single value itself."""
    given = np.asarray(values, dtype=np.float64)
    ends = bootstrap_interval(given, LEVEL) if len(given) > 1 else (float(given[0]), float(given[0]))
    return float(given.mean()), *ends


def better_than(differences: Sequence[float]) -> bool:
    """Whether paired differences have a mean above zero: the interval of the mean lies above it."""
    return interval(differences)[1] > 0


def ranked(board: Leaderboard, metric: str) -> MethodComparison | None:
    """The lines of a leaderboard by their ranks over the samples that all of them have; None where that says nothing."""
    values = {one.name: one.values(metric) for one in board.entries}
    values = {name: of_samples for name, of_samples in values.items() if of_samples}
    common = [one for one in next(iter(values.values()), {}) if all(one in each for each in values.values())]
    if direction(metric) == "none" or len(values) < 2 or len(common) < 2:
        return None
    return compare_methods({name: [each[one] for one in common] for name, each in values.items()}, direction(metric), LEVEL)


def scale_of(cells: Sequence[Cell | None]) -> NumberScale:
    """On which the numbers of a column are written."""
    return NumberScale(max((abs(cell.mean) for cell in cells if cell is not None), default=0.0) or 1.0)


def direction(metric: str) -> Direction:
    """Which end of a metric is better, of "deletion_auc" as of "top_k_drop@5"; "none" for one of the user's own."""
    known = METRICS.get(metric.partition("@")[0])
    return "none" if known is None else known.direction


def heading(metric: str) -> str:
    """The name of a metric, and an arrow to its better end.

    Example:
        >>> heading("deletion_auc"), heading("gini")
        ('deletion auc ↓', 'gini')
    """
    return f"{metric.replace('_', ' ')} {ARROWS[direction(metric)]}".strip()


def whole_columns(head: Sequence[str]) -> list[int]:
    """Places of the columns of whole metrics, and of what is no metric: those of parts, such as "precision@3", are left out."""
    return [place for place, name in enumerate(head) if "@" not in name]


def costs(entry: Entry) -> list[str]:
    """Evaluations and seconds of a sample, as text."""
    evaluations, seconds = entry.evaluations, entry.seconds
    return ["" if evaluations is None else f"{evaluations:,.0f}", "" if seconds is None else f"{seconds:.2f}"]


def curves(entries: Sequence[Entry], metric: str) -> list[Series]:
    """A line for each method over its budgets; baselines as levels. Empty where no method has two budgets."""
    found: dict[str, list[Point]] = {}
    for one in entries:
        values = list(one.values(metric).values())
        if not one.baseline and values and one.evaluations:
            mean, low, high = interval(values)
            found.setdefault(one.label, []).append(Point(one.evaluations, mean, low, high))
    if not any(len({point.x for point in points}) > 1 for points in found.values()):
        return []
    series = [Series(name, tuple(points), index) for index, (name, points) in enumerate(found.items())]
    levels = [
        (one.label, interval(list(one.values(metric).values()))) for one in entries if one.baseline and one.values(metric)
    ]
    return [*series, *(Series(name, (Point(1.0, *ends),), None) for name, ends in levels)]


def _cell(entry: Entry, metric: str, random: Entry | None) -> Cell | None:
    values = entry.values(metric)
    if not values:
        return None
    mean, low, high = interval(list(values.values()))
    beats = None
    if random is not None and entry is not random and direction(metric) != "none":
        chance = random.values(metric)
        common = [one for one in values if one in chance]
        sign = 1 if direction(metric) == "higher" else -1
        beats = better_than([sign * (values[one] - chance[one]) for one in common]) if common else None
    return Cell(mean, low, high, len(values), False, beats)


def _columns(rows: list[list[Cell | None]], names: list[str]) -> list[tuple[list[Cell | None], str]]:
    return [([row[index] for row in rows], name) for index, name in enumerate(names)]


def _marked(column: list[Cell | None], entries: Sequence[Entry], metric: str) -> list[Cell | None]:
    """A column in which all are marked whose means read as the best one does."""
    way, scale = direction(metric), scale_of(column)
    means = [cell.mean for cell, one in zip(column, entries, strict=True) if cell is not None and not one.baseline]
    if way == "none" or not means:
        return column
    best = scale.plain(max(means) if way == "higher" else min(means))
    return [
        cell if cell is None or one.baseline or scale.plain(cell.mean) != best else replace(cell, best=True)
        for cell, one in zip(column, entries, strict=True)
    ]


def _place(entry: Entry, row: list[Cell | None], names: list[str]) -> tuple[bool, list[float]]:
    """By which lines are sorted: the metrics one after the other, baselines last."""
    signs = {"higher": -1.0, "lower": 1.0}
    told = [(cell, signs[direction(name)]) for cell, name in zip(row, names, strict=True) if direction(name) in signs]
    return entry.baseline, [math.inf if cell is None else sign * cell.mean for cell, sign in told]


def _text(cell: Cell | None, scale: NumberScale) -> str:
    if cell is None:
        return "–"
    mean = scale.plain(cell.mean)
    shown = f"{mean} [{scale.plain(cell.low)}, {scale.plain(cell.high)}]"
    return f"**{shown}**" if cell.best else f"{shown} ·" if cell.beats_random is False else shown
