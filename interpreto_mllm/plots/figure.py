"""The result as a matplotlib figure: bars for one target, a heat map for several, and the prompt itself if it holds media."""

from __future__ import annotations

from io import BytesIO
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interpreto_mllm.core.files import replace_file
from interpreto_mllm.plots.colours import AGAINST, PAPER, TOWARDS, hexadecimal
from interpreto_mllm.plots.fonts import installed_fonts, label
from interpreto_mllm.plots.scores import target_scores
from interpreto_mllm.plots.sheet import sheet
from interpreto_mllm.plots.summary import quantity
from interpreto_mllm.results.record import Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_BARS = 40

MOST_COLUMNS, MOST_ROW_LABELS = 60, 80
"""Of a heat map: with more features it shows the strongest, and of more targets only some are labelled."""


def figure(attribution: Record, path: str | PathLike[str] | None, target: int | None, numbers: bool) -> Figure:
    """Draw, and save when a path is given; the format is the path's suffix.

    Raises:
        ImportError: without matplotlib.
        ValueError: when there is no such target.
    """
    if target is not None:
        attribution.require_target(target)
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError("plot() needs matplotlib: pip install interpreto_mllm[plot]") from error
    fonts = installed_fonts()
    with plt.rc_context({"font.family": list(fonts), "font.size": 10, "axes.unicode_minus": True, "svg.fonttype": "none"}):
        if attribution.media:
            drawn = sheet(attribution, target, numbers, fonts)
        elif attribution.t == 1 or target is not None:
            drawn = _bars(attribution, target or 0, fonts)
        else:
            drawn = _heat_map(attribution, fonts)
        if path is not None:
            save(drawn, path, dpi=160, facecolor="white")
    plt.close(drawn)
    return drawn


def save(drawn: Figure, path: str | PathLike[str] | BytesIO, **options: Any) -> None:
    """Write a figure as a whole or not at all; the format is the suffix, and PNG where there is none."""
    if isinstance(path, BytesIO):
        drawn.savefig(path, **options)
        return
    path, file = Path(path), BytesIO()
    path = path if path.suffix else path.with_name(f"{path.name}.png")
    drawn.savefig(file, format=path.suffix[1:], **options)
    replace_file(path, file.getvalue())


def _bars(attribution: Record, target: int, fonts: dict[str, str]) -> Figure:
    import matplotlib.pyplot as plt

    scores = target_scores(attribution, target)
    shown = sorted(scores.strongest(MOST_BARS))
    drawn, axes = plt.subplots(figsize=(7.5, 1.5 + 0.3 * len(shown)), layout="constrained")
    heights = [scores.scores[feature] for feature in shown]
    errors = None if scores.errors is None else [scores.errors[feature] for feature in shown]
    colours = [hexadecimal(TOWARDS if height > 0 else AGAINST) for height in heights]
    axes.barh(range(len(shown)), heights, xerr=errors, color=colours, height=0.72, error_kw={"ecolor": "#444444", "capsize": 2})
    axes.axvline(0, color="#444444", linewidth=0.8)
    names = [label(attribution.features[feature].name, fonts) for feature in shown]
    axes.set_yticks(range(len(shown)), labels=names, parse_math=False)
    axes.set_ylim(len(shown) - 0.4, -0.6)
    if not scores.bound:
        axes.set_xlim(-1, 1)
    axes.xaxis.grid(True, color="#e4e4e4", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.set_xlabel(quantity(attribution), parse_math=False)
    rest = f", {len(shown)} strongest of {attribution.n} features" if len(shown) < attribution.n else ""
    _title(axes, f"{label(scores.label, fonts, 48)}    v(∅) {scores.empty:.3g} → v(N) {scores.full:.3g}{rest}")
    return drawn


def _heat_map(attribution: Record, fonts: dict[str, str]) -> Figure:
    import matplotlib.pyplot as plt
    from matplotlib.colors import LinearSegmentedColormap

    strongest = attribution.attributions.abs().amax(0).argsort(descending=True, stable=True)[:MOST_COLUMNS]
    shown = strongest.sort().values.tolist()
    scores = attribution.attributions[:, shown].detach().cpu().double().numpy()
    bound = float(abs(scores).max()) or 1.0
    size = (3.5 + 0.27 * len(shown), min(2.4 + 0.27 * attribution.t, 24))
    drawn, axes = plt.subplots(figsize=size, layout="constrained")
    stops = [hexadecimal(colour) for colour in (AGAINST, PAPER, TOWARDS)]
    colours = LinearSegmentedColormap.from_list("against to towards", stops)
    image = axes.pcolormesh(scores, cmap=colours, vmin=-bound, vmax=bound, edgecolors="white", linewidth=0.6)
    axes.invert_yaxis()
    lines = range(0, attribution.t, -(-attribution.t // MOST_ROW_LABELS))
    names = [label(attribution.features[feature].name, fonts) for feature in shown]
    axes.set_xticks([column + 0.5 for column in range(len(shown))], labels=names, rotation=90, parse_math=False)
    labels = [label(attribution.targets[line], fonts) for line in lines]
    axes.set_yticks([line + 0.5 for line in lines], labels=labels, parse_math=False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    bar = drawn.colorbar(image, ax=axes, shrink=min(1.0, 3 / size[1] + 0.2), pad=0.02, aspect=18)
    bar.set_label(quantity(attribution), parse_math=False)
    bar.outline.set_visible(False)  # type: ignore[operator]
    which = "each feature" if len(shown) == attribution.n else f"the {len(shown)} strongest of {attribution.n:,} features"
    _title(axes, f"{attribution.estimand} of {which} (columns) for each {attribution.unit} (rows)")
    return drawn


def _title(axes: Axes, text: str) -> None:
    axes.set_title(text, loc="left", fontsize=10, parse_math=False)
