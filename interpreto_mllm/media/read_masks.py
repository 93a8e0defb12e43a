"""Reads masks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool, Shaped

from interpreto_mllm.core.shown import shown


def read_masks(given: Any) -> Bool[np.ndarray, "pieces height width"]:
    """A boolean copy of the given masks.

    Raises:
        ValueError: for masks of another shape or other values.
    """
    if not hasattr(given, "ndim"):
        if isinstance(given, Mapping) or not isinstance(given, Iterable):
            raise ValueError(f"Masks are an array of the shape (k, h, w) or a list of masks; got {shown(given)}.")
        each = [np.asarray(_mask(one)) for one in given]
        shapes = {tuple(mask.shape) for mask in each}
        if len(shapes) > 1:
            raise ValueError(f"The masks differ in shape: {sorted(shapes)}; all must be as high and wide as the image.")
        given = np.stack(each) if each else np.zeros((0, 0, 0))
    array = np.array(given.detach().cpu() if hasattr(given, "detach") else given)
    if array.ndim != 3 or not len(array):
        raise ValueError(f"Masks have the shape (k, h, w), k at least 1; got {array.shape}. One mask is masks[None].")
    if array.dtype == bool:
        return array
    values = np.unique(array)
    if not (np.isin(values, (0, 1)).all() or np.isin(values, (0, 255)).all()):
        raise ValueError(
            f"Masks hold booleans, or 0 and 1 (or 255); got {array.dtype} with values such as {values[:5].tolist()}."
        )
    return array.astype(bool)


def _mask(given: Any) -> Any:
    """The mask of an answer of SAM or of a segmentation pipeline; anything else as it is.

    Raises:
        ValueError: for a mask that is compressed.
    """
    if not isinstance(given, Mapping):
        return given.detach().cpu() if hasattr(given, "detach") else given
    mask = next((given[name] for name in ("segmentation", "mask") if name in given), None)
    if mask is None or isinstance(mask, Mapping):
        hint = ": decode it first, as with pycocotools.mask.decode" if isinstance(mask, Mapping) else ""
        raise ValueError(f"A mask with the keys {shown([*given])} cannot be read{hint}; give an array of the shape (h, w).")
    return _mask(mask)


def check_fit(masks: Shaped[np.ndarray, "_ _ _"], width: int, height: int) -> None:
    """Raise a ValueError where masks and image differ in size."""
    if masks.shape[1:] != (height, width):
        raise ValueError(
            f"The masks are {masks.shape[2]} wide and {masks.shape[1]} high, the image is {width} wide and {height} high: they "
            "must have the same size."
        )
