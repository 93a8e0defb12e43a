"""How an absent piece of an image disappears: filled, blurred, taken from another image, or the image left out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import UInt8

from interpreto_mllm.core.numbers import is_number, is_whole
from interpreto_mllm.core.shown import shown
from interpreto_mllm.media.pixels import pixels_of, read_image
from interpreto_mllm.media.reading import Reading
from interpreto_mllm.media.regions import Regions

if TYPE_CHECKING:
    import PIL.Image


class ImageOcclusion(ABC):
    """What stands where an absent piece was."""

    @abstractmethod
    def counterpart(self, pixels: UInt8[np.ndarray, "height width 3"]) -> UInt8[np.ndarray, "height width 3"] | None:
        """The image whose pixels are shown where pieces are absent; None to leave the whole image out of the prompt."""

    def hidden(self, image: PIL.Image.Image, reading: Reading) -> PIL.Image.Image | None:
        """The same for an image that the model reads at a smaller size."""
        from PIL import Image

        counterpart = self.counterpart(pixels_of(image))
        if counterpart is None:
            return None
        whole = Image.fromarray(np.ascontiguousarray(counterpart))
        return whole.resize((reading.width, reading.height), reading.filter)  # type: ignore[arg-type]

    def check(self, regions: Regions) -> None:
        """Raise a ValueError where these pieces cannot disappear like this."""


@dataclass(frozen=True)
class Fill(ImageOcclusion):
    """Absent pieces are painted over in one colour.

    The default for images, with the mean colour. The image keeps its size and the prompt its length, so only the piece changes.
    The mean colour shows no object and no edge within the piece and lies near the zero that image processors normalise to;
    black or white may mean something to the model.

    Args:
        colour: "mean" for the mean colour of the image, a name such as "grey" or "#808080", or red, green and blue from 0 to
            255.

    Raises:
        ValueError: for an unknown colour.

    Example:
        >>> import numpy as np
        >>> Fill("red").counterpart(np.zeros((1, 1, 3), dtype=np.uint8)).tolist()
        [[[255, 0, 0]]]
    """

    colour: str | tuple[int, int, int] = "mean"

    def __post_init__(self) -> None:
        if self.colour != "mean":
            self._named()

    def counterpart(self, pixels: UInt8[np.ndarray, "height width 3"]) -> UInt8[np.ndarray, "height width 3"]:
        colour = pixels.mean((0, 1)).round() if self.colour == "mean" else np.asarray(self._named())
        return np.broadcast_to(colour.astype(np.uint8), pixels.shape).copy()

    def hidden(self, image: PIL.Image.Image, reading: Reading) -> PIL.Image.Image:
        from PIL import Image

        colour = self._named() if self.colour != "mean" else pixels_of(image).mean((0, 1)).round().astype(int).tolist()
        return Image.new("RGB", (reading.width, reading.height), tuple(colour))

    def _named(self) -> tuple[int, ...]:
        if isinstance(self.colour, str):
            from PIL import ImageColor

            try:
                return tuple(ImageColor.getrgb(self.colour)[:3])
            except ValueError as error:
                raise ValueError(
                    f"Fill({self.colour!r}): unknown colour; give 'mean', a CSS name, '#rrggbb' or a triple."
                ) from error
        parts = tuple(self.colour) if isinstance(self.colour, Iterable) else ()
        if len(parts) != 3 or not all(is_whole(part) and 0 <= part <= 255 for part in parts):
            raise ValueError(f"Fill({shown(self.colour)}): a colour is three whole numbers from 0 to 255.")
        return tuple(map(int, parts))


@dataclass(frozen=True)
class Blur(ImageOcclusion):
    """Absent pieces are blurred: details go, coarse colours stay. A small radius hides little.

    Args:
        radius: standard deviation of the Gaussian blur, in pixels.

    Raises:
        ValueError: for a radius that is not positive.

    Example:
        >>> import numpy as np
        >>> Blur(2.0).counterpart(np.full((3, 3, 3), 7, dtype=np.uint8)).max()
        np.uint8(7)
    """

    radius: int | float

    def __post_init__(self) -> None:
        if not is_number(self.radius) or not 0 < self.radius < float("inf"):
            raise ValueError(f"Blur: the radius is a positive number of pixels; got {shown(self.radius)}.")

    def counterpart(self, pixels: UInt8[np.ndarray, "height width 3"]) -> UInt8[np.ndarray, "height width 3"]:
        from PIL import Image, ImageFilter

        return np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(self.radius)))


@dataclass(frozen=True, eq=False)
class ReplaceImage(ImageOcclusion):
    """Absent pieces show the same region of another image, resized to fit: a typical scene, or one that differs in one object.

    Args:
        image: anything that `Picture.of` accepts.

    Raises:
        TypeError, ValueError: for something that is not an image.

    Example:
        >>> import numpy as np
        >>> ReplaceImage(np.ones((9, 9))).counterpart(np.zeros((1, 1, 3), dtype=np.uint8)).tolist()
        [[[255, 255, 255]]]
    """

    image: Any

    def __post_init__(self) -> None:
        object.__setattr__(self, "image", read_image(self.image))

    def counterpart(self, pixels: UInt8[np.ndarray, "height width 3"]) -> UInt8[np.ndarray, "height width 3"]:
        return np.asarray(self.image.resize((pixels.shape[1], pixels.shape[0])))


@dataclass(frozen=True)
class DropImage(ImageOcclusion):
    """The absent image is left out of the prompt together with its placeholder tokens, as if it had never been attached.

    Only for images that are one piece: an image cannot be left out in part. `Fill` keeps the length of the prompt and this does
    not, so they answer different questions: "what if nothing could be seen" and "what if there were no image".

    Example:
        >>> import numpy as np
        >>> from interpreto_mllm.media.regions import Regions
        >>> DropImage().check(Regions.of_masks(np.eye(4, dtype=bool)[:, None]))
        Traceback (most recent call last):
        ValueError: DropImage() leaves out whole images, and this one is cut into 4 pieces: use WholeImage(), or Fill() to ...
    """

    def counterpart(self, pixels: UInt8[np.ndarray, "height width 3"]) -> None:
        return None

    def check(self, regions: Regions) -> None:
        if regions.count > 1 or not regions.cover.all():
            cut = f"is cut into {regions.count} pieces" if regions.count > 1 else "has pixels outside its only piece"
            raise ValueError(
                f"DropImage() leaves out whole images, and this one {cut}: use WholeImage(), or Fill() to hide single pieces."
            )


def check_image_occlusion(occlusion: object) -> ImageOcclusion:
    """The occlusion as given, or a TypeError that lists what is accepted."""
    if not isinstance(occlusion, ImageOcclusion):
        raise TypeError(
            f"The image occlusion must be Fill(...), Blur(radius), ReplaceImage(image) or DropImage(); got {shown(occlusion)}."
        )
    return occlusion
