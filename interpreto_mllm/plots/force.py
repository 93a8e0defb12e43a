"""All scores end to end: what pushes towards the target, and then what pushes against it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interpreto_mllm.plots.areas import name
from interpreto_mllm.plots.colours import AGAINST, TOWARDS, hexadecimal
from interpreto_mllm.plots.description import quantity
from interpreto_mllm.plots.fonts import label
from interpreto_mllm.plots.paper import Paper
from interpreto_mllm.plots.scores import TargetScores
from interpreto_mllm.results.record import Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SMALLEST = 0.015
"""Share of the axis below which features are drawn as one stretch."""


def force(record: Record, row: TargetScores, paper: Paper) -> Figure:
    """Two bars: from v(∅) to the right by all scores towards the target, and from there to the left by those against it."""
    import matplotlib.pyplot as plt

    drawn, axes = plt.subplots(figsize=(paper.width, 2.1), layout="constrained")
    turn = row.empty + sum(score for score in row.scores if score > 0)
    end = row.empty + sum(row.scores)
    span = (turn - min(row.empty, end, row.full)) or 1.0
    axes.set_xlim(min(row.empty, end, row.full) - 0.02 * span, turn + 0.02 * span)
    axes.set_ylim(2.1, -1.1)
    for line, start, sign in ((0, row.empty, 1), (1, turn, -1)):
        _stretches(axes, record, row, paper, line, start, sign, span)
    empty, _, full = row.ends.partition(" → ")
    for place, told, edge, side in ((row.empty, empty, -0.5, "bottom"), (row.full, full, 1.5, "top")):
        axes.plot([place, place], [-0.5, 1.5], color="#444444", linewidth=0.8, linestyle=(0, (2, 2)))
        at = "left" if place < sum(axes.get_xlim()) / 2 else "right"
        axes.text(place, edge, told, ha=at, va=side, fontsize=paper.points - 1)
    axes.set_yticks([0, 1], labels=["towards", "against"])
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.set_xlabel(paper.fitting(quantity(record)), parse_math=False)
    paper.title(drawn, label(row.label, paper.fonts, 48))
    return drawn


def _stretches(
    axes: Axes, record: Record, row: TargetScores, paper: Paper, line: int, start: float, sign: int, span: float
) -> None:
    """The features that push this way, strongest first; the faint ones as one stretch without a name."""
    pushing = [index for index in row.strongest(record.n) if row.scores[index] * sign > 0]
    shown = [index for index in pushing if abs(row.scores[index]) >= SMALLEST * span]
    faint = sum(row.scores[index] for index in pushing) - sum(row.scores[index] for index in shown)
    stretches = [(label(name(record, index), paper.fonts, 40), row.scores[index]) for index in shown]
    if faint:
        stretches.append((f"{len(pushing) - len(shown)} more", faint))
    colour = hexadecimal(TOWARDS if sign > 0 else AGAINST)
    for place, (told, length) in enumerate(stretches):
        weak = place == len(shown)
        axes.barh(line, length, left=start, color=colour, alpha=0.45 if weak else 1.0, height=0.8, edgecolor="white")
        if paper.room_for(told, 1.04 * span) < abs(length):
            ink = "#222222" if weak else "white"
            axes.text(
                start + length / 2, line, told, ha="center", va="center", color=ink, fontsize=paper.points - 1, parse_math=False
            )
        start += length
