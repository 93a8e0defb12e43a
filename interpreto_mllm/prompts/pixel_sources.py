"""Which place of an image each number shows that a processor makes of it, for processors that cut images into tiles.

The processor is given images whose brightness tells the column or the row; what it makes of these says where each number
comes from, in whatever way it resizes, cuts, pads and orders.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Int16, Shaped, UInt8
from torch import Tensor

from interpreto_mllm.media.picture import Picture
from interpreto_mllm.media.processed import Processed, Runs, Tensors
from interpreto_mllm.media.reading import Reading
from interpreto_mllm.media.regions import Regions

if TYPE_CHECKING:
    import PIL.Image

Places = tuple[Int[Tensor, "l"], Int[Tensor, "l"]]
"""Row and column of each number."""

Process = Callable[["PIL.Image.Image"], Tensors]

BLOCK = 2**20
"""Numbers that are looked at together."""

FINE = 64
"""Places along an axis up to which 256 shades tell them apart; more are told apart by waves of brightness too."""

LEVELS = 2**15 - 1
"""Brightness is kept as a whole number up to this."""

NOT_SHOWN, NO_NUMBER = -1, -2
"""What is kept in place of the brightness where a number is the same for black and white, and where it is infinite or none."""

LENGTH = 32
"""Places per wave, at least: fewer would be blurred."""

BORDER = 3
"""Pixels by which a place may be wrong."""

PURE, CLEAR = 0.006, 0.1
"""Shares of other pieces in a number up to which it shows one piece alone, and up to which there is no doubt which."""

DARK, LIGHT = 64, 191
"""Shades of what is hidden and shown in a trial; between them and black and white there is room for a filter to overshoot."""

SHADES = 3
"""By how many of 256 shades numbers within pieces may differ: what is left of other pieces, and what was rounded."""


def processed(picture: Picture, process: Process) -> Picture:
    """The picture with what the processor makes of it, if it can be put together from that of the whole and the hidden image.

    It can where each number shows a place of the image: then numbers within a piece are those that the processor makes of the
    image with pieces absent, which is tried, and those on a border show the piece at their place. Each piece must show.
    """
    hidden = _hidden(picture)
    if hidden is None:
        return picture
    bare = process(hidden)
    del hidden
    whole = process(picture.image)
    names = [name for name, tensor in whole.items() if tensor.is_floating_point()]
    alike = all(bare[name].shape == tensor.shape for name, tensor in whole.items())
    if not alike or any(not whole[name].equal(bare[name]) for name in whole.keys() - names):
        return picture
    places = _places(*picture.image.size, process, names)
    if places is None:
        return picture
    places = {name: places[name] for name in names if not whole[name].equal(bare[name])}
    for name, place in places.items():
        if not _tells(picture, (whole[name], bare[name]), place, lambda given, name=name: process(given)[name]):
            return picture
    area = {name: Runs.of(_area(picture.regions, *place)) for name, place in places.items()}
    shown = np.zeros(len(picture.regions.cover), dtype=bool)
    for each in area.values():
        shown[each.areas[each.areas >= 0]] = True
    if not picture.regions.cover[shown].any(0).all():
        return picture
    return replace(picture, processed=Processed(whole, bare, area))


def _hidden(picture: Picture) -> PIL.Image.Image | None:
    """What is shown where pieces are absent: made anew each time rather than held, as a photo takes much memory."""
    assert picture.occlusion is not None
    return picture.occlusion.hidden(picture.image, Reading(*picture.image.size))


def _places(width: int, height: int, process: Process, names: list[str]) -> dict[str, Places] | None:
    """Row and column that each number shows, -1 where it shows none; None where these cannot be told."""
    black, white = (process(_grey(np.full((1, 1), shade, np.uint8), width, height)) for shade in (0, 255))
    if not all(torch.isfinite(each[name]).all() for each in (black, white) for name in names):
        return None

    def brightness(shades: Float[np.ndarray, "l"], axis: int) -> dict[str, Int16[Tensor, "_"]]:
        """Of all numbers."""
        made = process(_grey(_line(shades, axis), width, height))
        return {name: _levels(made[name], black[name], white[name]) for name in names}

    found: dict[str, list[Int[Tensor, "_"]]] = {name: [] for name in names}
    for axis, length in enumerate((height, width)):
        steps = (np.arange(length) + 0.5) / length
        levels = brightness(steps, axis)
        if any(level.min() < NOT_SHOWN for level in levels.values()):
            return None
        waves, nearer = _shades(levels.values()) // LENGTH, []
        if waves * LENGTH >= FINE:
            nearer = [brightness(1 - np.abs(1 - (2 * waves * steps + shift) % 2), axis) for shift in (0, 0.5)]
        for name in names:
            found[name].append(_pixels(levels[name], [each[name] for each in nearer], waves, length))
    return {name: (rows, columns) for name, (rows, columns) in found.items()}


def _blocks(*tensors: Shaped[Tensor, "..."]) -> Iterator[tuple[Tensor, ...]]:
    """Some of the numbers of each tensor at a time, as a view."""
    return zip(*(tensor.reshape(-1).split(BLOCK) for tensor in tensors), strict=True)


def _levels(made: Float[Tensor, "..."], black: Float[Tensor, "..."], white: Float[Tensor, "..."]) -> Int16[Tensor, "_"]:
    """Brightness of each number, in so many levels from black to white; below 0 where it shows nothing, or is no number."""
    levels = torch.empty(made.numel(), dtype=torch.int16)
    for level, some, dark, light in _blocks(levels, made, black, white):
        share = ((some - dark) / (light - dark) * LEVELS).round().clamp(0, LEVELS).nan_to_num(NO_NUMBER)
        level.copy_(torch.where(dark == light, NOT_SHOWN, torch.where(some.isfinite(), share, NO_NUMBER)))
    return levels


def _shades(levels: Iterable[Int16[Tensor, "_"]]) -> int:
    """How many of 256 shades there are."""
    seen = torch.zeros(256, dtype=torch.bool)
    for each in levels:
        for (some,) in _blocks(each):
            seen[(some[some >= 0].float() * (255 / LEVELS)).round().long()] = True
    return int(seen.sum())


def _pixels(levels: Int16[Tensor, "l"], nearer: list[Int16[Tensor, "l"]], waves: int, length: int) -> Int[Tensor, "l"]:
    """The place of each number along an axis of this length, finer by waves of brightness if there are any; -1 for none."""
    pixels = torch.empty(len(levels), dtype=torch.int16 if length < 2**15 else torch.int32)
    for pixel, level, *near in _blocks(pixels, levels, *nearer):
        share = level / LEVELS
        if near:
            wave, shifted = near
            share = _finer(share, wave / LEVELS, shifted / LEVELS, waves)
        pixel.copy_(torch.where(level < 0, -1, (share * length).floor().clamp(0, length - 1)))
    return pixels


def _finer(share: Float[Tensor, "l"], wave: Float[Tensor, "l"], shifted: Float[Tensor, "l"], waves: int) -> Float[Tensor, "l"]:
    """The places nearest to these that have the brightness of a wave, or of one shifted by a quarter where that turns."""
    turning = (wave - 0.5).abs() > (shifted - 0.5).abs()
    near, shift = torch.where(turning, shifted, wave), torch.where(turning, 0.5, 0.0)
    first = (share * 2 * waves + shift).floor()
    best = torch.full_like(share, float("inf"))
    for number in (first - 1, first, first + 1):
        place = (number + torch.where(number % 2 == 0, near, 1 - near) - shift) / (2 * waves)
        best = torch.where((place - share).abs() < (best - share).abs(), place, best)
    return best


def _area(regions: Regions, rows: Int[Tensor, "l"], columns: Int[Tensor, "l"]) -> Int[np.ndarray, "l"]:
    """The area of each place; -1 for none."""
    found = np.empty(len(rows), dtype=np.int16 if len(regions.cover) < 2**15 else np.int32)
    for start in range(0, len(rows), BLOCK):
        y, x = (each[start : start + BLOCK].numpy() for each in (rows, columns))
        found[start : start + BLOCK] = np.where((y < 0) | (x < 0), -1, regions.area[y, x].astype(found.dtype))
    return found


def _tells(
    picture: Picture,
    ends: tuple[Float[Tensor, "..."], Float[Tensor, "..."]],
    places: Places,
    process: Callable[[PIL.Image.Image], Float[Tensor, "..."]],
) -> bool:
    """Whether two quarters of the image give, within them, what the processor makes of the image with the others hidden.

    Of many numbers some are looked at, all over the tensor.
    """
    width, height = picture.image.size
    step = ends[0].numel() // BLOCK + 1

    def some(tensor: Shaped[Tensor, "..."]) -> Shaped[Tensor, "_"]:
        return tensor.reshape(-1)[::step].clone()

    whole, bare, rows, columns = map(some, (*ends, *places))
    nowhere = (rows < 0) | (columns < 0)
    shown = nowhere | _lit(rows, columns, width, height)
    put = torch.where(shown, whole, bare)
    mask = _lit(torch.arange(height)[:, None], torch.arange(width), width, height).numpy()
    given = some(process(_quarters(picture, mask)))
    dark, light, mixed = (
        some(process(_grey(shades, width, height)))
        for shades in (
            np.full((1, 1), DARK, np.uint8),
            np.full((1, 1), LIGHT, np.uint8),
            np.where(mask, np.uint8(LIGHT), np.uint8(DARK)),
        )
    )
    span = light - dark
    share = torch.where(span == 0, 1.0, (mixed - dark) / span)
    clear, pure = (((share - 0.5).abs() - 0.5).abs() < least for least in (CLEAR, PURE))
    wrong = clear & (shown != (share > 0.5)) & ~_on_border(rows, columns, width, height)
    off = pure & (shown == (share > 0.5)) & ((given - put).abs() > SHADES * span.abs() / (LIGHT - DARK))
    return not wrong.any() and not off.any() and bool(pure.any())


def _quarters(picture: Picture, lit: Bool[np.ndarray, "height width"]) -> PIL.Image.Image:
    """The hidden image with these pixels of the image."""
    from PIL import Image

    hidden = _hidden(picture)
    assert hidden is not None
    hidden.paste(picture.image, None, Image.fromarray(lit))
    return hidden


def _lit(rows: Int[Tensor, "..."], columns: Int[Tensor, "..."], width: int, height: int) -> Bool[Tensor, "..."]:
    """Whether these places are in the first or the last quarter of an image."""
    return (rows < height // 2) == (columns < width // 2)


def _on_border(rows: Int[Tensor, "l"], columns: Int[Tensor, "l"], width: int, height: int) -> Bool[Tensor, "l"]:
    """Whether both what is shown and what is not lie within some pixels of these places."""
    seen = torch.stack(
        [
            _lit((rows + down).clamp(0, height - 1), (columns + right).clamp(0, width - 1), width, height)
            for down in (-BORDER, BORDER)
            for right in (-BORDER, BORDER)
        ]
    )
    return seen.any(0) & ~seen.all(0)


def _line(shades: Float[np.ndarray, "l"], axis: int) -> UInt8[np.ndarray, "_ _"]:
    """Shades from 0 to 1 down the image, or across."""
    grey = (255 * shades).round().astype(np.uint8)
    return grey[None] if axis else grey[:, None]


def _grey(shades: UInt8[np.ndarray, "_ _"], width: int, height: int) -> PIL.Image.Image:
    """A grey image of these shades, which are repeated to its size."""
    from PIL import Image

    return Image.fromarray(np.ascontiguousarray(np.broadcast_to(shades, (height, width)))).convert("RGB")
