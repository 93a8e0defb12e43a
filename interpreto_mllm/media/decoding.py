"""Video files, decoded by PyAV as far as frames of them are wanted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from jaxtyping import UInt8

from interpreto_mllm.core.optional import optional

SLACK = 2
"""By so many frames headers may be wrong about how many there are."""


MICROSECONDS = 1_000_000
"""In which FFmpeg counts the length of a file."""


class Recording:
    """An open video file.

    Args:
        container: as PyAV opened it.
        stream: its video.
        name: of the file, for errors.
    """

    def __init__(self, container: Any, stream: Any, name: str):
        self.container, self.stream, self.name = container, stream, name
        self._begun = False
        self.rate = float(stream.average_rate or stream.guessed_rate or 24.0)
        self.height, self.width = stream.codec_context.height, stream.codec_context.width
        self.total = stream.frames or self._counted()

    @classmethod
    @contextmanager
    def opened(cls, file: Any, name: str) -> Iterator[Recording]:
        """A file while it is read.

        Raises:
            ImportError: without PyAV.
            ValueError: for a file that is no video, has no frames, or is in a format without a decoder.
        """
        av = optional("av", "Reading a video file", "video")
        try:
            container = av.open(file)
        except (av.error.FFmpegError, OSError) as error:
            raise ValueError(f"{name} is not a video that can be read: {_reason(error)}.") from error
        with container:
            yield cls(container, _video_of(container, name), name)

    def frames(self, wanted: Sequence[int]) -> tuple[UInt8[np.ndarray, "frames height width 3"], list[float], int]:
        """The wanted frames that there are, their seconds, and how many frames were decoded to get them."""
        each, times, count, chosen = [], [], 0, set(map(int, wanted))
        start = None
        for frame in self._decoded():
            seconds = float(frame.pts * frame.time_base) if frame.pts is not None else count / self.rate
            start = seconds if start is None else start
            if count in chosen:
                each.append(frame.to_ndarray(format="rgb24"))
                times.append(seconds - start)
            count += 1
            if count > max(chosen):
                break
        if not count:
            raise ValueError(f"{self.name} is a video without frames.")
        return np.stack(each), times, count

    def checked(self, found: int, announced: int) -> int:
        """How many frames there are, where there are fewer than the header says.

        Raises:
            ValueError: where a part of the video is missing.
        """
        if found < announced - max(SLACK, announced // 50):
            raise ValueError(
                f"{self.name} was cut off: {found} of its {announced} frames are there. Give the whole file, or what is left "
                "of it as frames."
            )
        return found

    def _counted(self) -> int:
        """How many frames a file holds whose header does not say."""
        count = sum(1 for _ in self._decoded())
        if not count:
            raise ValueError(f"{self.name} is a video without frames.")
        if self.container.duration:
            self.checked(count, round(self.container.duration / MICROSECONDS * self.rate))
        return count

    def _decoded(self) -> Iterator[Any]:
        """All frames from the first on."""
        av = optional("av", "Reading a video file", "video")
        try:
            if self._begun:
                self.container.seek(0)
            self._begun = True
            yield from self.container.decode(self.stream)
        except av.error.EOFError:
            return
        except (av.error.FFmpegError, OSError) as error:
            raise ValueError(f"{self.name} cannot be decoded: {_reason(error)}.") from error


def _video_of(container: Any, name: str) -> Any:
    """The video in a file."""
    if not container.streams.video:
        kinds = " and ".join(sorted({stream.type for stream in container.streams}))
        raise ValueError(f"{name} holds no video, only {kinds}." if kinds else f"{name} holds nothing that PyAV can decode.")
    stream = container.streams.video[0]
    if stream.codec_context is None:
        raise ValueError(
            f"{name} is in a format that PyAV has no decoder for: convert it, as with ffmpeg -i in.mp4 -c:v libx264 out.mp4."
        )
    stream.thread_type = "AUTO"
    return stream


def _reason(error: Exception) -> str:
    """What FFmpeg says, without its number."""
    return str(getattr(error, "strerror", None) or error).rstrip(".")
