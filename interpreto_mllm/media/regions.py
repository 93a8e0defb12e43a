"""The pieces of an image as one label per pixel: a photo in 256 patches takes a byte per pixel, not 256."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Int64, Integer, Shaped, UInt

BAND = 2**18
"""Pixels that are looked up at a time."""

Box = tuple[int, int, int, int]
"""Left, top, right and bottom in pixels, the last two exclusive."""


@dataclass(frozen=True, eq=False)
class Regions:
    """An image cut wherever the pieces that cover it change. Areas are numbered as they come in reading order.

    Args:
        area: the area of each pixel.
        cover: the pieces that cover each area; an area without one is always present.

    Example:
        >>> regions = Regions.of_boxes([(0, 0, 2, 1), (1, 0, 3, 1)], 4, 1)
        >>> regions.area.tolist(), regions.cover.astype(int).tolist()
        ([[0, 1, 2, 3]], [[1, 0], [1, 1], [0, 1], [0, 0]])
        >>> regions.shown(np.array([False, True])).tolist()
        [[False, True, True, True]]
    """

    area: UInt[np.ndarray, "height width"]
    cover: Bool[np.ndarray, "areas pieces"]

    @classmethod
    def of_labels(cls, labels: Integer[np.ndarray, "height width"], count: int) -> Regions:
        """Pieces that do not overlap, from the piece of each pixel; a negative label is of no piece."""
        loose = bool(labels.min() < 0)
        cover = np.concatenate([np.eye(count, dtype=bool), np.zeros((int(loose), count), dtype=bool)])
        return _numbered(np.where(labels < 0, count, labels) if loose else labels, cover)

    @classmethod
    def of_boxes(cls, boxes: Sequence[Box], width: int, height: int) -> Regions:
        """Boxes, which may overlap."""
        drawn = _Drawn(width, height, len(boxes))
        for piece, (left, top, right, bottom) in enumerate(boxes):
            drawn.add(piece, (slice(top, bottom), slice(left, right)))
        return drawn.regions()

    @classmethod
    def of_masks(cls, masks: Bool[np.ndarray, "pieces height width"]) -> Regions:
        """Masks, which may overlap."""
        count, height, width = masks.shape
        drawn = _Drawn(width, height, count)
        for piece, mask in enumerate(masks):
            rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            if len(rows):
                window = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
                drawn.add(piece, window, mask[window])
        return drawn.regions()

    @property
    def count(self) -> int:
        """How many pieces there are."""
        return self.cover.shape[1]

    @property
    def masks(self) -> Bool[np.ndarray, "pieces height width"]:
        """A mask for each piece, made anew."""
        return np.stack([self.cover[:, piece][self.area] for piece in range(self.count)])

    def lit(self, present: Bool[np.ndarray, "pieces"]) -> Bool[np.ndarray, "areas"]:
        """Which areas are present with these pieces."""
        return np.logical_or(self.cover[:, present].any(1), ~self.cover.any(1))

    def shown(self, present: Bool[np.ndarray, "pieces"]) -> Bool[np.ndarray, "height width"]:
        """Which pixels are present with these pieces."""
        return _looked_up(self.lit(present), self.area)

    @cached_property
    def sizes(self) -> Int64[np.ndarray, "pieces"]:
        """The pixels of each piece."""
        return np.asarray(self.cover.T @ _counts(self.area, len(self.cover)), dtype=np.int64)

    @cached_property
    def boxes(self) -> list[Box]:
        """The smallest box around each piece."""
        extents = _extents(self.area, len(self.cover))
        found = []
        for piece in range(self.count):
            lefts, tops, rights, bottoms = extents[:, self.cover[:, piece]]
            found.append((int(lefts.min()), int(tops.min()), int(rights.max()), int(bottoms.max())))
        return found

    def resized(self, width: int, height: int) -> Regions:
        """The regions of the image at another size, by the pixel that each new one has its centre in."""
        rows, columns = (
            np.minimum(((np.arange(new) + 0.5) * old / new).astype(np.int64), old - 1)
            for new, old in zip((height, width), self.area.shape, strict=True)
        )
        return _numbered(self.area[rows[:, None], columns], self.cover)


class _Drawn:
    """An image that is cut by one piece after the other."""

    def __init__(self, width: int, height: int, count: int):
        self.area = np.zeros((height, width), dtype=np.uint16)
        self.pieces: list[tuple[int, ...]] = [()]
        self.count = count

    def add(self, piece: int, window: tuple[slice, slice], inside: Bool[np.ndarray, "_ _"] | None = None) -> None:
        """Cut out a piece: the whole window, or a part of it."""
        if 2 * len(self.pieces) > np.iinfo(self.area.dtype).max:
            self.area = self.area.astype(np.uint32)
        seen = self.area[window] if inside is None else self.area[window][inside]
        touched = np.flatnonzero(_counts(np.atleast_2d(seen), len(self.pieces)))
        fresh = np.arange(len(self.pieces), dtype=self.area.dtype)
        fresh[touched] = len(self.pieces) + np.arange(len(touched))
        self.pieces += [(*self.pieces[area], piece) for area in touched]
        if inside is None:
            self.area[window] = fresh[seen]
        else:
            self.area[window][inside] = fresh[seen]

    def regions(self) -> Regions:
        cover = np.zeros((len(self.pieces), self.count), dtype=bool)
        for area, pieces in enumerate(self.pieces):
            cover[area, list(pieces)] = True
        return _numbered(self.area, cover)


def _numbered(area: Integer[np.ndarray, "height width"], cover: Bool[np.ndarray, "areas pieces"]) -> Regions:
    """Regions whose areas are numbered in reading order, without those that hold no pixel or are covered alike."""
    first = np.full(len(cover), area.size)
    for row in range(area.shape[0] - 1, -1, -1):
        first[area[row, ::-1]] = row * area.shape[1] + np.arange(area.shape[1])[::-1]
    alike: dict[bytes, int] = {}
    order = [old for old in np.argsort(first, kind="stable").tolist() if first[old] < area.size]
    renamed = np.zeros(len(cover), dtype=np.min_scalar_type(max(0, len(order) - 1)))
    for old in order:
        renamed[old] = alike.setdefault(cover[old].tobytes(), len(alike))
    kept = np.frombuffer(b"".join(alike), dtype=bool).reshape(len(alike), cover.shape[1])
    return Regions(_looked_up(renamed.astype(np.min_scalar_type(len(alike) - 1)), area), kept)


def _looked_up(table: Shaped[np.ndarray, "areas"], area: Integer[np.ndarray, "height width"]) -> Shaped[np.ndarray, "_ _"]:
    """What the table holds for each pixel, a band at a time: NumPy widens indices to eight bytes."""
    found = np.empty(area.shape, dtype=table.dtype)
    for rows in _bands(area):
        found[rows] = table[area[rows]]
    return found


def _bands(area: Integer[np.ndarray, "height width"]) -> Iterator[slice]:
    """The rows of the image, some at a time."""
    band = max(1, BAND // max(1, area.shape[1]))
    return (slice(row, row + band) for row in range(0, area.shape[0], band))


def _counts(area: Integer[np.ndarray, "height width"], areas: int) -> Int64[np.ndarray, "areas"]:
    """The pixels of each area, a band of the image at a time."""
    total = np.zeros(areas, dtype=np.int64)
    for rows in _bands(area):
        total += np.bincount(area[rows].ravel(), minlength=areas)
    return total


def _extents(area: Integer[np.ndarray, "height width"], areas: int) -> Int64[np.ndarray, "4 areas"]:
    """Left, top, right and bottom of each area."""
    height, width = area.shape
    columns = np.arange(width)
    lefts, tops = np.full(areas, width), np.full(areas, height)
    rights, bottoms = np.zeros(areas, dtype=np.int64), np.zeros(areas, dtype=np.int64)
    for y, row in enumerate(area):
        first, last = np.full(areas, width), np.full(areas, -1)
        first[row[::-1]], last[row] = columns[::-1], columns
        there = last >= 0
        lefts, rights = np.minimum(lefts, first), np.maximum(rights, last + 1)
        tops[there & (tops == height)] = y
        bottoms[there] = y + 1
    return np.stack([lefts, tops, rights, bottoms])
