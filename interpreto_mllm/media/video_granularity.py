"""Where a video is cut into pieces: spans of time, frames, patches through time, or not at all."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from interpreto_mllm.core.numbers import is_number
from interpreto_mllm.core.shown import shown
from interpreto_mllm.media.audio_granularity import check_positive
from interpreto_mllm.media.footage import Footage
from interpreto_mllm.media.image_granularity import Patches, check_count
from interpreto_mllm.media.regions import Regions

VideoSegmenter = Callable[[np.ndarray, tuple[float, ...]], Any]
"""A user's own granularity: from frames `UInt8[t h w 3]` and their seconds to (start, end), or (start, end, mask)."""


class Tube(NamedTuple):
    """A part of each frame of a stretch.

    Args:
        first: the first frame.
        end: the frame after the last.
        region: which part of these frames.
    """

    first: int
    end: int
    region: int = 0


class Pieces(NamedTuple):
    """A video's pieces.

    Args:
        tubes: each of them.
        regions: the parts of a frame that they go through.
        labels: their names.
    """

    tubes: tuple[Tube, ...]
    regions: Regions
    labels: tuple[str, ...]


class VideoGranularity(ABC):
    """What the pieces of a video are."""

    @abstractmethod
    def __call__(self, footage: Footage) -> Pieces:
        """The pieces. What none of them covers is always present."""


@dataclass(frozen=True)
class TimeSpans(VideoGranularity):
    """Spans of equal time. One in which no frame begins is left out.

    The default for videos, eight of them: they need no model, and leave enough of an ordinary budget to the words.

    Args:
        seconds: how long each is; None for `count` of them.
        count: how many the video is cut into where `seconds` is None.

    Raises:
        ValueError: for a length or a count that is not positive.

    Example:
        >>> footage = Footage.steady(np.zeros((4, 2, 2, 3), dtype=np.uint8), 2.0)
        >>> TimeSpans(1.0)(footage).labels
        ('0.00–1.00 s', '1.00–2.00 s')
    """

    seconds: int | float | None = None
    count: int = 8

    def __post_init__(self) -> None:
        _check_seconds("TimeSpans", self.seconds)
        check_count("TimeSpans: count", self.count)

    def __call__(self, footage: Footage) -> Pieces:
        tubes = tuple(Tube(first, end) for first, end in spans_of(footage, self.seconds, self.count))
        return Pieces(tubes, whole_frame(footage), tuple(timed(footage, tube) for tube in tubes))


@dataclass(frozen=True)
class Frames(VideoGranularity):
    """Each frame that is shown to the model.

    Example:
        >>> Frames()(Footage.steady(np.zeros((2, 2, 2, 3), dtype=np.uint8), 2.0)).labels
        ('frame 1 (0.00 s)', 'frame 2 (0.50 s)')
    """

    def __call__(self, footage: Footage) -> Pieces:
        labels = tuple(f"frame {frame + 1} ({seconds:.2f} s)" for frame, seconds in enumerate(footage.times))
        return Pieces(tuple(Tube(frame, frame + 1) for frame in range(footage.count)), whole_frame(footage), labels)


@dataclass(frozen=True)
class Tubes(VideoGranularity):
    """A grid of patches, each through time: through all of it, or through spans of equal time.

    Raises:
        ValueError: for less than one row, column or span, or more rows or columns than a frame has pixels.

    Example:
        >>> footage = Footage.steady(np.zeros((4, 2, 2, 3), dtype=np.uint8), 2.0)
        >>> Tubes(1, 2)(footage).labels
        ('row 1, column 1', 'row 1, column 2')
        >>> Tubes(1, 2, seconds=1.0)(footage).labels[2]
        '1.00–2.00 s, row 1, column 1'
    """

    rows: int = 3
    columns: int = 3
    seconds: int | float | None = None
    count: int = 1

    def __post_init__(self) -> None:
        for name, count in (("rows", self.rows), ("columns", self.columns), ("count", self.count)):
            check_count(f"Tubes: {name}", count)
        _check_seconds("Tubes", self.seconds)

    def __call__(self, footage: Footage) -> Pieces:
        from PIL import Image

        patches = Patches(self.rows, self.columns)
        regions = patches.regions(Image.fromarray(footage.frames[0]))
        spans, names = spans_of(footage, self.seconds, self.count), patches.labels(regions.count)
        tubes = tuple(Tube(*span, region) for span in spans for region in range(regions.count))
        labels = [names[tube.region] if len(spans) == 1 else f"{timed(footage, tube)}, {names[tube.region]}" for tube in tubes]
        return Pieces(tubes, regions, tuple(labels))


@dataclass(frozen=True)
class WholeVideo(VideoGranularity):
    """The video as one piece.

    Example:
        >>> WholeVideo()(Footage.steady(np.zeros((2, 2, 2, 3), dtype=np.uint8), 2.0)).labels
        ('video',)
    """

    def __call__(self, footage: Footage) -> Pieces:
        return Pieces((Tube(0, footage.count),), whole_frame(footage), ("video",))


def spans_of(footage: Footage, seconds: int | float | None, count: int) -> list[tuple[int, int]]:
    """The frames of spans of equal time: the first, and the one after the last."""
    begin = footage.times[0]
    length = (footage.span(0, footage.count)[1] - begin) / count if seconds is None else seconds
    number = [math.floor((time - begin) / length + 1e-9) for time in footage.times]
    edges = [0, *(frame for frame in range(1, footage.count) if number[frame] != number[frame - 1]), footage.count]
    return list(pairwise(edges))


def whole_frame(footage: Footage) -> Regions:
    """All of a frame as one region."""
    return Regions(np.zeros(footage.frames.shape[1:3], dtype=np.uint8), np.ones((1, 1), dtype=bool))


def timed(footage: Footage, tube: Tube) -> str:
    """From when to when a piece is shown."""
    start, end = footage.span(tube.first, tube.end)
    return f"{start:.2f}–{end:.2f} s"


def check_video_granularity(granularity: object) -> VideoGranularity | VideoSegmenter:
    """The granularity as given, or a TypeError that lists what is accepted."""
    if isinstance(granularity, VideoGranularity) or (callable(granularity) and not isinstance(granularity, type)):
        return granularity
    raise TypeError(
        "The video granularity must be TimeSpans(seconds), Frames(), Tubes(rows, columns), WholeVideo() or a callable from "
        f"frames and their seconds to (start, end) or (start, end, mask); got {shown(granularity)}."
    )


def pieces_of(segmenter: VideoGranularity | VideoSegmenter, footage: Footage) -> Pieces:
    """The pieces that a granularity cuts out of a video.

    Raises:
        TypeError: for anything but pairs or triples.
        ValueError: for masks that do not fit the frames.
    """
    if isinstance(segmenter, VideoGranularity):
        return segmenter(footage)
    given = segmenter(footage.frames, footage.times)
    if isinstance(given, Pieces):
        return given
    each = [tuple(one) for one in given] if isinstance(given, Sequence) and all(_is_span(one) for one in given) else []
    if not each:
        raise TypeError(
            "A video granularity returns a list of (start, end) in whole frames, or of (start, end, mask); it returned "
            f"{shown(given)}."
        )
    height, width = footage.frames.shape[1:3]
    masks = [np.asarray(one[2], dtype=bool) if len(one) == 3 else np.ones((height, width), dtype=bool) for one in each]
    if any(mask.shape != (height, width) for mask in masks):
        raise ValueError(f"The masks of a video's pieces are as high and wide as its frames, ({height}, {width}).")
    tubes = tuple(Tube(int(one[0]), int(one[1]), region) for region, one in enumerate(each))
    return Pieces(tubes, Regions.of_masks(np.stack(masks)), tuple(timed(footage, tube) for tube in tubes))


def _is_span(given: Any) -> bool:
    """Whether this is a start and an end in whole frames, perhaps with a mask."""
    if not isinstance(given, (list, tuple)) or len(given) not in (2, 3):
        return False
    return all(is_number(edge) and int(edge) == edge for edge in given[:2])


def _check_seconds(what: str, seconds: int | float | None) -> None:
    if seconds is not None:
        check_positive(f"{what}: the length in seconds", seconds)
