"""An image of the prompt with its pieces, and what is left of it when some pieces are absent."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from einops import rearrange
from jaxtyping import Bool, Int64, UInt8

from interpreto_mllm.core.content import digest
from interpreto_mllm.core.feature import Feature
from interpreto_mllm.media.image_granularity import (
    ImageGranularity,
    ImageSegmenter,
    Patches,
    check_fit,
    check_image_granularity,
    read_masks,
)
from interpreto_mllm.media.image_occlusion import Fill, ImageOcclusion, check_image_occlusion
from interpreto_mllm.media.packing import describe, pack_image, pack_masks, revive, unpack_image, unpack_masks
from interpreto_mllm.media.pixels import read_image

if TYPE_CHECKING:
    import PIL.Image


@dataclass(frozen=True, eq=False)
class Picture:
    """An image cut into `k` pieces. A pixel is present when a present piece covers it, or when no piece does.

    Args:
        image: in RGB.
        masks: the pixels of each piece; they may overlap and need not cover the image.
        labels: names of the pieces.
        occlusion: how absent pieces disappear; None when a result was loaded and the class of its occlusion was not found.

    Raises:
        ValueError: for masks that do not fit the image or hold no pixel, and for an occlusion that cannot hide these pieces.

    Example:
        >>> import numpy as np
        >>> from interpreto_mllm.media import Fill, Patches
        >>> picture = Picture.of(np.eye(2), Patches(1, 2), Fill("red"))
        >>> np.asarray(picture.render(np.array([True, False])))[:, 1].tolist()
        [[255, 0, 0], [255, 0, 0]]
        >>> [(feature.text, feature.box) for feature in picture.features(0)]
        [('row 1, column 1', (0, 0, 1, 2)), ('row 1, column 2', (1, 0, 2, 2))]
    """

    image: PIL.Image.Image
    masks: Bool[np.ndarray, "pieces height width"]
    labels: tuple[str, ...]
    occlusion: ImageOcclusion | None

    modality: ClassVar[str] = "image"

    def __post_init__(self) -> None:
        check_fit(self.masks, *self.image.size)
        if not len(self.masks) or len(self.masks) != len(self.labels):
            raise ValueError(f"An image needs a piece and every piece a label; got {len(self.masks)} and {len(self.labels)}.")
        if not (held := self.masks.any((1, 2))).all():
            raise ValueError(f"The piece {self.labels[int(held.argmin())]!r} holds no pixel of the image: leave it out.")
        if self.occlusion is not None:
            self.occlusion.check(self.masks)

    @classmethod
    def of(
        cls, given: Any, granularity: ImageGranularity | ImageSegmenter | None = None, occlusion: ImageOcclusion | None = None
    ) -> Picture:
        """Read an image and cut it.

        Args:
            given: a PIL image of any mode (transparent pixels are laid on white), a path or `file://` address, an array or
                tensor of shape `h w`, `h w c` or `c h w` in uint8 or floats from 0 to 1; or a `Picture`, which is returned
                unchanged.
            granularity: what a piece is: `Patches(4, 4)` by default, or a callable from pixels `UInt8[h w 3]` to masks `Bool[k
                h w]`.
            occlusion: how an absent piece disappears: `Fill("mean")` by default.

        Raises:
            FileNotFoundError, TypeError, ValueError: for what cannot be read or cut; the message says why.
        """
        if isinstance(given, Picture):
            return given
        granularity = check_image_granularity(Patches() if granularity is None else granularity)
        occlusion = check_image_occlusion(Fill() if occlusion is None else occlusion)
        image = read_image(given)
        masks = read_masks(granularity(np.asarray(image)))
        labels = granularity.labels if isinstance(granularity, ImageGranularity) else _numbered
        return cls(image, masks, tuple(labels(len(masks))), occlusion)

    def render(self, present: Bool[np.ndarray, "pieces"]) -> PIL.Image.Image | None:
        """What the model is shown when only these pieces are present; None when the image is left out of the prompt.

        Raises:
            ValueError: when it is not known how absent pieces disappear.
        """
        if self.occlusion is None:
            raise ValueError("This picture was loaded without its occlusion: import the module that defines it before loading.")
        from PIL import Image

        area, cover = self.areas
        shown = np.logical_or(cover[:, present].any(1), ~cover.any(1))
        there = np.take(shown, area)
        if there.all():
            return self.image
        if self._counterpart is None:
            return None
        return Image.fromarray(np.where(there[..., None], np.asarray(self.image), self._counterpart))

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, in pixels."""
        return self.image.size

    @property
    def keeps_size(self) -> bool:
        """Whether what is left always has the size of the whole, so that it takes as many tokens."""
        return self._counterpart is not None

    def key(self, present: Bool[np.ndarray, "pieces"]) -> bytes:
        """Equal exactly for states, of this picture or another, that render equal; each is rendered once to find out."""
        pieces = present.tobytes()
        if pieces not in self._keys:
            rendered = self.render(present)
            content = () if rendered is None else (*rendered.size, rendered.tobytes())
            self._keys[pieces] = digest(self.modality, *content)
        return self._keys[pieces]

    def features(self, medium: int, role: str | None = None, turn: int | None = None) -> list[Feature]:
        """The pieces as features.

        Args:
            medium: index of this image among the images and clips of the prompt.
            role: role of its chat message.
            turn: index of its chat message.
        """
        return [
            Feature(label, role=role, turn=turn, modality="image", pieces=((medium, piece),), box=_box(mask))
            for piece, (label, mask) in enumerate(zip(self.labels, self.masks, strict=True))
        ]

    @cached_property
    def areas(self) -> tuple[Int64[np.ndarray, "height width"], Bool[np.ndarray, "areas pieces"]]:
        """The image cut wherever the pieces that cover it change: the area of each pixel, and the pieces of each area."""
        flat = rearrange(self.masks, "k h w -> k (h w)")
        area = np.zeros(flat.shape[1], dtype=np.int64)
        for first in range(0, len(flat), 32):
            for bit, mask in enumerate(flat[first : first + 32]):
                area = (area << 32 if not bit else area) | (mask.astype(np.int64) << bit)
            area = np.unique(area, return_inverse=True)[1]
        _, where = np.unique(area, return_index=True)
        return rearrange(area, "(h w) -> h w", w=self.image.width), flat[:, where].T

    def to_data(self) -> dict[str, Any]:
        """Everything, as JSON can hold it."""
        return {
            "modality": self.modality,
            "image": pack_image(self.image),
            "masks": pack_masks(self.masks),
            "labels": list(self.labels),
            "occlusion": describe(self.occlusion),
        }

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Picture:
        """Inverse of `to_data`. Import your own occlusion class first, else the picture can only be displayed."""
        occlusion = revive(ImageOcclusion, data["occlusion"])
        return cls(unpack_image(data["image"]), unpack_masks(data["masks"]), tuple(data["labels"]), occlusion)

    @cached_property
    def _counterpart(self) -> UInt8[np.ndarray, "height width 3"] | None:
        assert self.occlusion is not None
        return self.occlusion.counterpart(np.asarray(self.image))

    @cached_property
    def _keys(self) -> dict[bytes, bytes]:
        return {}


def _numbered(count: int) -> tuple[str, ...]:
    return tuple(f"region {number + 1}" for number in range(count))


def _box(mask: Bool[np.ndarray, "height width"]) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
