"""An image, or the frames of a video, with the scores of the pieces: in matplotlib, in HTML and in the terminal."""

from __future__ import annotations

import base64
import io
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Integer
from rich.console import Group
from rich.table import Table
from rich.text import Text

from interpreto_mllm.media import Picture, Video
from interpreto_mllm.plots.areas import caption, covers, entries, name
from interpreto_mllm.plots.colours import AGAINST, STRENGTH, TOWARDS, ink, style
from interpreto_mllm.plots.outline import outline, svg_path
from interpreto_mllm.plots.scores import TargetScores
from interpreto_mllm.plots.strip import strip
from interpreto_mllm.plots.text import printable
from interpreto_mllm.results.record import Record

if TYPE_CHECKING:
    import PIL.Image
    from matplotlib.axes import Axes

LARGEST_SIDE = 720
"""Larger images are shown at this size, in pixels of the longer side."""

PIXELATED_SIDE = 160
"""Images up to this size show their single pixels."""


def draw(attribution: Record, medium: int, row: TargetScores, numbers: bool, pair: tuple[Axes, Axes]) -> None:
    """The image as it is on the left axes, and in grey under its heat map, with the pieces' borders, on the right."""
    from matplotlib.collections import LineCollection

    image, areas = _shown(attribution, medium)
    each = _entries(attribution, medium)
    shares = np.array([0.0 if entry is None else row.share(entry) for entry in each])[areas]
    smoothing: Any = "nearest" if max(image.size) <= PIXELATED_SIDE else "antialiased"
    pair[0].imshow(image, interpolation=smoothing)
    pair[1].imshow(_tinted(image, shares), interpolation=smoothing)
    for axes in pair:
        axes.set_axis_off()
    lines = [[*loop, loop[0]] for mask in _pieces(attribution, medium, areas) for loop in outline(mask)]
    corners = [[(x - 0.5, y - 0.5) for x, y in line] for line in lines]
    for colour, width in (("#ffffffaa", 1.8), ("#33373d", 0.6)):
        pair[1].add_collection(LineCollection(corners, colors=colour, linewidths=width, clip_on=False, capstyle="projecting"))
    if numbers:
        _write(pair[1], areas, [None if entry is None else (row.short(entry), row.share(entry)) for entry in each])


def _write(axes: Axes, areas: Integer[np.ndarray, "height width"], scores: list[tuple[str, float] | None]) -> None:
    """The score of each area in its middle, where it fits."""
    points = axes.get_window_extent().width / axes.figure.dpi * 72 / areas.shape[1]
    longest = max((len(score[0]) for score in scores if score), default=1)
    for area, score in enumerate(scores):
        mask = areas == area
        if score is None or not mask.any():
            continue
        y, x = _middle(mask)
        for size in np.arange(9, 4, -0.5):
            wide, high = 0.34 * longest * size / points, 0.45 * size / points
            box = mask[max(round(y - high), 0) : round(y + high) + 1, max(round(x - wide), 0) : round(x + wide) + 1]
            if box.all() and x - wide > -1 and y - high > -1 and x + wide < mask.shape[1] and y + high < len(mask):
                axes.text(x, y, score[0], ha="center", va="center_baseline", fontsize=size, color=ink(score[1]))
                break


def _middle(mask: Bool[np.ndarray, "height width"]) -> tuple[float, float]:
    """The row and column farthest from the border of a mask; of several, the one in their middle."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    inner = np.pad(mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], 1)
    while (smaller := inner[1:-1, 1:-1] & inner[:-2, 1:-1] & inner[2:, 1:-1] & inner[1:-1, :-2] & inner[1:-1, 2:]).any():
        inner = np.pad(smaller, 1)
    places = np.argwhere(inner) - 1 + np.array([rows[0], columns[0]])
    mean = places.mean(0)
    nearest = places[((places - mean) ** 2).sum(1).argmin()]
    y, x = mean if np.abs(mean - nearest).max() <= 0.5 else nearest
    return float(y), float(x)


def _tinted(image: PIL.Image.Image, shares: np.ndarray) -> np.ndarray:
    """The image in pale grey, each pixel mixed with red or blue as far as its score goes."""
    grey = 120 + np.asarray(image.convert("L"), dtype=np.float64)[..., None] * (135 / 255)
    strength = np.clip(np.abs(shares), 0, 1)[..., None] * STRENGTH
    tint = np.where(shares[..., None] > 0, TOWARDS, AGAINST)
    return (grey * (1 - strength) + tint * strength).round().astype(np.uint8)


def _shown(attribution: Record, medium: int) -> tuple[PIL.Image.Image, Integer[np.ndarray, "height width"]]:
    """The image and the area of each of its pixels, both made smaller where they are large; of a video, all frames."""
    picture = attribution.media[medium]
    if isinstance(picture, Video):
        return strip(picture)
    assert isinstance(picture, Picture)
    image, areas = picture.image, picture.areas[0]
    scale = LARGEST_SIDE / max(image.size)
    if scale >= 1:
        return image, areas
    width, height = (max(1, round(side * scale)) for side in image.size)
    rows = ((np.arange(height) + 0.5) * image.height / height).astype(int)
    columns = ((np.arange(width) + 0.5) * image.width / width).astype(int)
    return image.resize((width, height)), areas[rows][:, columns]


def _pieces(
    attribution: Record, medium: int, areas: Integer[np.ndarray, "height width"]
) -> list[Bool[np.ndarray, "height width"]]:
    """Where each feature lies in the image as shown."""
    each = [*covers(attribution, medium), ()]  # between the frames of a video
    features = sorted({feature for cover in each for feature in cover})
    masks = [np.array([feature in cover for cover in each])[areas] for feature in features]
    return [mask for mask in masks if mask.any()]


def _entries(attribution: Record, medium: int) -> list[int | None]:
    """What colours each area, and what is between the frames of a video."""
    return [*entries(attribution, medium), None]


def html(attribution: Record, medium: int, row: TargetScores) -> str:
    """The image beside its heat map; each area is a separate shape whose title is its score."""
    image, areas = _shown(attribution, medium)
    small = max(image.size) <= PIXELATED_SIDE
    data = _data_uri(image, "PNG" if small else "JPEG")
    title = caption(attribution, medium)
    shapes = "".join(
        f'<path class="area {row.classes(entry)}" data-feature="{entry}" '
        f'style="--strength: {abs(row.share(entry)):.3f}" d="{svg_path(areas == area)}">'
        f"<title>{escape(name(attribution, entry))}  {row.readable(entry)}</title></path>"
        for area, entry in enumerate(_entries(attribution, medium))
        if entry is not None and (areas == area).any()
    )
    borders = "".join(svg_path(mask) for mask in _pieces(attribution, medium, areas))
    crisp = ' class="crisp"' if small else ""
    figcaption = "" if title == "image" else f"<figcaption>{escape(title)}</figcaption>"
    size = f"--ratio: {image.width / image.height:.4f}"
    kind = "picture strip" if isinstance(attribution.media[medium], Video) else "picture"
    return (
        f'<figure class="{kind}" style="{size}">{figcaption}<img{crisp} alt="{escape(title)}" src="{data}">'
        f'<svg viewBox="0 0 {image.width} {image.height}" role="img" aria-label="scores of {escape(title)}">'
        f'<image{crisp} href="{data}" width="{image.width}" height="{image.height}"/>{shapes}'
        f'<path class="halo" d="{borders}"/><path class="border" d="{borders}"/></svg></figure>'
    )


def _data_uri(image: PIL.Image.Image, kind: str) -> str:
    file = io.BytesIO()
    image.save(file, kind, **({"quality": 88} if kind == "JPEG" else {}))
    return f"data:image/{kind.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"


def cells(attribution: Record, medium: int, row: TargetScores) -> Group:
    """A grid of coloured cells if the pieces form one, else a list of the pieces."""
    picture = attribution.media[medium]
    assert isinstance(picture, (Picture, Video))
    each, title = entries(attribution, medium), Text().append(f"{caption(attribution, medium)} ", "dim")
    grid = _grid(picture) if isinstance(picture, Picture) else None
    if grid is None or not isinstance(picture, Picture):
        for cover, entry in dict(zip(covers(attribution, medium), each, strict=True)).items():
            if entry is not None:
                text = " + ".join(attribution.features[feature].text for feature in cover)
                title.append(f" {printable(text)} {row.short(entry)} ", style(row.share(entry))).append(" ")
        return Group(title)
    table = Table.grid()
    for line in grid:
        entered = [each[picture.areas[0][corner]] for corner in line]
        texts = [f"{row.short(e):^7}" if e is not None and len(line) <= 12 else " " * min(7, 80 // len(line)) for e in entered]
        shades = [style(0.0 if entry is None else row.share(entry)) for entry in entered]
        table.add_row(*(Text(text, shade) for text, shade in zip(texts, shades, strict=True)))
    return Group(title, table)


def _grid(picture: Picture) -> list[list[tuple[int, int]]] | None:
    """The upper left pixels of the pieces by row and column, None if they do not form a grid."""
    boxes = {feature.box for feature in picture.features(0) if feature.box}
    filled = sum((right - left) * (bottom - top) for left, top, right, bottom in boxes) == picture.regions.sizes.sum()
    tops, lefts = sorted({box[1] for box in boxes}), sorted({box[0] for box in boxes})
    regular = {(box[1], box[0]) for box in boxes} == {(top, left) for top in tops for left in lefts}
    disjoint = bool((picture.regions.cover.sum(1) <= 1).all())
    if not (filled and regular and disjoint and len(boxes) == picture.regions.count > 1):
        return None
    return [[(top, left) for left in lefts] for top in tops]
