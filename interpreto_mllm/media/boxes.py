"""An image cut by boxes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from interpreto_mllm.core.shown import shown
from interpreto_mllm.media.image_granularity import Labelled
from interpreto_mllm.media.regions import Regions

if TYPE_CHECKING:
    import PIL.Image

EDGES = ("xmin", "ymin", "xmax", "ymax")
"""Names of edges in the answers of object detection pipelines."""


@dataclass(frozen=True)
class Boxes(Labelled):
    """Your own boxes, such as a detector's: left, top, right, bottom in pixels, the last two exclusive. They may overlap.

    Args:
        boxes: four numbers each, of any kind, also in an array or a tensor; or the answer of the object detection pipeline of
            transformers, whose labels then name the boxes. A pixel is in a box when its centre is; edges that are no whole
            numbers may leave the image by a pixel.
        names: of the boxes.

    Raises:
        ValueError: for a box that is empty or leaves the image, or no boxes at all.

    Example:
        >>> import numpy as np
        >>> Boxes([(1, 0, 3, 1)])(np.zeros((1, 4, 3), dtype=np.uint8)).astype(int).tolist()
        [[[0, 1, 1, 0]]]
    """

    boxes: tuple[tuple[int | float, ...], ...]
    names: tuple[str, ...] | None
    noun = "box"

    def __init__(self, boxes: Any, names: Sequence[str] | None = None):
        given = boxes.tolist() if hasattr(boxes, "tolist") else list(boxes)
        read = tuple(_box(box) for box in given)
        if not read:
            raise ValueError("Boxes: there is no box; give at least one (left, top, right, bottom).")
        found = [box["label"] for box in given if isinstance(box, Mapping) and "label" in box]
        names = found if names is None and len(found) == len(read) else names
        if names is not None and len(names) != len(read):
            raise ValueError(f"Boxes: {len(read)} boxes but {len(names)} names: give one for each, or none.")
        object.__setattr__(self, "boxes", read)
        object.__setattr__(self, "names", None if names is None else tuple(map(str, names)))

    def regions(self, image: PIL.Image.Image) -> Regions:
        width, height = image.size
        whole = []
        for box in self.boxes:
            left, top, right, bottom = (math.ceil(edge - 0.5) for edge in box)
            inside = min(box[0], box[1]) >= -1 and box[2] <= width + 1 and box[3] <= height + 1
            left, top, right, bottom = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
            exact = all(isinstance(edge, int) for edge in box)
            if not (left < right and top < bottom and inside and (not exact or (left, top, right, bottom) == box)):
                hint = "; these look like fractions of it" if max(box) <= 1 and not exact else ""
                raise ValueError(
                    f"Box {box} is empty or leaves the image, which is {width} wide and {height} high; "
                    f"a box is left, top, right, bottom in pixels{hint}."
                )
            whole.append((left, top, right, bottom))
        return Regions.of_boxes(whole, width, height)

    def labels(self, count: int) -> tuple[str, ...]:
        return super().labels(count) if self.names is None else self.names


def _box(given: Any) -> tuple[int | float, ...]:
    """Four edges: of a sequence, or of what the object detection pipeline of transformers gives.

    Raises:
        ValueError: for something else.
    """
    edges: Any = given
    if isinstance(given, Mapping):
        box = given.get("box", given)
        edges = [box.get(name) for name in EDGES] if isinstance(box, Mapping) else box
    edges = tuple(edge.item() if hasattr(edge, "item") else edge for edge in edges) if np.iterable(edges) else ()
    numbers = [isinstance(edge, (int, float)) and not isinstance(edge, bool) and math.isfinite(edge) for edge in edges]
    if len(edges) != 4 or not all(numbers):
        raise ValueError(f"Boxes: {shown(given)} is no box; a box is four numbers: left, top, right, bottom, in pixels.")
    return tuple(int(edge) if float(edge).is_integer() else edge for edge in edges)
