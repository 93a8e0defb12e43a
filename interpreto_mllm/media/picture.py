"""An image of the prompt with its pieces, and what is left of it when some pieces are absent."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from jaxtyping import Bool, UInt

from interpreto_mllm.core.content import digest
from interpreto_mllm.core.feature import Feature
from interpreto_mllm.core.renamed import renamed_argument
from interpreto_mllm.media.image_granularity import (
    ImageGranularity,
    ImageSegmenter,
    Patches,
    check_image_granularity,
    regions_of,
)
from interpreto_mllm.media.image_occlusion import Fill, ImageOcclusion, check_image_occlusion
from interpreto_mllm.media.packing import describe, pack_image, pack_regions, revive, unpack_image, unpack_regions
from interpreto_mllm.media.pixels import pixels_of, read_noted_image
from interpreto_mllm.media.processed import Processed, Tensors
from interpreto_mllm.media.read_masks import check_fit, read_masks
from interpreto_mllm.media.reading import Reading
from interpreto_mllm.media.regions import Regions

if TYPE_CHECKING:
    import PIL.Image

RENDERED_BYTES = 2**25
"""Memory for the renderings of one picture that are remembered."""


@renamed_argument("masks", "regions")
@dataclass(frozen=True, eq=False)
class Picture:
    """An image cut into `k` pieces. A pixel is present when a present piece covers it, or when no piece does.

    Args:
        image: in RGB.
        regions: the pixels of the pieces, which may overlap and need not cover the image; masks `k h w` are accepted as well.
        labels: names of the pieces.
        occlusion: how absent pieces disappear; None when a result was loaded and the class of its occlusion was not found.
        notes: what was changed when it was read.
        reading: the size at which states are rendered, where the model reads a smaller image; None for that of the image.
        processed: what the model's processor makes of it, where the tensors of states are put together from that.

    Raises:
        ValueError: for pieces that do not fit the image or hold no pixel, and for an occlusion that cannot hide these pieces.

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
    regions: Regions
    labels: tuple[str, ...]
    occlusion: ImageOcclusion | None
    notes: tuple[str, ...] = ()
    reading: Reading | None = None
    processed: Processed | None = None

    modality: ClassVar[str] = "image"

    def __post_init__(self) -> None:
        if not isinstance(self.regions, Regions):
            object.__setattr__(self, "regions", Regions.of_masks(read_masks(self.regions)))
        check_fit(self.regions.area[None], *self.image.size)
        if not self.labels or self.regions.count != len(self.labels):
            raise ValueError(
                f"An image needs a piece and every piece a label; got {self.regions.count} and {len(self.labels)}."
            )
        if not self.regions.sizes.all():
            raise ValueError(
                f"The piece {self.labels[int(self.regions.sizes.argmin())]!r} holds no pixel of the image: leave it out."
            )
        if self.occlusion is not None:
            self.occlusion.check(self.regions)

    @classmethod
    def of(
        cls, given: Any, granularity: ImageGranularity | ImageSegmenter | None = None, occlusion: ImageOcclusion | None = None
    ) -> Picture:
        """Read an image and cut it.

        Args:
            given: a PIL image of any mode (transparent pixels are laid on white); an image file as a path, `file://` address,
                bytes, an open file (which is left as it was), a data URL or base64; an array or tensor of shape `h w`, `h w c`
                or `c h w` in uint8 or floats from 0 to 1; or a `Picture`, which is returned unchanged. Of several frames or
                pages one is read, with a note.
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
        read = read_noted_image(given)
        if isinstance(granularity, ImageGranularity):
            regions, labels = granularity.regions(read.image), granularity.labels
        else:
            regions, labels = regions_of(granularity, read.image), _numbered
        return cls(read.image, regions, tuple(labels(regions.count)), occlusion, read.notes)

    @property
    def masks(self) -> Bool[np.ndarray, "pieces height width"]:
        """A mask for each piece, made anew; large for many pieces of a large image."""
        return self.regions.masks

    def read_as(self, reading: Reading) -> Picture:
        """The same picture for a model that reads it smaller; itself where a piece would hold no pixel there."""
        smaller = self.regions.resized(reading.width, reading.height)
        return replace(self, reading=reading) if smaller.sizes.all() else self

    def render(self, present: Bool[np.ndarray, "pieces"]) -> PIL.Image.Image | None:
        """What the model is shown when only these pieces are present; None when the image is left out of the prompt.

        Raises:
            ValueError: when it is not known how absent pieces disappear.
        """
        if self.occlusion is None:
            raise ValueError("This picture was loaded without its occlusion: import the module that defines it before loading.")
        image, regions = self._seen
        if regions.lit(present).all():
            return image
        if self._hidden is None:
            return None
        pieces = present.tobytes()
        if pieces not in self._rendered:
            from PIL import Image

            self._remember(pieces, Image.composite(image, self._hidden, Image.fromarray(regions.shown(present))))
        return self._rendered[pieces]

    def tensors(self, present: Bool[np.ndarray, "pieces"]) -> Tensors | None:
        """What the model is given when only these pieces are present, where that is put together; None where it is rendered."""
        return None if self.processed is None else self.processed.tensors(self.regions.lit(present))

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of what is rendered, in pixels."""
        return self.image.size if self.reading is None else (self.reading.width, self.reading.height)

    @property
    def keeps_size(self) -> bool:
        """Whether what is left always has the size of the whole, so that it takes as many tokens."""
        return self.processed is not None or self._hidden is not None

    def key(self, present: Bool[np.ndarray, "pieces"]) -> bytes:
        """Equal exactly for states, of this picture or another, that render equal; each is rendered once to find out."""
        pieces = present.tobytes()
        if pieces not in self._keys and self.processed is not None:
            self._keys[pieces] = self.processed.key(self.regions.lit(present))
        if pieces not in self._keys:
            rendered = self.render(present)
            content = () if rendered is None else (*rendered.size, pixels_of(rendered).reshape(-1).data)
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
            Feature(label, role=role, turn=turn, modality="image", pieces=((medium, piece),), box=box)
            for piece, (label, box) in enumerate(zip(self.labels, self.regions.boxes, strict=True))
        ]

    @property
    def areas(self) -> tuple[UInt[np.ndarray, "height width"], Bool[np.ndarray, "areas pieces"]]:
        """The image cut wherever the pieces that cover it change: the area of each pixel, and the pieces of each area."""
        return self.regions.area, self.regions.cover

    def to_data(self) -> dict[str, Any]:
        """Everything, as JSON can hold it."""
        return {
            "modality": self.modality,
            "image": pack_image(self.image),
            "regions": pack_regions(self.regions),
            "labels": list(self.labels),
            "occlusion": describe(self.occlusion),
        }

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Picture:
        """Inverse of `to_data`. Import your own occlusion class first, else the picture can only be displayed."""
        occlusion = revive(ImageOcclusion, data["occlusion"])
        regions = unpack_regions(data["regions"] if "regions" in data else data["masks"])
        return cls(unpack_image(data["image"]), regions, tuple(data["labels"]), occlusion)

    @cached_property
    def _seen(self) -> tuple[PIL.Image.Image, Regions]:
        """The whole image and its pieces at the size at which they are rendered."""
        if self.reading is None:
            return self.image, self.regions
        size = (self.reading.width, self.reading.height)
        return self.image.resize(size, self.reading.filter), self.regions.resized(*size)  # type: ignore[arg-type]

    @cached_property
    def _hidden(self) -> PIL.Image.Image | None:
        """What is shown where pieces are absent; None where the image is left out."""
        assert self.occlusion is not None
        return self.occlusion.hidden(self.image, self.reading or Reading(*self.image.size))

    @cached_property
    def _keys(self) -> dict[bytes, bytes]:
        return {}

    @cached_property
    def _rendered(self) -> dict[bytes, PIL.Image.Image]:
        """Renderings that are remembered, by the pieces in them."""
        return {}

    def _remember(self, pieces: bytes, image: PIL.Image.Image) -> None:
        """Keep a rendering, and forget the oldest ones beyond `RENDERED_BYTES`."""
        self._rendered[pieces] = image
        size = 4 * image.width * image.height
        while len(self._rendered) > 1 and len(self._rendered) * size > RENDERED_BYTES:
            self._rendered.pop(next(iter(self._rendered)), None)


def _numbered(count: int) -> tuple[str, ...]:
    return tuple(f"region {number + 1}" for number in range(count))
