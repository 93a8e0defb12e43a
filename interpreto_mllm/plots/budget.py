"""How scores settle with the number of evaluations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interpreto_mllm.plots.colours import AGAINST, TOWARDS, hexadecimal
from interpreto_mllm.plots.description import unit
from interpreto_mllm.plots.paper import Paper
from interpreto_mllm.results.convergence import convergence
from interpreto_mllm.results.record import Record

if TYPE_CHECKING:
    from matplotlib.figure import Figure

APART = 0.16
"""Share of the axis between two labels."""

ROUNDING = 1e-9
"""Share of the largest distance below which there is none."""


def budget(record: Record, paper: Paper) -> Figure:
    """Root mean squares of standard errors, and of distances from the final scores; both axes are logarithmic.

    Raises:
        ValueError: for a result that was not drawn.
    """
    import matplotlib.pyplot as plt
    from matplotlib.ticker import LogLocator

    stages = convergence(record)
    drawn, axes = plt.subplots(figsize=(paper.width, 0.62 * paper.width), layout="constrained")
    lines = (
        ("standard error", [(stage.evaluations, stage.error) for stage in stages], TOWARDS, "o-"),
        ("distance from the final scores", [(stage.evaluations, stage.distance) for stage in stages[:-1]], AGAINST, "s--"),
    )
    for told, points, colour, style in lines:
        shown = [(x, y) for x, y in points if y > ROUNDING * max(stage.distance for stage in stages)]
        if shown:
            axes.plot(*zip(*shown, strict=True), style, color=hexadecimal(colour), markersize=4, label=told)
    axes.set_xscale("log")
    axes.set_yscale("log")
    ticks = _apart([stage.evaluations for stage in stages])
    axes.set_xticks(ticks, labels=[f"{tick:,}" for tick in ticks])
    axes.minorticks_off()
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.grid(True, color="#e4e4e4", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlabel("evaluations")
    axes.set_ylabel(f"error ({unit(record)})", parse_math=False)
    axes.legend(frameon=False, fontsize=paper.points - 1)
    paper.title(drawn, f"{record.method or record.estimand}, {record.n} features, {record.t} targets")
    return drawn


def _apart(places: list[int]) -> list[int]:
    """Of these, from the last one down, those that stand apart on a logarithmic axis."""
    least, kept = (places[-1] / places[0]) ** APART, [places[-1]]
    for place in reversed(places):
        if place * least <= kept[-1]:
            kept.append(place)
    return kept[::-1]
