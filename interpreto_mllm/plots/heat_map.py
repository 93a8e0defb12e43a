"""Targets by features as a heat map."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interpreto_mllm.plots.colours import AGAINST, PAPER, TOWARDS, hexadecimal
from interpreto_mllm.plots.description import quantity
from interpreto_mllm.plots.fonts import label
from interpreto_mllm.plots.paper import Paper
from interpreto_mllm.results.record import Record

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_COLUMNS, MOST_ROW_LABELS = 60, 80
"""With more features it shows the strongest, and of more targets only some are labelled."""

SIDES = 3.5
"""Inches beside the columns, for the targets and the colour bar; fewer on narrow paper."""


def heat_map(attribution: Record, paper: Paper, fixed: bool) -> Figure:
    """A line for each target, a column for each of the strongest features; `fixed` keeps to the width of the paper."""
    import matplotlib.pyplot as plt
    from matplotlib.colors import LinearSegmentedColormap

    side, cell = min(SIDES, 0.45 * paper.width) if fixed else SIDES, 0.9 * paper.line
    most = max(4, int((paper.width - side) / cell)) if fixed else MOST_COLUMNS
    strongest = attribution.attributions.abs().amax(0).argsort(descending=True, stable=True)[:most]
    columns = strongest.sort().values.tolist()
    scores = attribution.attributions[:, columns].detach().cpu().double().numpy()
    bound = float(abs(scores).max()) or 1.0
    size = (paper.width if fixed else side + cell * len(columns), min(2.4 + cell * attribution.t, 24))
    drawn, axes = plt.subplots(figsize=size, layout="constrained")
    stops = [hexadecimal(colour) for colour in (AGAINST, PAPER, TOWARDS)]
    colours = LinearSegmentedColormap.from_list("against to towards", stops)
    image = axes.pcolormesh(scores, cmap=colours, vmin=-bound, vmax=bound, edgecolors="white", linewidth=0.6)
    axes.invert_yaxis()
    lines = range(0, attribution.t, -(-attribution.t // MOST_ROW_LABELS))
    length = min(24, paper.letters) if fixed else 24
    names = [label(attribution.features[feature].name, paper.fonts, length) for feature in columns]
    axes.set_xticks([column + 0.5 for column in range(len(columns))], labels=names, rotation=90, parse_math=False)
    labels = [label(attribution.targets[line], paper.fonts, length) for line in lines]
    axes.set_yticks([line + 0.5 for line in lines], labels=labels, parse_math=False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    bar = drawn.colorbar(image, ax=axes, shrink=min(1.0, 3 / size[1] + 0.2), pad=0.02, aspect=18)
    bar.set_label(quantity(attribution), parse_math=False)
    bar.outline.set_visible(False)  # type: ignore[operator]
    which = "each feature" if len(columns) == attribution.n else f"the {len(columns)} strongest of {attribution.n:,} features"
    told = f"{attribution.estimand} of {which} (columns) for each {attribution.unit} (rows)"
    paper.title(drawn, told if not fixed else f"{len(columns)} of {attribution.n:,} features, {attribution.t} targets")
    return drawn
