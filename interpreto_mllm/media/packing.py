"""Pixels, masks, samples and occlusions as JSON, without loss."""

from __future__ import annotations

import base64
import io
import math
import zlib
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float32

from interpreto_mllm.media.regions import Regions

if TYPE_CHECKING:
    import PIL.Image

RENAMED = {"Noise": "WhiteNoise", "Other": "ReplaceImage", "Silence": "Mute"}
"""Occlusions of this library that files may hold under an older name."""


def pack_image(image: PIL.Image.Image) -> str:
    """A PNG, which is lossless, in base64."""
    file = io.BytesIO()
    image.save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def unpack_image(text: str) -> PIL.Image.Image:
    """Inverse of `pack_image`."""
    from interpreto_mllm.media.pixels import read_image

    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError("This result holds an image, which needs pillow: pip install interpreto_mllm[image]") from error
    return read_image(Image.open(io.BytesIO(base64.b64decode(text))))


def pack_masks(masks: Bool[np.ndarray, "pieces height width"]) -> dict[str, Any]:
    """A bit per pixel, compressed."""
    return {"shape": list(masks.shape), "bits": _compressed(np.packbits(masks).tobytes())}


def unpack_masks(packed: dict[str, Any]) -> Bool[np.ndarray, "pieces height width"]:
    """Inverse of `pack_masks`."""
    bits = np.frombuffer(_expanded(packed["bits"]), dtype=np.uint8)
    return np.unpackbits(bits, count=math.prod(packed["shape"])).astype(bool).reshape(packed["shape"])


def pack_regions(regions: Regions) -> dict[str, Any]:
    """A label per pixel and the pieces of each label, compressed."""
    area = regions.area
    cover = pack_masks(regions.cover[None])
    return {"shape": list(area.shape), "kind": area.dtype.str, "areas": _compressed(area.tobytes()), "cover": cover}


def unpack_regions(packed: dict[str, Any]) -> Regions:
    """Inverse of `pack_regions`; also of `pack_masks`, as files of version 0.1 have them.

    Raises:
        ValueError: for labels without pieces.
    """
    if "bits" in packed:
        return Regions.of_masks(unpack_masks(packed))
    area = np.frombuffer(_expanded(packed["areas"]), dtype=packed["kind"]).reshape(packed["shape"])
    [cover] = unpack_masks(packed["cover"])
    if int(area.max()) >= len(cover):
        raise ValueError(f"The image has {len(cover)} areas, and a pixel of area {int(area.max())}.")
    return Regions(area, cover)


def pack_samples(samples: Float32[np.ndarray, "s"]) -> str:
    """Little-endian float32, compressed."""
    return _compressed(samples.astype("<f4").tobytes())


def unpack_samples(text: str) -> Float32[np.ndarray, "s"]:
    """Inverse of `pack_samples`."""
    return np.frombuffer(_expanded(text), dtype="<f4").astype(np.float32)


def describe(occlusion: object) -> dict[str, Any] | None:
    """An occlusion's class and settings; None when the settings of a user's class cannot be written as JSON."""
    if not is_dataclass(occlusion):
        return None
    settings = {field.name: getattr(occlusion, field.name) for field in fields(occlusion)}
    for name, value in settings.items():
        if hasattr(value, "getbands"):
            settings[name] = {"png": pack_image(value)}
        elif type(value) not in (bool, int, float, str, tuple):
            return None
    kind = type(occlusion)
    return {"kind": kind.__qualname__, "module": kind.__module__, "settings": settings}


def revive(base: type, description: dict[str, Any] | None) -> Any:
    """The occlusion described, or None unless its class is this library's or already imported; nothing is ever imported."""
    if description is None:
        return None
    name, module = description["kind"], description["module"]
    if module.startswith("interpreto_mllm."):
        name = RENAMED.get(name, name)
    kind = next((kind for kind in _subclasses(base) if (kind.__qualname__, kind.__module__) == (name, module)), None)
    if kind is None:
        return None
    return kind(**{name: _revived(value) for name, value in description["settings"].items()})


def _revived(value: Any) -> Any:
    if isinstance(value, dict):
        return unpack_image(value["png"])
    return tuple(value) if isinstance(value, list) else value


def _subclasses(base: type) -> Iterator[type]:
    for subclass in base.__subclasses__():
        yield subclass
        yield from _subclasses(subclass)


def _compressed(data: bytes) -> str:
    return base64.b64encode(zlib.compress(data)).decode()


def _expanded(text: str) -> bytes:
    return zlib.decompress(base64.b64decode(text))
