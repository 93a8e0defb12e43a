"""Interactions as matplotlib figures: the matrix, and the network of the strongest pairs over the prompt."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING

from interpreto_mllm.plots.colours import AGAINST, PAPER, TOWARDS, hexadecimal
from interpreto_mllm.plots.figure import save
from interpreto_mllm.plots.fonts import installed_fonts, label
from interpreto_mllm.results.interactions import NAMES, Pair, PairValues

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LETTER_WIDTH, WORD_GAP, IMAGE_DROP, IMAGE_SIDE = 0.105, 0.18, 0.9, 2.6
"""Of the network, in inches: a letter, the space between words, from words to images, and the longer side of an image."""

FAINTEST_SHARE = 0.05
"""Pairs weaker than this share of the strongest are not drawn."""


def figure(interactions: PairValues, path: str | PathLike[str] | None, target: int, kind: str, top: int) -> Figure:
    """Draw, and save when a path is given; the format is the path's suffix.

    Raises:
        ImportError: without matplotlib.
        ValueError: when there is no such target or kind.
    """
    if kind not in ("matrix", "network"):
        raise ValueError(f"kind must be 'matrix' or 'network'; got {kind!r}.")
    interactions.matrix(target)
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError("plot() needs matplotlib: pip install interpreto_mllm[plot]") from error
    fonts = installed_fonts()
    with plt.rc_context({"font.family": list(fonts), "font.size": 10, "axes.unicode_minus": True, "svg.fonttype": "none"}):
        drawn = _matrix(interactions, target, fonts) if kind == "matrix" else _network(interactions, target, top, fonts)
        if path is not None:
            save(drawn, path, dpi=160, facecolor="white")
    plt.close(drawn)
    return drawn


def _matrix(interactions: PairValues, target: int, fonts: dict[str, str]) -> Figure:
    import matplotlib.pyplot as plt
    import numpy as np
    from matplotlib.colors import LinearSegmentedColormap

    values = interactions.matrix(target).numpy().copy()
    bound = float(abs(values).max()) or 1.0
    np.fill_diagonal(values, np.nan)
    side = min(2.6 + 0.3 * interactions.n, 16)
    drawn, axes = plt.subplots(figsize=(side + 1.2, side), layout="constrained")
    colours = LinearSegmentedColormap.from_list("less to more", [hexadecimal(colour) for colour in (AGAINST, PAPER, TOWARDS)])
    image = axes.pcolormesh(values, cmap=colours, vmin=-bound, vmax=bound, edgecolors="white", linewidth=0.6)
    axes.invert_yaxis()
    axes.set_aspect("equal")
    step = -(-interactions.n // 60)
    places = range(0, interactions.n, step)
    names = [label(interactions.features[place].text, fonts) for place in places]
    axes.set_xticks([place + 0.5 for place in places], labels=names, rotation=90, parse_math=False)
    axes.set_yticks([place + 0.5 for place in places], labels=names, parse_math=False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    bar = drawn.colorbar(image, ax=axes, shrink=0.7, pad=0.02, aspect=20)
    bar.set_label("together less than apart  ←  →  more")
    bar.outline.set_visible(False)  # type: ignore[operator]
    _title(axes, interactions, target, fonts)
    return drawn


@dataclass(frozen=True)
class _Layout:
    """Where features are, in inches: centres of all, and left, bottom, width and height of the pieces of images."""

    centres: list[tuple[float, float]]
    boxes: dict[int, tuple[float, float, float, float]]
    width: float
    depth: float


def _network(interactions: PairValues, target: int, top: int, fonts: dict[str, str]) -> Figure:
    """Words in reading order with an arc per pair above them; images below, their pieces in place."""
    import matplotlib.pyplot as plt
    from matplotlib.patches import Rectangle

    pairs = interactions.top(top, target)
    pairs = [pair for pair in pairs if abs(pair.value) > FAINTEST_SHARE * abs(pairs[0].value)]
    names = [label(feature.text, fonts) for feature in interactions.features]
    layout = _layout(interactions, names)
    words = [pair for pair in pairs if not {pair.first, pair.second} & layout.boxes.keys()]
    reach = max((abs(layout.centres[pair.first][0] - layout.centres[pair.second][0]) for pair in words), default=0.0)
    arch = min(0.5, 2.6 / max(reach, 1.0))
    size = (min(max(layout.width, 5), 18), min(1.0 + layout.depth + arch * reach, 18))
    drawn, axes = plt.subplots(figsize=size, layout="constrained")
    for feature, name in enumerate(names):
        if feature not in layout.boxes:
            axes.text(*layout.centres[feature], name, ha="center", va="top", parse_math=False)
            continue
        left, bottom, width, height = layout.boxes[feature]
        axes.add_patch(Rectangle((left, bottom), width, height, facecolor="#f4f4f5", edgecolor="#c4c7cc", linewidth=0.8))
    bound = max((abs(pair.value) for pair in pairs), default=1.0)
    for pair in reversed(pairs):
        _edge(axes, layout, pair, abs(pair.value) / bound, arch)
    axes.set_xlim(-0.2, layout.width + 0.2)
    axes.set_ylim(-layout.depth, arch * reach + 0.3)
    axes.set_aspect("equal")
    axes.set_axis_off()
    _title(
        axes,
        interactions,
        target,
        fonts,
        f"\n{len(pairs)} strongest pairs, worth more (red) or less (blue) together than apart",
    )
    return drawn


def _layout(interactions: PairValues, names: list[str]) -> _Layout:
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


def _edge(axes: Axes, layout: _Layout, pair: Pair, strength: float, arch: float) -> None:
    from matplotlib.patches import Arc, FancyArrowPatch

    style = {
        "linewidth": 0.6 + 3.4 * strength,
        "alpha": 0.25 + 0.65 * strength,
        "edgecolor": hexadecimal(TOWARDS if pair.value > 0 else AGAINST),
        "facecolor": "none",
    }
    ends = [layout.centres[pair.first], layout.centres[pair.second]]
    if not {pair.first, pair.second} & layout.boxes.keys():
        left, right = sorted(x for x, _ in ends)
        reach = right - left
        axes.add_patch(Arc(((left + right) / 2, 0.06), reach, 2 * arch * reach, theta1=0, theta2=180, **style))
        return
    below = [
        (x, y if feature in layout.boxes else y - 0.25) for (x, y), feature in zip(ends, (pair.first, pair.second), strict=True)
    ]
    axes.add_patch(FancyArrowPatch(*below, arrowstyle="-", connectionstyle="arc3,rad=0.08", zorder=3, **style))
    for end, feature in zip(below, (pair.first, pair.second), strict=True):
        if feature in layout.boxes:
            axes.plot(*end, "o", markersize=4, color=style["edgecolor"], alpha=style["alpha"])


def _title(axes: Axes, interactions: PairValues, target: int, fonts: dict[str, str], more: str = "") -> None:
    shown = label(interactions.targets[target], fonts, 48)
    name = NAMES[interactions.index]
    axes.set_title(f"{shown}    {name}{more}", loc="left", fontsize=10, parse_math=False)
