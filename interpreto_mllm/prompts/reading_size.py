"""At which size a processor reads an image, so that a photo is made small once and not for every coalition."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Shaped
from torch import Tensor

from interpreto_mllm.media.picture import Picture
from interpreto_mllm.media.processed import end_to_end
from interpreto_mllm.media.reading import Reading
from interpreto_mllm.media.state import Medium, State
from interpreto_mllm.prompts.pixel_sources import processed
from interpreto_mllm.prompts.processing import Processing, Tensors

if TYPE_CHECKING:
    import PIL.Image

BICUBIC = 3

LARGE = 2**20
"""Images with more pixels are made small once. The pieces of smaller ones are hidden before the processor makes them small."""


def as_read(media: Sequence[Medium], processing: Processing) -> tuple[Medium, ...]:
    """The images and clips of a prompt, large images at the size that the processor makes of them first.

    That is where the processor then gives the very same tensors. Of a processor that cuts images into tiles, the tensors of
    states are put together from those of the whole pictures and of the hidden ones, where it gives several images the tensors
    that it gives each alone; otherwise it is given each state as it is.
    """
    read = tuple(_smaller(medium, processing) if isinstance(medium, Picture) else medium for medium in media)
    pictures = [medium for medium in read if isinstance(medium, Picture)]
    if len(pictures) < len(read) or not any(map(_is_large, pictures)):
        return read
    along = _along(pictures, processing)
    if along is None:
        return read
    made = [_put_together(picture, processing, along) for picture in pictures]
    return tuple(made) if all(picture.processed is not None for picture in made) else read


def _is_large(picture: Picture) -> bool:
    """Whether this is a large picture that no smaller size is known of."""
    width, height = picture.image.size
    return width * height > LARGE and picture.reading is None and picture.occlusion is not None


def _smaller(picture: Picture, processing: Processing) -> Picture:
    """A large picture at the size that the processor makes of it first, if there is one."""
    picture = picture if picture.processed is None else replace(picture, processed=None)
    if not _is_large(picture):
        return picture
    whole = _tensors([picture], processing)
    for reading in dict.fromkeys(_readings(picture, whole, processing)):
        smaller = picture.read_as(reading)
        if smaller.reading is not None and _equal(whole, _tensors([smaller], processing)):
            return smaller
    return picture


def _along(pictures: Sequence[Picture], processing: Processing) -> dict[str, int] | None:
    """How the tensors of a prompt's images are those of each alone, one after the other; None where they are not."""
    if len(pictures) == 1:
        return {}
    together, alone = _tensors(pictures, processing), [_tensors([picture], processing) for picture in pictures]
    found = {}
    for name in together.keys() - processing.of_tokens:
        parts = [tensors[name] for tensors in alone if name in tensors]
        fits = [along for along in (0, 1) if len(parts) == len(alone) and _is_of(together[name], parts, along)]
        if not fits:
            return None
        found[name] = fits[0]
    return found


def _is_of(whole: Shaped[Tensor, "..."], parts: Sequence[Shaped[Tensor, "..."]], along: int) -> bool:
    """Whether a tensor is these, one after the other along a dimension."""
    made = end_to_end(parts, along)
    return made is not None and torch.equal(whole, made)


def _put_together(picture: Picture, processing: Processing, along: dict[str, int]) -> Picture:
    if picture.occlusion is None or picture.reading is not None:
        return picture
    made = processed(picture, partial(_processed, picture, processing))
    return made if made.processed is None else replace(made, processed=replace(made.processed, along=along))


def within(picture: Picture, pixels: int) -> Picture:
    """The picture with at most so many pixels, and a note if it had more."""
    width, height = picture.image.size
    if width * height <= pixels or picture.occlusion is None:
        return picture
    scale = (pixels / (width * height)) ** 0.5
    smaller = picture.read_as(Reading(max(1, int(width * scale)), max(1, int(height * scale))))
    if smaller.reading is None:
        raise ValueError(
            f"max_pixels={pixels}: at this size one of the image's {len(picture.labels)} pieces has no pixel left."
        )
    sent = " × ".join(map(str, smaller.size))
    return replace(smaller, notes=(*picture.notes, f"{width} × {height} pixels, sent as {sent} (max_pixels={pixels})"))


def _readings(picture: Picture, whole: Tensors, processing: Processing) -> Iterator[Reading]:
    """Sizes that the processor may have given the image, smaller ones than its own."""
    readers = [
        part for part in processing.media_readers if hasattr(part, "resample") and part is not processing.video_processor
    ]
    filters = [int(part.resample) for part in readers if part.resample is not None] or [BICUBIC]
    width, height = picture.image.size
    for made_width, made_height in _sizes(whole, readers):
        ratio = max(made_width / width, made_height / height)
        covering = (round(width * ratio), round(height * ratio)), (int(width * ratio), int(height * ratio))
        for size in ((made_width, made_height), *covering):
            if 0 < size[0] * size[1] < width * height:
                yield Reading(*size, filters[0])


def _sizes(whole: Tensors, readers: list[Any]) -> Iterator[tuple[int, int]]:
    """Width and height of what the processor made of the image, by the tensors that it gave."""
    for name, tensor in whole.items():
        if tensor.is_floating_point() and tensor.ndim >= 4:
            yield int(tensor.shape[-1]), int(tensor.shape[-2])
        elif name.endswith("grid_thw") and len(tensor) == 1:
            for side in (getattr(part, "patch_size", None) for part in readers):
                if isinstance(side, int):
                    yield int(tensor[0, 2]) * side, int(tensor[0, 1]) * side
        elif name.endswith("image_sizes") and tensor.ndim == 2 and len(tensor) == 1:
            yield int(tensor[0, 1]), int(tensor[0, 0])


def _tensors(pictures: Sequence[Picture], processing: Processing) -> Tensors:
    """What the processor makes of these images in one prompt."""
    return processing.bare([[State.whole(picture) for picture in pictures]])


def _processed(picture: Picture, processing: Processing, image: PIL.Image.Image) -> Tensors:
    """What the processor makes of another image of this size."""
    return _tensors([replace(picture, image=image)], processing)


def _equal(one: Tensors, other: Tensors) -> bool:
    return one.keys() == other.keys() and all(
        tensor.shape == other[name].shape and torch.equal(tensor, other[name]) for name, tensor in one.items()
    )
