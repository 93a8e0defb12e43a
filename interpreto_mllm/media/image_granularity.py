"""Where an image is cut into pieces: patches, superpixels, boxes, masks, or not at all."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Int64, UInt8

logger = logging.getLogger(__name__)

ImageSegmenter = Callable[[np.ndarray], Any]
"""A user's own granularity: from RGB pixels `UInt8[h w 3]` to masks `Bool[k h w]`."""


class ImageGranularity(ABC):
    """What the pieces of an image are. Called with its pixels, it gives one mask per piece."""

    noun = "region"

    @abstractmethod
    def __call__(self, pixels: UInt8[np.ndarray, "height width 3"]) -> Bool[np.ndarray, "pieces height width"]:
        """The pixels of each piece. What no piece covers is always present."""

    def labels(self, count: int) -> tuple[str, ...]:
        """What to call the pieces."""
        return tuple(f"{self.noun} {number + 1}" for number in range(count))


@dataclass(frozen=True)
class Patches(ImageGranularity):
    """A grid. Sides that do not divide evenly give patches that differ by a pixel.

    The default for images, four by four: the pieces need no library and no model, are the same for every image of one size, and
    sixteen of them leave enough of an ordinary budget to the words.

    Raises:
        ValueError: for less than one row or column, or more than the image has pixels.

    Example:
        >>> import numpy as np
        >>> Patches(1, 2)(np.zeros((1, 4, 3), dtype=np.uint8)).astype(int).tolist()
        [[[1, 1, 0, 0]], [[0, 0, 1, 1]]]
        >>> Patches(2, 2).labels(4)[1]
        'row 1, column 2'
    """

    rows: int = 4
    columns: int = 4

    def __post_init__(self) -> None:
        for name, count in (("rows", self.rows), ("columns", self.columns)):
            _positive(f"Patches: {name}", count)

    def __call__(self, pixels: UInt8[np.ndarray, "height width 3"]) -> Bool[np.ndarray, "pieces height width"]:
        height, width, _ = pixels.shape
        if self.rows > height or self.columns > width:
            raise ValueError(
                f"Patches({self.rows}, {self.columns}) do not fit an image {width} wide and {height} high: ask for fewer."
            )
        row = np.arange(height) * self.rows // height
        column = np.arange(width) * self.columns // width
        return _one_each(row[:, None] * self.columns + column, self.rows * self.columns)

    def labels(self, count: int) -> tuple[str, ...]:
        return tuple(f"row {place // self.columns + 1}, column {place % self.columns + 1}" for place in range(count))


@dataclass(frozen=True)
class Superpixels(ImageGranularity):
    """Connected regions of similar colour, by SLIC (Achanta et al. 2012, scikit-image).

    Args:
        count: about how many. SLIC returns a few more or fewer; on fine textures far fewer, which is logged as a warning.
        compactness: larger values give squarer regions; 1 follows colours closely, 100 is almost a grid.

    Raises:
        ImportError: without scikit-image.
        ValueError: for a count or compactness that is not positive.

    Example:
        >>> import numpy as np
        >>> halves = np.zeros((8, 16, 3), dtype=np.uint8)
        >>> halves[:, 8:] = 255
        >>> Superpixels(2)(halves).sum((1, 2)).tolist()
        [64, 64]
    """

    count: int = 16
    compactness: int | float = 20.0
    noun = "superpixel"

    def __post_init__(self) -> None:
        _positive("Superpixels: count", self.count)
        if not self.compactness > 0:
            raise ValueError(f"Superpixels: compactness must be positive; got {self.compactness!r}.")

    def __call__(self, pixels: UInt8[np.ndarray, "height width 3"]) -> Bool[np.ndarray, "pieces height width"]:
        try:
            from skimage.segmentation import slic
        except ImportError as error:
            raise ImportError("Superpixels need scikit-image: pip install interpreto_mllm[image]") from error
        settings = {"compactness": self.compactness, "min_size_factor": 0.25, "start_label": 0}
        found = slic(pixels, n_segments=self.count, channel_axis=-1, **settings)
        names, owner = np.unique(found, return_inverse=True)
        if 2 * len(names) < self.count:
            logger.warning("%d superpixels asked for, %d found: a larger compactness gives more.", self.count, len(names))
        return _one_each(owner.reshape(found.shape), len(names))


@dataclass(frozen=True)
class Boxes(ImageGranularity):
    """Your own boxes, such as a detector's: left, top, right, bottom in pixels, the last two exclusive. They may overlap.

    Raises:
        ValueError: for a box that is empty or leaves the image, or no boxes at all.

    Example:
        >>> import numpy as np
        >>> Boxes([(1, 0, 3, 1)])(np.zeros((1, 4, 3), dtype=np.uint8)).astype(int).tolist()
        [[[0, 1, 1, 0]]]
    """

    boxes: tuple[tuple[int, int, int, int], ...]
    noun = "box"

    def __init__(self, boxes: Sequence[Sequence[int | float]]):
        read = tuple(tuple(int(edge) for edge in box) for box in boxes)
        for box, given in zip(read, boxes, strict=True):
            if len(box) != 4 or tuple(given) != box:
                raise ValueError(f"Boxes: {tuple(given)} is no box; a box is four whole numbers: left, top, right, bottom.")
        if not read:
            raise ValueError("Boxes: there is no box; give at least one (left, top, right, bottom).")
        object.__setattr__(self, "boxes", read)

    def __call__(self, pixels: UInt8[np.ndarray, "height width 3"]) -> Bool[np.ndarray, "pieces height width"]:
        height, width, _ = pixels.shape
        masks = np.zeros((len(self.boxes), height, width), dtype=bool)
        for mask, (left, top, right, bottom) in zip(masks, self.boxes, strict=True):
            if not (0 <= left < right <= width and 0 <= top < bottom <= height):
                raise ValueError(
                    f"Box {(left, top, right, bottom)} is empty or leaves the image, which is {width} wide and {height} high; "
                    "a box is left, top, right, bottom in pixels."
                )
            mask[top:bottom, left:right] = True
        return masks


@dataclass(frozen=True, eq=False)
class Masks(ImageGranularity):
    """Your own masks, such as a segmentation model's. They may overlap; what none of them covers is always present.

    Args:
        masks: `k h w` or a list of `h w`, numpy or torch: booleans, or 0 and 1, or 0 and 255.

    Raises:
        ValueError: for masks of another shape, other values, or without a pixel.

    Example:
        >>> import numpy as np
        >>> Masks(np.eye(2)[None])(np.zeros((2, 2, 3), dtype=np.uint8)).astype(int).tolist()
        [[[1, 0], [0, 1]]]
    """

    masks: Bool[np.ndarray, "pieces height width"]
    noun = "mask"

    def __init__(self, masks: Any):
        object.__setattr__(self, "masks", read_masks(masks))

    def __call__(self, pixels: UInt8[np.ndarray, "height width 3"]) -> Bool[np.ndarray, "pieces height width"]:
        check_fit(self.masks, pixels.shape[1], pixels.shape[0])
        return self.masks


@dataclass(frozen=True)
class WholeImage(ImageGranularity):
    """The image as one piece.

    Example:
        >>> WholeImage().labels(1)
        ('image',)
    """

    def __call__(self, pixels: UInt8[np.ndarray, "height width 3"]) -> Bool[np.ndarray, "pieces height width"]:
        return np.ones((1, *pixels.shape[:2]), dtype=bool)

    def labels(self, count: int) -> tuple[str, ...]:
        return ("image",)


def read_masks(given: Any) -> Bool[np.ndarray, "pieces height width"]:
    """A boolean copy of the given masks.

    Raises:
        ValueError: for masks of another shape or other values.
    """
    if not hasattr(given, "ndim"):
        given = list(given)
        shapes = {tuple(np.shape(mask)) for mask in given}
        if len(shapes) > 1:
            raise ValueError(f"The masks differ in shape: {sorted(shapes)}; all must be as high and wide as the image.")
        given = np.stack([np.asarray(mask) for mask in given]) if given else np.zeros((0, 0, 0))
    array = np.array(given.detach().cpu() if hasattr(given, "detach") else given)
    if array.ndim != 3 or not len(array):
        raise ValueError(f"Masks have the shape (k, h, w), k at least 1; got {array.shape}. One mask is masks[None].")
    values = np.unique(array)
    if array.dtype != bool and not (np.isin(values, (0, 1)).all() or np.isin(values, (0, 255)).all()):
        raise ValueError(
            f"Masks hold booleans, or 0 and 1 (or 255); got {array.dtype} with values such as {values[:5].tolist()}."
        )
    return array.astype(bool)


def check_fit(masks: Bool[np.ndarray, "pieces _ _"], width: int, height: int) -> None:
    """Raise a ValueError where masks and image differ in size."""
    if masks.shape[1:] != (height, width):
        raise ValueError(
            f"The masks are {masks.shape[2]} wide and {masks.shape[1]} high, the image is {width} wide and {height} high: they "
            "must have the same size."
        )


def check_image_granularity(granularity: object) -> ImageGranularity | ImageSegmenter:
    """The granularity as given, or a TypeError that lists what is accepted."""
    if isinstance(granularity, ImageGranularity) or (callable(granularity) and not isinstance(granularity, type)):
        return granularity
    raise TypeError(
        "The image granularity must be Patches(rows, columns), Superpixels(count), Boxes([...]), Masks(array), WholeImage() or "
        f"a callable from RGB pixels to masks; got {granularity!r}."
    )


def _one_each(owner: Int64[np.ndarray, "height width"], count: int) -> Bool[np.ndarray, "pieces height width"]:
    """One mask per piece, from the piece of each pixel."""
    return owner[None] == np.arange(count)[:, None, None]


def _positive(what: str, count: object) -> None:
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise ValueError(f"{what} must be a whole number of at least 1; got {count!r}.")
