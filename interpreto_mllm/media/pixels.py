"""Reads images as RGB pixels."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from einops import rearrange
from jaxtyping import Shaped, UInt8

from interpreto_mllm.media.files import content_of, local_path, unwrapped

if TYPE_CHECKING:
    import PIL.Image

CHANNEL_COUNTS = (1, 3, 4)
"""Grey, RGB, and RGB with transparency."""


@dataclass(frozen=True)
class ReadImage:
    """An image as it was read, and what its reader must know of it."""

    image: PIL.Image.Image
    notes: tuple[str, ...] = ()


def read_image(given: Any) -> PIL.Image.Image:
    """A new RGB image, turned upright as its EXIF data say, with transparent pixels on white.

    Args:
        given: a PIL image of any mode; an image file as a path, a `file://` address, bytes, an open file, a data URL or base64;
            or an array or tensor of shape `h w`, `h w c` or `c h w` with 1, 3 or 4 channels, in uint8 or in floats from 0 to 1.

    Raises:
        FileNotFoundError: when there is no such file.
        ImportError: without pillow.
        TypeError: for something that is not an image.
        ValueError: for a file that is not an image, an image without pixels, and values or shapes that can mean several things.

    Example:
        >>> import numpy as np
        >>> read_image(np.ones((2, 3))).getpixel((0, 0))
        (255, 255, 255)
    """
    return read_noted_image(given).image


def read_noted_image(given: Any) -> ReadImage:
    """Like `read_image`, with notes: of a file with several frames or pages, one is read."""
    try:
        from PIL import Image, ImageOps
    except ImportError as error:
        raise ImportError("Images need pillow: pip install interpreto_mllm[image]") from error
    given = unwrapped(given)
    opened = _opened(given)
    if opened is None:
        opened = given if isinstance(given, Image.Image) else Image.fromarray(_pixels(given))
    if 0 in opened.size:
        raise ValueError(f"The image has no pixels: it is {opened.width} wide and {opened.height} high.")
    _load(opened, "The image")
    upright = ImageOps.exif_transpose(opened)  # always a copy
    if upright.mode.startswith("I;16"):
        upright = Image.fromarray((np.asarray(upright).astype(np.float64) / 257).round().astype(np.uint8))
    elif upright.mode in ("I", "F"):
        upright = Image.fromarray(_pixels(np.asarray(upright)))
    if upright.has_transparency_data:
        clear = upright.convert("RGBA")
        upright = Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear)
    return ReadImage(upright if upright.mode == "RGB" else upright.convert("RGB"), _frames(opened))


def pixels_of(image: PIL.Image.Image) -> UInt8[np.ndarray, "height width 3"]:
    """The pixels of an RGB image, in a new array; a band at a time, as a photo takes much memory."""
    pixels = np.empty((image.height, image.width, 3), dtype=np.uint8)
    band = max(1, 2**16 // image.width)
    for top in range(0, image.height, band):
        bottom = min(image.height, top + band)
        pixels[top:bottom] = np.asarray(image.crop((0, top, image.width, bottom)))
    return pixels


def _frames(image: PIL.Image.Image) -> tuple[str, ...]:
    """A note on an image of several frames or pages, of which one is read."""
    count = getattr(image, "n_frames", 1)
    if count == 1 or image.format == "MPO":  # a photo with a preview or a depth map
        return ()
    kind = "pages" if image.format == "TIFF" else "frames"
    shown = f"{kind[:-1]} {image.tell() + 1} of {count} {kind} is explained"
    return (f"{shown}; to explain another, give it as an image of its own (image.seek(index))",)


def _opened(given: Any) -> PIL.Image.Image | None:
    """The image in a file, or in its content; None for something else."""
    from PIL import Image

    if isinstance(given, Image.Image):
        return None
    content, name = content_of(given, "image"), "The image"
    if content is None and isinstance(given, (str, os.PathLike)):
        path = local_path(given, "image")
        content, name = path.read_bytes(), str(path)
    if content is None:
        return None
    try:
        image = Image.open(io.BytesIO(content))
    except Image.DecompressionBombError as error:
        raise ValueError(f"{name} has more pixels than can be read safely: {error}") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(f"{name} is not an image that can be read.") from error
    return _load(image, name)


def _load(image: PIL.Image.Image, name: str) -> PIL.Image.Image:
    try:
        image.load()
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(f"{name} is damaged: {error}.") from error
    return image


def _pixels(given: Any) -> UInt8[np.ndarray, "height width"] | UInt8[np.ndarray, "height width channels"]:
    """An array or tensor as height, width and perhaps three or four channels of uint8."""
    if hasattr(given, "detach"):
        given = given.detach().cpu()
        given = (given.float() if given.is_floating_point() else given).numpy()
    if not isinstance(given, np.ndarray):
        raise TypeError(
            f"Cannot read an image from {type(given).__name__}: give a PIL image, a numpy array, a torch tensor, or a file as "
            "a path, bytes, an open file, a data URL or base64."
        )
    if 0 in given.shape:
        raise ValueError(f"The image has no pixels: its shape is {given.shape}.")
    array = _channels_last(given)
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    low, high = float(array.min()), float(array.max())
    if not np.issubdtype(array.dtype, np.floating):
        raise ValueError(
            f"Image arrays are uint8, or floats from 0 to 1; got {array.dtype} from {low:g} to {high:g}: convert them."
        )
    if not (low >= 0 and high <= 1):
        hint = ": divide by 255" if low >= 0 and high <= 255 else ""
        raise ValueError(f"Image floats lie between 0 and 1; these run from {low:g} to {high:g}{hint}.")
    return (array * 255).round().astype(np.uint8)


def _channels_last(array: Shaped[np.ndarray, "..."]) -> Shaped[np.ndarray, "..."]:
    if array.ndim == 2:
        return array
    if array.ndim != 3:
        raise ValueError(f"One image has the shape (h, w), (h, w, c) or (c, h, w); got {array.shape}.")
    first, last = array.shape[0] in CHANNEL_COUNTS, array.shape[2] in CHANNEL_COUNTS
    if first == last:
        why = "both the first and the last could be the channels" if first else "none is 1, 3 or 4 channels"
        raise ValueError(f"The image array's shape {array.shape} cannot be read: {why}. Give a PIL image, or (h, w, 3).")
    channels_last = array if last else rearrange(array, "c h w -> h w c")
    return channels_last[..., 0] if channels_last.shape[2] == 1 else channels_last
