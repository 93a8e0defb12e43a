"""Reads images as RGB pixels."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from einops import rearrange
from jaxtyping import Shaped, UInt8

from interpreto_mllm.media.files import local_path

if TYPE_CHECKING:
    import PIL.Image

CHANNEL_COUNTS = (1, 3, 4)
"""Grey, RGB, and RGB with transparency."""


def read_image(given: Any) -> PIL.Image.Image:
    """A new RGB image, turned upright as its EXIF data say, with transparent pixels on white.

    Args:
        given: a PIL image of any mode, a path or `file://` address, or an array or tensor of shape `h w`, `h w c` or `c h w`
            with 1, 3 or 4 channels, in uint8 or in floats from 0 to 1.

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
    try:
        from PIL import Image, ImageOps
    except ImportError as error:
        raise ImportError("Images need pillow: pip install interpreto_mllm[image]") from error
    if isinstance(given, (str, os.PathLike)):
        given = _open(local_path(given, "image"))
    elif not isinstance(given, Image.Image):
        given = Image.fromarray(_pixels(given))
    if 0 in given.size:
        raise ValueError(f"The image has no pixels: it is {given.width} wide and {given.height} high.")
    _load(given, "The image")
    upright = ImageOps.exif_transpose(given)
    if upright.mode.startswith("I;16"):
        upright = Image.fromarray((np.asarray(upright).astype(np.float64) / 257).round().astype(np.uint8))
    elif upright.mode in ("I", "F"):
        upright = Image.fromarray(_pixels(np.asarray(upright)))
    if upright.has_transparency_data:
        clear = upright.convert("RGBA")
        upright = Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear)
    return upright.convert("RGB") if upright.mode != "RGB" else upright.copy()


def _open(path: Path) -> PIL.Image.Image:
    from PIL import Image

    with path.open("rb") as file:
        try:
            image = Image.open(file)
        except OSError as error:
            raise ValueError(f"{path} is not an image that can be read.") from error
        return _load(image, str(path))


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
            f"Cannot read an image from {type(given).__name__}: give a PIL image, a numpy array, a torch tensor or the path of "
            "a file."
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
