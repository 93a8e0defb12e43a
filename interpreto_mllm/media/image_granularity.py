"""Where an image is cut into pieces: patches, superpixels, or not at all."""

from __future__ import annotations

import logging
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, UInt8

from interpreto_mllm.core.numbers import is_whole
from interpreto_mllm.core.shown import shown
from interpreto_mllm.media.pixels import pixels_of
from interpreto_mllm.media.read_masks import check_fit, read_masks
from interpreto_mllm.media.regions import Regions

if TYPE_CHECKING:
    import PIL.Image

logger = logging.getLogger(__name__)

SLIC_PIXELS = 2**20
"""Superpixels of larger images are found in a smaller copy."""

ImageSegmenter = Callable[[np.ndarray], Any]
"""A user's own granularity: from RGB pixels `UInt8[h w 3]` to masks `Bool[k h w]`."""


class ImageGranularity(ABC):
    """What the pieces of an image are. Called with its pixels, it gives one mask per piece."""

    noun = "region"

    @abstractmethod
    def __call__(self, pixels: UInt8[np.ndarray, "height width 3"]) -> Bool[np.ndarray, "pieces height width"]:
        """The pixels of each piece. What no piece covers is always present."""

    def regions(self, image: PIL.Image.Image) -> Regions:
        """The pieces as one label per pixel; the granularities of this library make no masks."""
        return regions_of(self, image)

    def labels(self, count: int) -> tuple[str, ...]:
        """What to call the pieces."""
        return tuple(f"{self.noun} {number + 1}" for number in range(count))


def regions_of(segmenter: ImageSegmenter, image: PIL.Image.Image) -> Regions:
    """The pieces that a callable cuts out of an image.

    Raises:
        TypeError, ValueError: for anything but masks of the size of the image.
    """
    given = segmenter(pixels_of(image))
    if given is None or isinstance(given, (str, bytes)):
        raise TypeError(f"An image granularity returns masks of the shape (k, h, w); it returned {shown(given)}.")
    masks = read_masks(given)
    check_fit(masks, *image.size)
    return Regions.of_masks(masks)


class Labelled(ImageGranularity):
    """A granularity that gives one label per pixel."""

    def __call__(self, pixels: UInt8[np.ndarray, "height width 3"]) -> Bool[np.ndarray, "pieces height width"]:
        from PIL import Image

        return self.regions(Image.fromarray(pixels)).masks

    @abstractmethod
    def regions(self, image: PIL.Image.Image) -> Regions:
        """The pieces as one label per pixel."""


@dataclass(frozen=True)
class Patches(Labelled):
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
            check_count(f"Patches: {name}", count)

    def regions(self, image: PIL.Image.Image) -> Regions:
        width, height = image.size
        if self.rows > height or self.columns > width:
            raise ValueError(
                f"Patches({self.rows}, {self.columns}) do not fit an image {width} wide and {height} high: ask for fewer."
            )
        kind = np.min_scalar_type(self.rows * self.columns - 1)
        row = (np.arange(height) * self.rows // height * self.columns).astype(kind)
        column = (np.arange(width) * self.columns // width).astype(kind)
        return Regions.of_labels(row[:, None] + column, self.rows * self.columns)

    def labels(self, count: int) -> tuple[str, ...]:
        return tuple(f"row {place // self.columns + 1}, column {place % self.columns + 1}" for place in range(count))


@dataclass(frozen=True)
class Superpixels(Labelled):
    """Connected regions of similar colour, by SLIC (Achanta et al. 2012, scikit-image).

    Args:
        count: about how many. SLIC returns a few more or fewer; on fine textures far fewer, which is logged as a warning.
            They are found at a million pixels where the image has more.
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
        check_count("Superpixels: count", self.count)
        if not self.compactness > 0:
            raise ValueError(f"Superpixels: compactness must be positive; got {shown(self.compactness)}.")

    def regions(self, image: PIL.Image.Image) -> Regions:
        try:
            from skimage.segmentation import slic
        except ImportError as error:
            raise ImportError("Superpixels need scikit-image: pip install interpreto_mllm[image]") from error
        width, height = image.size
        shrunk = max(1.0, math.sqrt(width * height / SLIC_PIXELS))
        small = image if shrunk == 1 else image.resize((round(width / shrunk), round(height / shrunk)))
        settings = {"compactness": self.compactness, "min_size_factor": 0.25, "start_label": 0}
        found = slic(np.asarray(small), n_segments=self.count, channel_axis=-1, **settings)
        names, owner = np.unique(found, return_inverse=True)
        if 2 * len(names) < self.count:
            logger.warning("%d superpixels asked for, %d found: a larger compactness gives more.", self.count, len(names))
        regions = Regions.of_labels(owner.reshape(found.shape), len(names))
        return regions if shrunk == 1 else regions.resized(width, height)


@dataclass(frozen=True)
class WholeImage(Labelled):
    """The image as one piece.

    Example:
        >>> WholeImage().labels(1)
        ('image',)
    """

    def regions(self, image: PIL.Image.Image) -> Regions:
        width, height = image.size
        return Regions(np.zeros((height, width), dtype=np.uint8), np.ones((1, 1), dtype=bool))

    def labels(self, count: int) -> tuple[str, ...]:
        return ("image",)


def check_image_granularity(granularity: object) -> ImageGranularity | ImageSegmenter:
    """The granularity as given, or a TypeError that lists what is accepted."""
    if isinstance(granularity, ImageGranularity) or (callable(granularity) and not isinstance(granularity, type)):
        return granularity
    raise TypeError(
        "The image granularity must be Patches(rows, columns), Superpixels(count), Boxes([...]), Masks(array), WholeImage() or "
        f"a callable from RGB pixels to masks; got {shown(granularity)}."
    )


def check_count(what: str, count: object) -> None:
    """Raise a ValueError unless this is a number of pieces."""
    if not is_whole(count) or count < 1:
        raise ValueError(f"{what} must be a whole number of at least 1; got {shown(count)}.")
