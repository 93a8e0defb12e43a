"""Interactions as matplotlib figures: the matrix, bars, and the network of the strongest over the prompt."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any

from interpreto_mllm.plots.colours import AGAINST, PAPER, TOWARDS, hexadecimal
from interpreto_mllm.plots.description import counted
from interpreto_mllm.plots.figure import save
from interpreto_mllm.plots.fonts import label
from interpreto_mllm.plots.paper import drawing
from interpreto_mllm.results.interactions import NAMES, SETS, Interaction, SetValues

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LETTER_WIDTH, WORD_GAP, IMAGE_DROP, IMAGE_SIDE = 0.105, 0.18, 0.9, 2.6
"""Of the network, in inches: a letter, the space between words, from words to images, and the longer side of an image."""

FAINTEST_SHARE = 0.05
"""Pairs weaker than this share of the strongest are not drawn."""


def figure(interactions: SetValues, path: str | PathLike[str] | None, target: int, kind: str | None, top: int) -> Figure:
    """Draw, and save when a path is given; the format is the path's suffix.

    Raises:
        ImportError: without matplotlib.
        ValueError: when there is no such target or kind.
    """
    kind = kind or ("matrix" if interactions.order == 2 else "bars")
    if kind not in ("matrix", "bars", "network"):
        raise ValueError(f"kind must be 'matrix', 'bars' or 'network'; got {kind!r}.")
    if kind == "matrix" and interactions.order != 2:
        raise ValueError("A matrix shows pairs, and these are triples: plot kind='bars' or kind='network'.")
    interactions.require_target(target)
    with drawing(None) as paper:
        if kind == "matrix":
            drawn = _matrix(interactions, target, paper.fonts)
        else:
            drawn = {"bars": _bars, "network": _network}[kind](interactions, target, top, paper.fonts)
        if path is not None:
            save(drawn, path, dpi=160, facecolor="white")
    return drawn


def _matrix(interactions: SetValues, target: int, fonts: dict[str, str]) -> Figure:
    import matplotlib.pyplot as plt
    import numpy as np
    from matplotlib.colors import LinearSegmentedColormap

    rows, columns = interactions.blocks or [tuple(range(interactions.n))] * 2
    values = interactions.matrix(target).numpy()[np.ix_(rows, columns)]
    bound = float(np.nanmax(abs(values), initial=0.0)) or 1.0
    values[np.equal.outer(rows, columns)] = np.nan
    width, height = (min(2.6 + 0.3 * len(side), 16) for side in (columns, rows))
    drawn, axes = plt.subplots(figsize=(width + 1.2, height), layout="constrained")
    colours = LinearSegmentedColormap.from_list("less to more", [hexadecimal(colour) for colour in (AGAINST, PAPER, TOWARDS)])
    image = axes.pcolormesh(values, cmap=colours, vmin=-bound, vmax=bound, edgecolors="white", linewidth=0.6)
    axes.invert_yaxis()
    axes.set_aspect("equal")
    for side, ticks, turned in ((columns, axes.set_xticks, 90), (rows, axes.set_yticks, 0)):
        places = range(0, len(side), -(-len(side) // 60))
        names = [label(interactions.features[side[place]].text, fonts) for place in places]
        ticks([place + 0.5 for place in places], labels=names, rotation=turned, parse_math=False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    bar = drawn.colorbar(image, ax=axes, shrink=0.7, pad=0.02, aspect=20)
    bar.set_label("together less than apart  ←  →  more")
    bar.outline.set_visible(False)  # type: ignore[operator]
    _title(axes, interactions, target, fonts)
    return drawn


def _bars(interactions: SetValues, target: int, top: int, fonts: dict[str, str]) -> Figure:
    """The strongest as bars with their 95 % intervals, the strongest first."""
    import matplotlib.pyplot as plt

    found = interactions.top(top, target)
    drawn, axes = plt.subplots(figsize=(7, 1.2 + 0.3 * len(found)), layout="constrained")
    colours = [hexadecimal(TOWARDS if one.value > 0 else AGAINST) for one in found]
    widths = [1.96 * (one.standard_error or 0.0) for one in found]
    style = {"ecolor": "#52555c", "elinewidth": 1.0, "capsize": 2}
    axes.barh(range(len(found)), [one.value for one in found], color=colours, xerr=widths, error_kw=style)
    names = [label(" × ".join(one.names), fonts, 48) for one in found]
    axes.set_yticks(range(len(found)), labels=names, parse_math=False)
    axes.invert_yaxis()
    axes.axvline(0, color="#c4c7cc", linewidth=0.8)
    axes.tick_params(length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.set_xlabel("together less than apart  ←  →  more")
    _title(axes, interactions, target, fonts)
    return drawn


@dataclass(frozen=True)
class _Layout:
    """Where features are, in inches: centres of all, and left, bottom, width and height of the pieces of images."""

    centres: list[tuple[float, float]]
    boxes: dict[int, tuple[float, float, float, float]]
    width: float
    depth: float


def _network(interactions: SetValues, target: int, top: int, fonts: dict[str, str]) -> Figure:
    """Words in reading order with an arc per pair above them; images below, their pieces in place."""
    import matplotlib.pyplot as plt
    from matplotlib.patches import Rectangle

    found = interactions.top(top, target)
    found = [one for one in found if abs(one.value) > FAINTEST_SHARE * abs(found[0].value)]
    names = [label(feature.text, fonts) for feature in interactions.features]
    layout = _layout(interactions, names)
    reach = max((_reach(layout, one) for one in found if not layout.boxes.keys() & set(one.members)), default=0.0)
    arch = min(0.5, 2.6 / max(reach, 1.0))
    size = (min(max(layout.width, 5), 18), min(1.0 + layout.depth + arch * reach, 18))
    drawn, axes = plt.subplots(figsize=size, layout="constrained")
    for feature, name in enumerate(names):
        if feature not in layout.boxes:
            axes.text(*layout.centres[feature], name, ha="center", va="top", parse_math=False)
            continue
        left, bottom, width, height = layout.boxes[feature]
        axes.add_patch(Rectangle((left, bottom), width, height, facecolor="#f4f4f5", edgecolor="#c4c7cc", linewidth=0.8))
    bound = max((abs(one.value) for one in found), default=1.0)
    for one in reversed(found):
        (_edge if interactions.order == 2 else _hub)(axes, layout, one, abs(one.value) / bound, arch)
    axes.set_xlim(-0.2, layout.width + 0.2)
    axes.set_ylim(-layout.depth, arch * reach + 0.3)
    axes.set_aspect("equal")
    axes.set_axis_off()
    _title(
        axes,
        interactions,
        target,
        fonts,
        f"\n{counted(len(found), f'strongest {SETS[interactions.order]}')}: together more (red) or less (blue)",
    )
    return drawn


def _layout(interactions: SetValues, names: list[str]) -> _Layout:
    centres, cursor = [(0.0, 0.0)] * interactions.n, 0.0
    images: dict[int, dict[int, tuple[int, int, int, int]]] = {}
    for index, feature in enumerate(interactions.features):
        if feature.box is None:
            length = LETTER_WIDTH * len(names[index]) + WORD_GAP
            centres[index], cursor = (cursor + length / 2, 0.0), cursor + length
        else:
            images.setdefault(feature.pieces[0][0] if feature.pieces else 0, {})[index] = feature.box
    boxes, left, depth = {}, 0.0, 0.3
    for _, pieces in sorted(images.items()):
        right, bottom = max(box[2] for box in pieces.values()), max(box[3] for box in pieces.values())
        scale = IMAGE_SIDE / max(right, bottom)
        for index, (x0, y0, x1, y1) in pieces.items():
            boxes[index] = (left + scale * x0, -IMAGE_DROP - scale * y1, scale * (x1 - x0), scale * (y1 - y0))
            centres[index] = (left + scale * (x0 + x1) / 2, -IMAGE_DROP - scale * (y0 + y1) / 2)
        left, depth = left + scale * right + 0.4, max(depth, IMAGE_DROP + scale * bottom + 0.1)
    return _Layout(centres, boxes, max(cursor, left), depth)


def _reach(layout: _Layout, one: Interaction) -> float:
    """From the leftmost feature to the rightmost."""
    places = [layout.centres[member][0] for member in one.members]
    return max(places) - min(places)


def _line(one: Interaction, strength: float) -> dict[str, Any]:
    return {
        "linewidth": 0.6 + 3.4 * strength,
        "alpha": 0.25 + 0.65 * strength,
        "edgecolor": hexadecimal(TOWARDS if one.value > 0 else AGAINST),
        "facecolor": "none",
    }


def _edge(axes: Axes, layout: _Layout, pair: Interaction, strength: float, arch: float) -> None:
    from matplotlib.patches import Arc, FancyArrowPatch

    style = _line(pair, strength)
    ends = [layout.centres[member] for member in pair.members]
    if not layout.boxes.keys() & set(pair.members):
        left, right = sorted(x for x, _ in ends)
        reach = right - left
        axes.add_patch(Arc(((left + right) / 2, 0.06), reach, 2 * arch * reach, theta1=0, theta2=180, **style))
        return
    below = [(x, y if member in layout.boxes else y - 0.25) for (x, y), member in zip(ends, pair.members, strict=True)]
    axes.add_patch(FancyArrowPatch(*below, arrowstyle="-", connectionstyle="arc3,rad=0.08", zorder=3, **style))
    _pins(axes, layout, pair, style)


def _hub(axes: Axes, layout: _Layout, triple: Interaction, strength: float, arch: float) -> None:
    """Three lines from the features to a point above the words, or between the words and the images."""
    from matplotlib.patches import FancyArrowPatch

    style, ends = _line(triple, strength), [layout.centres[member] for member in triple.members]
    words = not layout.boxes.keys() & set(triple.members)
    middle = sum(x for x, _ in ends) / 3
    hub = (middle, 0.06 + arch * _reach(layout, triple)) if words else (middle, -IMAGE_DROP / 2)
    for (x, y), member in zip(ends, triple.members, strict=True):
        start = (x, y if member in layout.boxes else 0.06 if words else y - 0.25)
        axes.add_patch(FancyArrowPatch(start, hub, arrowstyle="-", connectionstyle="arc3,rad=0", zorder=3, **style))
    axes.plot(*hub, "o", markersize=3 + 4 * strength, color=style["edgecolor"], alpha=style["alpha"], zorder=4)
    _pins(axes, layout, triple, style)


def _pins(axes: Axes, layout: _Layout, one: Interaction, style: dict[str, Any]) -> None:
    """A dot on each piece of an image."""
    for member in one.members:
        if member in layout.boxes:
            axes.plot(*layout.centres[member], "o", markersize=4, color=style["edgecolor"], alpha=style["alpha"])


def _title(axes: Axes, interactions: SetValues, target: int, fonts: dict[str, str], more: str = "") -> None:
    shown = label(interactions.targets[target], fonts, 48)
    name = NAMES[interactions.index]
    axes.set_title(f"{shown}    {name}{more}", loc="left", fontsize=10, parse_math=False)
