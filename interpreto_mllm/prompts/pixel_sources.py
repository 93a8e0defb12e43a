"""Which place of an image each number shows that a processor makes of it, for processors that cut images into tiles.

The processor is given images whose brightness tells the column or the row; what it makes of these says where each number
comes from, in whatever way it resizes, cuts, pads and orders.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped, UInt8
from torch import Tensor

from interpreto_mllm.media.picture import Picture
from interpreto_mllm.media.processed import Processed, Tensors
from interpreto_mllm.media.reading import Reading
from interpreto_mllm.media.regions import Regions

if TYPE_CHECKING:
    import PIL.Image

Process = Callable[["PIL.Image.Image"], Tensors]

BLOCK = 2**20
"""Numbers that are looked at together."""

FINE = 64
"""Places along an axis up to which 256 shades tell them apart; more are told apart by waves of brightness too."""

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
    image = picture.image
    assert picture.occlusion is not None
    hidden = picture.occlusion.hidden(image, Reading(*image.size))
    if hidden is None:
        return picture
    whole, bare = process(image), process(hidden)
    names = [name for name, tensor in whole.items() if tensor.is_floating_point()]
    alike = all(bare[name].shape == tensor.shape for name, tensor in whole.items())
    if not alike or any(not whole[name].equal(bare[name]) for name in whole.keys() - names):
        return picture
    places = _places(*image.size, process, names)
    if places is None:
        return picture
    places = {name: places[name] for name in names if not whole[name].equal(bare[name])}
    for name, place in places.items():
        if not _tells(image, hidden, (whole[name], bare[name]), place, lambda given, name=name: process(given)[name]):
            return picture
    area = {name: _area(picture.regions, *place) for name, place in places.items()}
    shown = np.zeros(len(picture.regions.cover), dtype=bool)
    for each in area.values():
        shown[np.unique(each.numpy())[int(each.min() < 0) :]] = True
    if not picture.regions.cover[shown].any(0).all():
        return picture
    return replace(picture, processed=Processed(whole, bare, area))


def _places(width: int, height: int, process: Process, names: list[str]) -> dict[str, tuple[Tensor, Tensor]] | None:
    """Row and column that each number shows, -1 where it shows none; None where these cannot be told."""
    black, white = (process(_grey(np.full((1, 1), shade, np.uint8), width, height)) for shade in (0, 255))
    if not all(torch.isfinite(each[name]).all() for each in (black, white) for name in names):
        return None
    there = {name: white[name] != black[name] for name in names}

    def brightness(shades: Float[np.ndarray, "l"], axis: int) -> Float[Tensor, "_"]:
        """Of all numbers that show something, from 0 to 1."""
        made = process(_grey(_line(shades, axis), width, height))
        return torch.cat([((made[name] - black[name]) / (white[name] - black[name]))[there[name]] for name in names])

    found: dict[str, list[Tensor]] = {name: [] for name in names}
    for axis, length in enumerate((height, width)):
        steps = (np.arange(length) + 0.5) / length
        share = brightness(steps, axis)
        if not share.isfinite().all():
            return None
        waves = len((255 * share).round_().clamp_(0, 255).to(torch.uint8).unique()) // LENGTH
        if waves * LENGTH >= FINE:
            wave, shifted = (brightness(1 - np.abs(1 - (2 * waves * steps + shift) % 2), axis) for shift in (0, 0.5))
            parts = zip(*(each.split(BLOCK) for each in (share, wave, shifted)), strict=True)
            share = torch.cat([_finer(far, near, other, waves) for far, near, other in parts])
            del wave, shifted
        pixels = (share * length).floor().clamp(0, length - 1).int().split([int(there[name].sum()) for name in names])
        for name, of_name in zip(names, pixels, strict=True):
            found[name].append(torch.full(there[name].shape, -1, dtype=torch.int32).masked_scatter(there[name], of_name))
    return {name: (rows, columns) for name, (rows, columns) in found.items()}


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


def _area(regions: Regions, rows: Int[Tensor, "..."], columns: Int[Tensor, "..."]) -> Int[Tensor, "..."]:
    """The area of each place; -1 for none."""
    found = torch.empty(rows.shape, dtype=torch.int32)
    for block, y, x in zip(*(each.reshape(-1).split(BLOCK) for each in (found, rows, columns)), strict=True):
        block.copy_(torch.from_numpy(regions.area[y.numpy(), x.numpy()].astype(np.int32)))
    return found.masked_fill_((rows < 0) | (columns < 0), -1)


def _tells(
    image: PIL.Image.Image,
    hidden: PIL.Image.Image,
    ends: tuple[Float[Tensor, "..."], Float[Tensor, "..."]],
    places: tuple[Int[Tensor, "..."], Int[Tensor, "..."]],
    process: Callable[[PIL.Image.Image], Float[Tensor, "..."]],
) -> bool:
    """Whether two quarters of the image give, within them, what the processor makes of the image with the others hidden.

    Of many numbers some are looked at, all over the tensor.
    """
    from PIL import Image

    (width, height), lit = image.size, np.array([True, False, False, True])
    x, y = width // 2, height // 2
    quarters = Regions.of_boxes([(0, 0, x, y), (x, 0, width, y), (0, y, x, height), (x, y, width, height)], width, height)
    step = ends[0].numel() // BLOCK + 1

    def some(tensor: Shaped[Tensor, "..."]) -> Shaped[Tensor, "_"]:
        return tensor.reshape(-1)[::step].clone()

    whole, bare, rows, columns = map(some, (*ends, *places))
    shown = torch.from_numpy(np.append(lit, True))[_area(quarters, rows, columns)]
    put = torch.where(shown, whole, bare)
    given = some(process(Image.composite(image, hidden, Image.fromarray(quarters.shown(lit)))))
    mask = np.where(lit, LIGHT, DARK).astype(np.uint8)[quarters.area]
    dark, light, mixed = (
        some(process(_grey(shades, width, height)))
        for shades in (np.full((1, 1), DARK, np.uint8), np.full((1, 1), LIGHT, np.uint8), mask)
    )
    span = light - dark
    share = torch.where(span == 0, 1.0, (mixed - dark) / span)
    clear, pure = (((share - 0.5).abs() - 0.5).abs() < least for least in (CLEAR, PURE))
    wrong = clear & (shown != (share > 0.5)) & ~_on_border(quarters, lit, rows, columns)
    off = pure & (shown == (share > 0.5)) & ((given - put).abs() > SHADES * span.abs() / (LIGHT - DARK))
    return not wrong.any() and not off.any() and bool(pure.any())


def _on_border(
    regions: Regions, lit: Bool[np.ndarray, "areas"], rows: Int[Tensor, "..."], columns: Int[Tensor, "..."]
) -> Bool[Tensor, "..."]:
    """Whether both what is shown and what is not lie within some pixels of these places."""
    height, width = regions.area.shape
    seen = []
    for down in (-BORDER, BORDER):
        for right in (-BORDER, BORDER):
            y, x = (rows + down).clamp(0, height - 1).numpy(), (columns + right).clamp(0, width - 1).numpy()
            seen.append(torch.from_numpy(lit[regions.area[y, x]]))
    return torch.stack(seen).any(0) & ~torch.stack(seen).all(0)


def _line(shades: Float[np.ndarray, "l"], axis: int) -> UInt8[np.ndarray, "_ _"]:
    """Shades from 0 to 1 down the image, or across."""
    grey = (255 * shades).round().astype(np.uint8)
    return grey[None] if axis else grey[:, None]


def _grey(shades: UInt8[np.ndarray, "_ _"], width: int, height: int) -> PIL.Image.Image:
    """A grey image of these shades, which are repeated to its size."""
    from PIL import Image

    return Image.fromarray(np.ascontiguousarray(np.broadcast_to(shades, (height, width)))).convert("RGB")
