"""The result as a matplotlib figure: bars, a heat map, the prompt itself, and the kinds that have files of their own."""

from __future__ import annotations

from io import BytesIO
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interpreto_mllm.core.files import replace_file
from interpreto_mllm.core.shown import shown
from interpreto_mllm.plots.budget import budget
from interpreto_mllm.plots.colours import AGAINST, TOWARDS, hexadecimal
from interpreto_mllm.plots.description import quantity
from interpreto_mllm.plots.fonts import label
from interpreto_mllm.plots.force import force
from interpreto_mllm.plots.heat_map import heat_map
from interpreto_mllm.plots.paper import Paper, drawing
from interpreto_mllm.plots.scores import TargetScores, shown_scores, target_scores
from interpreto_mllm.plots.sheet import sheet
from interpreto_mllm.plots.waterfall import waterfall
from interpreto_mllm.results.record import Record

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_BARS = 40

KINDS = ("bars", "heat map", "prompt", "waterfall", "force", "budget")


def figure(
    attribution: Record,
    path: str | PathLike[str] | None,
    target: int | None,
    numbers: bool,
    kind: str | None = None,
    width: int | float | None = None,
) -> Figure:
    """Draw, and save when a path is given; the format is the path's suffix.

    Raises:
        ImportError: without matplotlib.
        ValueError: when there is no such target or kind, and for a width that is none.
    """
    if target is not None:
        attribution.require_target(target)
    if kind is not None and kind not in KINDS:
        raise ValueError(f"kind is {', '.join(map(repr, KINDS))} or None; got {shown(kind)}.")
    if kind is None:
        one = attribution.t == 1 or target is not None
        kind = "prompt" if attribution.media else "bars" if one else "heat map"
    with drawing(width) as paper:
        drawn = _drawn(attribution, target, numbers, kind, paper, width is not None)
        if path is not None:
            save(drawn, path, dpi=160, facecolor="white")
    return drawn


def _drawn(attribution: Record, target: int | None, numbers: bool, kind: str, paper: Paper, fixed: bool) -> Figure:
    if kind == "prompt":
        return sheet(attribution, target, numbers, paper.fonts)
    if kind == "heat map":
        return heat_map(attribution, paper, fixed)
    if kind == "budget":
        return budget(attribution, paper)
    row = shown_scores(attribution)[0] if target is None else target_scores(attribution, target)
    if kind == "bars":
        return _bars(attribution, row, paper)
    return waterfall(attribution, row, paper) if kind == "waterfall" else force(attribution, row, paper)


def save(drawn: Figure, path: str | PathLike[str] | BytesIO, **options: Any) -> None:
    """Write a figure as a whole or not at all; the format is the suffix, and PNG where there is none."""
    if isinstance(path, BytesIO):
        drawn.savefig(path, **options)
        return
    path, file = Path(path), BytesIO()
    path = path if path.suffix else path.with_name(f"{path.name}.png")
    drawn.savefig(file, format=path.suffix[1:], **options)
    replace_file(path, file.getvalue())


def _bars(attribution: Record, scores: TargetScores, paper: Paper) -> Figure:
    import matplotlib.pyplot as plt

    kept = sorted(scores.strongest(MOST_BARS))
    drawn, axes = plt.subplots(figsize=(paper.width, 1.5 + paper.line * len(kept)), layout="constrained")
    heights = [scores.scores[feature] for feature in kept]
    errors = None if scores.errors is None else [scores.errors[feature] for feature in kept]
    colours = [hexadecimal(TOWARDS if height > 0 else AGAINST) for height in heights]
    axes.barh(range(len(kept)), heights, xerr=errors, color=colours, height=0.72, error_kw={"ecolor": "#444444", "capsize": 2})
    axes.axvline(0, color="#444444", linewidth=0.8)
    names = [label(attribution.features[feature].name, paper.fonts, min(24, paper.letters)) for feature in kept]
    axes.set_yticks(range(len(kept)), labels=names, parse_math=False)
    axes.set_ylim(len(kept) - 0.4, -0.6)
    if not scores.bound:
        axes.set_xlim(-1, 1)
    axes.xaxis.grid(True, color="#e4e4e4", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.set_xlabel(paper.fitting(quantity(attribution)), parse_math=False)
    rest = f", {len(kept)} strongest of {attribution.n} features" if len(kept) < attribution.n else ""
    paper.title(drawn, f"{label(scores.label, paper.fonts, 48)}    {scores.ends}{rest}")
    return drawn
