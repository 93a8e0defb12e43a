"""An image cut by masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, UInt8

from interpreto_mllm.media.image_granularity import ImageGranularity
from interpreto_mllm.media.read_masks import check_fit, read_masks
from interpreto_mllm.media.regions import Regions

if TYPE_CHECKING:
    import PIL.Image


@dataclass(frozen=True, eq=False)
class Masks(ImageGranularity):
    """Your own masks, such as a segmentation model's. They may overlap; what none of them covers is always present.

    Args:
        masks: `k h w` or a list of `h w`, numpy, torch or PIL: booleans, or 0 and 1, or 0 and 255; or what SAM gives (a list of
            {"segmentation": mask}), or the segmentation pipelines of transformers ({"masks": [...]}, or a list of {"mask":
            image, "label": ...}, whose labels then name the masks).
        names: of the masks.

    Raises:
        ValueError: for masks of another shape, other values, or without a pixel.

    Example:
        >>> import numpy as np
        >>> Masks(np.eye(2)[None])(np.zeros((2, 2, 3), dtype=np.uint8)).astype(int).tolist()
        [[[1, 0], [0, 1]]]
    """

    masks: Bool[np.ndarray, "pieces height width"]
    names: tuple[str, ...] | None
    noun = "mask"

    def __init__(self, masks: Any, names: Sequence[str] | None = None):
        listed = masks["masks"] if isinstance(masks, Mapping) and "masks" in masks else masks
        read = read_masks(listed)
        found = [one["label"] for one in listed if isinstance(one, Mapping) and "label" in one]
        names = found if names is None and len(found) == len(read) else names
        if names is not None and len(names) != len(read):
            raise ValueError(f"Masks: {len(read)} masks but {len(names)} names: give one for each, or none.")
        object.__setattr__(self, "masks", read)
        object.__setattr__(self, "names", None if names is None else tuple(map(str, names)))

    def __call__(self, pixels: UInt8[np.ndarray, "height width 3"]) -> Bool[np.ndarray, "pieces height width"]:
        check_fit(self.masks, pixels.shape[1], pixels.shape[0])
        return self.masks

    def regions(self, image: PIL.Image.Image) -> Regions:
        check_fit(self.masks, *image.size)
        return Regions.of_masks(self.masks)

    def labels(self, count: int) -> tuple[str, ...]:
        return super().labels(count) if self.names is None else self.names
