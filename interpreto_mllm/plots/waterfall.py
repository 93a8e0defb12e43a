"""From the value of nothing to that of the whole prompt, one feature after the other."""

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
    from matplotlib.figure import Figure

STEPS = 12
"""Features with a bar of their own."""

NEGLIGIBLE = 1e-9
"""Share of the largest step up to which a rest is rounding."""


def waterfall(record: Record, row: TargetScores, paper: Paper) -> Figure:
    """A bar for each of the strongest features, from where the last one ended; then the others, and what is left over."""
    import matplotlib.pyplot as plt

    steps = _steps(record, row, paper)
    drawn, axes = plt.subplots(figsize=(paper.width, 1.3 + paper.line * len(steps)), layout="constrained")
    at, ends = row.empty, [row.empty]
    for place, (_, height, plain) in enumerate(steps):
        colour = "#b8bcc2" if plain else hexadecimal(TOWARDS if height > 0 else AGAINST)
        axes.barh(place, height, left=at, color=colour, height=0.72)
        axes.plot([at + height] * 2, [place - 0.36, place + 1.36], color="#888888", linewidth=0.6)
        at += height
        ends.append(at)
    axes.axvline(row.empty, color="#444444", linewidth=0.8, linestyle=(0, (2, 2)))
    room = 0.16 * (max(ends) - min(ends) or 1.0)
    for place, (_, height, _) in enumerate(steps):
        right = max(ends[place], ends[place + 1])
        axes.text(right + room / 12, place, row.signed(height), va="center", ha="left", fontsize=paper.points - 1)
    axes.set_xlim(min(ends) - room / 4, max(ends) + room + paper.room_for(row.signed(row.bound), max(ends) - min(ends)))
    axes.set_yticks(range(len(steps)), labels=[told for told, _, _ in steps], parse_math=False)
    axes.set_ylim(len(steps) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.set_xlabel(paper.fitting(quantity(record)), parse_math=False)
    paper.title(drawn, f"{label(row.label, paper.fonts, 48)}    {row.ends}")
    return drawn


def _steps(record: Record, row: TargetScores, paper: Paper) -> list[tuple[str, float, bool]]:
    """Name and height of each bar, and whether it is of no single feature."""
    strongest = row.strongest(STEPS)
    steps = [(label(name(record, index), paper.fonts, paper.letters), row.scores[index], False) for index in strongest]
    if len(strongest) < record.n:
        others = sum(row.scores) - sum(row.scores[index] for index in strongest)
        steps.append((f"{record.n - len(strongest)} others", others, True))
    rest = row.full - row.empty - sum(row.scores)
    if abs(rest) > NEGLIGIBLE * max(row.bound, abs(row.full - row.empty)):
        steps.append(("not attributed", rest, True))
    return steps
