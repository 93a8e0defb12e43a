"""What matters over many prompts as a matplotlib figure: a point for each prompt, or shares with their intervals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING

from interpreto_mllm.core.numbers import is_whole
from interpreto_mllm.core.shown import shown
from interpreto_mllm.plots.colours import AGAINST, TOWARDS, hexadecimal
from interpreto_mllm.plots.description import unit
from interpreto_mllm.plots.figure import save
from interpreto_mllm.plots.fonts import label
from interpreto_mllm.plots.paper import Paper, drawing
from interpreto_mllm.results.summarised import Entry, SummarisedResults

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STEPS, HIGHEST = 60, 0.42
"""Along the axis, points within one step stand on each other, up to this far from the line."""


def figure(
    summary: SummarisedResults, path: str | PathLike[str] | None, kind: str, top: int, width: int | float | None
) -> Figure:
    """Draw, and save when a path is given; the format is the path's suffix.

    Raises:
        ImportError: without matplotlib.
        ValueError: for another kind, a width that is none, or no entries.
    """
    if kind not in ("beeswarm", "bars"):
        raise ValueError(f"kind is 'beeswarm' or 'bars'; got {shown(kind)}.")
    if not is_whole(top) or top < 1:
        raise ValueError(f"top is a number of entries, at least 1; got {shown(top)}.")
    with drawing(width) as paper:
        drawn = (_points if kind == "beeswarm" else _bars)(summary, summary.entries[:top], paper)
        if path is not None:
            save(drawn, path, dpi=160, facecolor="white")
    return drawn


def heights(scores: Sequence[float], left: float, right: float) -> list[float]:
    """How far from its line each point stands, so that points at one place do not hide each other.

    Example:
        >>> heights([0.5, 0.5, 0.5, 0.9], 0.0, 1.0)
        [0.0, 0.06, -0.06, 0.0]
    """
    places, seen, found = [int(STEPS * (score - left) / ((right - left) or 1.0)) for score in scores], Counter[int](), []
    crowd = max(Counter(places).values(), default=1)
    apart = min(0.06, HIGHEST / max(1, crowd // 2))
    for place in places:
        found.append(apart * ((seen[place] + 1) // 2) * (1 if seen[place] % 2 else -1) + 0.0)
        seen[place] += 1
    return found


def _points(summary: SummarisedResults, entries: Sequence[Entry], paper: Paper) -> Figure:
    import matplotlib.pyplot as plt

    drawn, axes = plt.subplots(figsize=(paper.width, 1.2 + paper.line * len(entries)), layout="constrained")
    every = [score for entry in entries for score in entry.scores]
    left, right = min(every), max(every)
    for line, entry in enumerate(entries):
        ys = [line + height for height in heights(entry.scores, left, right)]
        colours = [hexadecimal(TOWARDS if score > 0 else AGAINST) for score in entry.scores]
        axes.scatter(entry.scores, ys, s=paper.points, c=colours, alpha=0.7, linewidths=0)
        if entry.mean_interval is not None:
            axes.plot(entry.mean_interval, [line, line], color="#222222", linewidth=1)
        axes.plot([entry.mean], [line], "|", color="#222222", markersize=paper.points)
    axes.axvline(0, color="#444444", linewidth=0.8)
    _finished(drawn, axes, summary, entries, paper)
    axes.set_xlabel(paper.fitting("share of Σ|φ| of its prompt, with its sign" if summary.relative else _score(summary)))
    return drawn


def _bars(summary: SummarisedResults, entries: Sequence[Entry], paper: Paper) -> Figure:
    import matplotlib.pyplot as plt

    drawn, axes = plt.subplots(figsize=(paper.width, 1.2 + paper.line * len(entries)), layout="constrained")
    for line, entry in enumerate(entries):
        axes.barh(line, 100 * entry.share, color=hexadecimal(TOWARDS if entry.mean > 0 else AGAINST), height=0.72)
        if entry.share_interval is not None:
            axes.plot([100 * end for end in entry.share_interval], [line, line], color="#444444", linewidth=1)
    _finished(drawn, axes, summary, entries, paper)
    axes.set_xlabel("% of Σ|φ|, mean of all prompts")
    return drawn


def _finished(drawn: Figure, axes: Axes, summary: SummarisedResults, entries: Sequence[Entry], paper: Paper) -> None:
    """The title, the names of the entries, and how many prompts have them."""
    names = [f"{label(str(entry.name), paper.fonts, paper.letters)} ({len(entry.scores)})" for entry in entries]
    axes.set_yticks(range(len(entries)), labels=names, parse_math=False)
    axes.set_ylim(len(entries) - 0.4, -0.6)
    axes.xaxis.grid(True, color="#e4e4e4", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    paper.title(drawn, f"{len(summary.rows)} prompts, {len(entries)} strongest of {len(summary.entries)} by {summary.by}")


def _score(summary: SummarisedResults) -> str:
    return f"{summary.rows[0].estimand} ({unit(summary.rows[0])})"
