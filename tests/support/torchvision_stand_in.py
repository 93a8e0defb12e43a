"""The few functions of torchvision that the video processors of transformers call, where torchvision cannot be had.

There is no build of torchvision for the CPU build of torch here. The classes are those of transformers; only resizing,
normalising, padding and cropping are done by torch itself, with the same filters.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from enum import Enum
from typing import Any
from unittest import mock

import torch
from PIL import Image
from torch.nn import functional

FUNCTIONS = "torchvision.transforms.v2.functional"


class InterpolationMode(Enum):
    """The filters by torchvision's names."""

    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    LANCZOS = "lanczos"


def resize(image: torch.Tensor, size: Sequence[int], interpolation: InterpolationMode, antialias: bool = True) -> torch.Tensor:
    """Of the last two axes."""
    flat = image.reshape(-1, 1, *image.shape[-2:]).float()
    made = functional.interpolate(flat, tuple(size), mode=interpolation.value, antialias=antialias, align_corners=False)
    made = made.reshape(*image.shape[:-2], *size)
    return made if image.is_floating_point() else made.round().clamp(0, 255).to(image.dtype)


def normalize(image: torch.Tensor, mean: Any, std: Any, inplace: bool = False) -> torch.Tensor:
    """By channel, the third axis from behind."""
    mean, std = (torch.as_tensor(one, dtype=image.dtype)[:, None, None] for one in (mean, std))
    return (image - mean) / std


def grayscale_to_rgb(image: torch.Tensor) -> torch.Tensor:
    """Colour stays as it is."""
    return image if image.shape[-3] == 3 else image.expand(*image.shape[:-3], 3, *image.shape[-2:])


def pad(image: torch.Tensor, padding: Sequence[int], fill: float = 0, **options: Any) -> torch.Tensor:
    """Left, top, right and bottom."""
    left, top, right, bottom = padding
    return functional.pad(image, (left, right, top, bottom), value=fill)


def crop(image: torch.Tensor, top: int, left: int, height: int, width: int) -> torch.Tensor:
    """A window of the last two axes."""
    return image[..., top : top + height, left : left + width]


def video_processor(module: str, name: str) -> Any:
    """A class of video processors of transformers, which asks for torchvision when it is imported."""
    path = f"transformers.models.{module}.video_processing_{module}"
    present = importlib.util.find_spec("torchvision") is not None
    with nullcontext() if present else _installed():
        return getattr(importlib.import_module(path), name)


@contextmanager
def _installed() -> Iterator[None]:
    parts = FUNCTIONS.split(".")
    modules = {".".join(parts[: end + 1]): types.ModuleType(".".join(parts[: end + 1])) for end in range(len(parts))}
    for path, module in modules.items():
        parent, _, last = path.rpartition(".")
        if parent:
            setattr(modules[parent], last, module)
    for one in (resize, normalize, grayscale_to_rgb, pad, crop, InterpolationMode):
        setattr(modules[FUNCTIONS], one.__name__, one)
    with mock.patch.dict(sys.modules, modules):
        filters = {Image.Resampling[mode.name]: mode for mode in InterpolationMode}
        for name in ("image_processing_backends", "video_processing_utils"):
            backend: Any = importlib.import_module(f"transformers.{name}")
            backend.tvF, backend.pil_torch_interpolation_mapping = modules[FUNCTIONS], filters
        yield
