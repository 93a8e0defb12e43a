"""Reads videos: files through PyAV, arrays, and lists of frames."""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import UInt8

from interpreto_mllm.core.numbers import is_number, is_whole
from interpreto_mllm.core.shown import shown
from interpreto_mllm.media.decoding import Recording
from interpreto_mllm.media.files import content_of, local_path
from interpreto_mllm.media.footage import Footage
from interpreto_mllm.media.pixels import read_image

logger = logging.getLogger(__name__)

ASSUMED_RATE = 24.0
"""Frames per second of frames without times, as processors of transformers assume."""

JITTER = 0.05
"""By so many seconds frames may be off a steady rate."""

FILES = ("video", "url", "path", "bytes", "data")
"""Keys of a mapping under which a file comes."""

KEYS = ("frames", "array", *FILES, "fps", "times", "num_frames")


@dataclass(frozen=True)
class Wish:
    """How many frames a user wants to be shown.

    Args:
        frames: so many; None where it is not said.
        rate: so many per second; None where it is not said.
    """

    frames: int | None = None
    rate: float | None = None


Sampler = Callable[[dict[str, Any], Wish], tuple[Sequence[int], str]]
"""From what is known of a recording (`Footage.metadata`) and a wish to the frames that are shown, and why these."""


@dataclass(frozen=True)
class ReadVideo:
    """Frames as they were read, and what their reader must know of them."""

    footage: Footage
    notes: tuple[str, ...] = ()


def read_video(given: Any, sample: Sampler) -> ReadVideo:
    """The frames of a video that are shown to a model.

    Args:
        given: a video file as a path, `file://` address, bytes, open file, data URL or base64; an array or tensor of shape `t h
            w c` or `t c h w`; a list of images, or of pairs (image, seconds); or a mapping with "frames" and their "times" or
            "fps", or with a file as "path" and perhaps "fps" or "num_frames" to be shown.
        sample: chooses the frames of a file that are shown. Frames that are given are all shown, unless "num_frames" says
            otherwise.

    Raises:
        FileNotFoundError: when there is no such file.
        ImportError: without PyAV, for a file.
        TypeError: for something that is no video.
        ValueError: for a file that is no video, has no frames or cannot be decoded, and for frames or times that cannot be
            right.
    """
    settings: Mapping[str, Any] = given if isinstance(given, Mapping) else {}
    if isinstance(given, Mapping):
        strange = [key for key in given if key not in KEYS]
        content = next((given[key] for key in KEYS[: -len(("fps", "times", "num_frames"))] if given.get(key) is not None), None)
        if strange or content is None:
            raise ValueError(
                'A video as a mapping is {"frames": ..., "times": ...} or {"path": ...}, perhaps with "fps" or "num_frames"; '
                f"this one has {shown([*given])}."
            )
        if isinstance(content, Mapping):  # as protocols of servers wrap addresses
            return read_video({**settings, **dict.fromkeys(FILES), **content}, sample)
        given = content
    wish = _wish(settings)
    file, name = content_of(given, "video"), "The video"
    if file is None and isinstance(given, (str, os.PathLike)):
        path = local_path(given, "video")
        file, name = str(path), str(path)
    if file is not None:
        if settings.get("times") is not None:
            raise ValueError("A video file has times of its own: leave 'times' out.")
        return _of_file(io.BytesIO(file) if isinstance(file, bytes) else file, name, wish, sample)
    footage, notes = _of_frames(given, settings)
    if wish.frames is None:
        return ReadVideo(footage, notes)
    chosen, why = sample(footage.metadata, Wish(wish.frames))
    return ReadVideo(_chosen(footage, chosen), (*notes, *_said(len(chosen), footage.count, why)))


def _of_file(file: Any, name: str, wish: Wish, sample: Sampler) -> ReadVideo:
    with Recording.opened(file, name) as recording:
        total, rate = recording.total, recording.rate
        while True:
            metadata = {
                "total_num_frames": total,
                "fps": rate,
                "duration": total / rate,
                "frames_indices": list(range(total)),
                "height": recording.height,
                "width": recording.width,
                "video_backend": "pyav",
            }
            chosen, why = sample(metadata, wish)
            frames, times, found = recording.frames(chosen)
            if len(frames) == len(chosen):
                break
            total = recording.checked(found, total)
    told = [index / rate for index in chosen]
    steady = np.allclose(times, told, rtol=0, atol=min(0.5 / rate, JITTER))
    footage = Footage(frames, tuple(chosen), rate, total) if steady else Footage.timed(frames, times)
    uneven = () if steady else ("its frames are not at equal distances: their own times are used",)
    return ReadVideo(footage, (*_said(len(chosen), total, why), *uneven))


def _said(count: int, total: int, why: str) -> tuple[str, ...]:
    """A note on how many frames are shown."""
    note = f"{count} of its {total} frames are shown, {why}" if count < total else f"all its {total} frames are shown, {why}"
    return (note,) if why else ()


def _wish(settings: Mapping[str, Any]) -> Wish:
    """What a mapping says of how many frames are shown, or of their rate.

    Raises:
        ValueError: for numbers that cannot be.
    """
    frames, rate = settings.get("num_frames"), settings.get("fps")
    if frames is not None and (not is_whole(frames) or frames < 1):
        raise ValueError(f"num_frames of a video is a whole number of at least 1; got {shown(frames)}.")
    if rate is not None and (not is_number(rate) or not 0 < rate < float("inf")):
        raise ValueError(f"fps of a video is a positive number of frames per second; got {shown(rate)}.")
    if frames is not None and rate is not None and settings.get("frames") is None and settings.get("array") is None:
        raise ValueError("Give num_frames or fps of a video file, not both: each says how many of its frames are shown.")
    return Wish(None if frames is None else int(frames), None if rate is None else float(rate))


def _of_frames(given: Any, settings: Mapping[str, Any]) -> tuple[Footage, tuple[str, ...]]:
    """Frames that were given, with their times."""
    times, rate = settings.get("times"), settings.get("fps")
    if isinstance(given, (list, tuple)) and given and all(_is_pair(one) for one in given):
        if times is not None or rate is not None:
            raise ValueError("Each frame of the video comes with its seconds: leave 'times' and 'fps' out.")
        given, times = [frame for frame, _ in given], [seconds for _, seconds in given]
    frames = _pixels(given)
    if times is not None and rate is not None:
        raise ValueError("Give 'times' or 'fps' of a video's frames, not both.")
    if times is not None:
        return Footage.timed(frames, _times(times, len(frames))), ()
    if rate is not None:
        return Footage.steady(frames, float(rate)), ()
    note = (
        f"its frames came without times: {ASSUMED_RATE:g} frames per second are assumed, as transformers does; "
        '{"frames": ..., "fps": ...} says how fast they are'
    )
    logger.warning("A video: %s.", note)
    return Footage.steady(frames, ASSUMED_RATE), (note,)


def _is_pair(given: Any) -> bool:
    """Whether this is a frame and its seconds."""
    return isinstance(given, (list, tuple)) and len(given) == 2 and is_number(given[1])


def _times(given: Any, count: int) -> list[float]:
    """The seconds of frames.

    Raises:
        ValueError: unless there is one for each frame, and they rise from 0 or later.
    """
    times = [float(time) for time in np.asarray(given, dtype=np.float64).reshape(-1)]
    rising = all(low < high for low, high in pairwise(times)) and all(0 <= time < float("inf") for time in times)
    if len(times) != count or not rising:
        raise ValueError(
            f"The times of a video are a number of seconds for each of its {count} frames, each later than the one before; "
            f"got {shown(times)}."
        )
    return times


def _pixels(given: Any) -> UInt8[np.ndarray, "frames height width 3"]:
    """Frames as pixels, all of one size."""
    if hasattr(given, "ndim") and given.ndim != 4:
        shape = tuple(given.shape)
        hint = ": one frame is frames[None]" if given.ndim == 3 else ""
        raise ValueError(f"The frames of a video have the shape (t, h, w, c) or (t, c, h, w); got {shape}{hint}.")
    if not hasattr(given, "ndim") and not isinstance(given, (list, tuple)):
        raise TypeError(
            f"Cannot read a video from {type(given).__name__}: give a file as a path, bytes, an open file, a data URL or "
            'base64, an array of frames, a list of images or of (image, seconds), or {"frames": ..., "times": ...}.'
        )
    if not len(given):
        raise ValueError("The video has no frames.")
    frames = [np.asarray(read_image(frame)) for frame in given]
    sizes = sorted({(frame.shape[1], frame.shape[0]) for frame in frames})
    if len(sizes) > 1:
        raise ValueError(f"The frames of a video have one size; these are {shown(sizes)} wide and high.")
    return np.stack(frames)


def _chosen(footage: Footage, chosen: Sequence[int]) -> Footage:
    """Some of the frames, at their times."""
    absent = set(range(footage.count)) - {int(frame) for frame in chosen}
    return footage.without(sorted(absent), closed=False) if absent else footage
