"""The frames of a video side by side, as one image."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int, Int64

from interpreto_mllm.media import Video

if TYPE_CHECKING:
    import PIL.Image

MOST_FRAMES = 24
"""Of a video with more frames, some at equal distances are shown."""

PER_LINE = 8

LARGEST_SIDE = 144
"""Larger frames are shown at this size, in pixels of the longer side."""

GAP = 3
"""Between frames, in pixels."""


def strip(video: Video) -> tuple[PIL.Image.Image, Int[np.ndarray, "height width"]]:
    """The frames in lines, and the area of each pixel, as numbered in `video.areas`; the gaps have the number after the last.

    Example:
        >>> from interpreto_mllm.media import Frames
        >>> image, areas = strip(Video.of({"frames": np.zeros((2, 2, 4, 3)), "fps": 1}, Frames()))
        >>> image.size, areas[0].tolist()
        ((11, 2), [0, 0, 0, 0, 2, 2, 2, 1, 1, 1, 1])
    """
    from PIL import Image

    footage, regions = video.footage, video.regions
    height, width = footage.frames.shape[1:3]
    scale = min(1.0, LARGEST_SIDE / max(height, width))
    high, wide = max(1, round(height * scale)), max(1, round(width * scale))
    shown = shown_frames(footage.count)
    columns = min(PER_LINE, len(shown))
    lines = math.ceil(len(shown) / columns)
    image = Image.new("RGB", (columns * (wide + GAP) - GAP, lines * (high + GAP) - GAP), "white")
    areas = np.full((image.height, image.width), len(video.areas), dtype=np.int64)
    small = regions.resized(wide, high)
    for place, frame in enumerate(shown):
        top, left = (high + GAP) * (place // columns), (wide + GAP) * (place % columns)
        image.paste(Image.fromarray(footage.frames[frame]).resize((wide, high)), (left, top))
        areas[top : top + high, left : left + wide] = _numbers(video, frame, small.cover)[small.area]
    return image, areas


def shown_frames(count: int) -> list[int]:
    """The frames that are shown of so many.

    Example:
        >>> shown_frames(3), len(shown_frames(100))
        ([0, 1, 2], 24)
    """
    return np.linspace(0, count - 1, min(count, MOST_FRAMES)).round().astype(int).tolist()


def _numbers(video: Video, frame: int, cover: np.ndarray) -> Int64[np.ndarray, "areas"]:
    """The number in `video.areas` of each area of a frame, whose cover may come in another order."""
    numbers = {}
    for number, (first, end, area, _) in enumerate(video.areas):
        if first <= frame < end:
            numbers[video.regions.cover[area].tobytes()] = number
    return np.array([numbers[row.tobytes()] for row in cover])
