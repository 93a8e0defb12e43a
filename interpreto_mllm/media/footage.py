"""Frames of a video, and when they are shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import UInt8

MILLISECONDS = 1000.0
"""Frames per second that times without a steady rate are written in."""

Span = tuple[float, float]


@dataclass(frozen=True, eq=False)
class Footage:
    """Some frames of a recording.

    Args:
        frames: their pixels, RGB.
        indices: their numbers in the recording, in order.
        rate: frames per second of the recording.
        total: frames of the recording.

    Example:
        >>> footage = Footage.timed(np.zeros((3, 2, 2, 3), dtype=np.uint8), (0.0, 0.5, 2.0))
        >>> footage.times, footage.seconds, footage.span(1)
        ((0.0, 0.5, 2.0), 3.0, (0.5, 2.0))
    """

    frames: UInt8[np.ndarray, "frames height width 3"]
    indices: tuple[int, ...]
    rate: float
    total: int

    @classmethod
    def steady(cls, frames: UInt8[np.ndarray, "frames height width 3"], rate: float) -> Footage:
        """All frames of a recording at a steady rate."""
        return cls(frames, tuple(range(len(frames))), rate, len(frames))

    @classmethod
    def timed(cls, frames: UInt8[np.ndarray, "frames height width 3"], times: Sequence[float]) -> Footage:
        """Frames at these seconds; the last is shown for as long as the frames before on average."""
        step = (times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else 1.0
        if np.allclose(times, np.arange(len(times)) * step, rtol=0, atol=1e-6):
            return cls.steady(frames, 1 / step)
        indices = tuple(round(time * MILLISECONDS) for time in times)
        return cls(frames, indices, MILLISECONDS, indices[-1] + max(1, round(step * MILLISECONDS)))

    @property
    def count(self) -> int:
        """How many frames there are."""
        return len(self.frames)

    @cached_property
    def times(self) -> tuple[float, ...]:
        """When each frame begins, in seconds."""
        return tuple(index / self.rate for index in self.indices)

    @property
    def seconds(self) -> float:
        """The length of the recording."""
        return self.total / self.rate

    def span(self, first: int, end: int | None = None) -> Span:
        """From when to when some frames are shown: from one up to before another, or one alone."""
        end = first + 1 if end is None else end
        return self.times[first], self.times[end] if end < self.count else max(self.seconds, self.times[-1])

    @property
    def size(self) -> tuple[Any, ...]:
        """What decides how many tokens it takes, and which times are written between them."""
        return self.frames.shape, self.indices, self.rate, self.total

    def with_frames(self, frames: UInt8[np.ndarray, "frames height width 3"]) -> Footage:
        """Other pixels at the same times."""
        return replace(self, frames=frames)

    def without(self, absent: Sequence[int], closed: bool) -> Footage:
        """Without some frames.

        Args:
            absent: the numbers of the frames here that are left out.
            closed: whether what follows moves together, as in a recording that lacks them; else every frame keeps its time.
        """
        kept = [frame for frame in range(self.count) if frame not in set(absent)]
        frames = np.ascontiguousarray(self.frames[kept])
        if not closed:
            return replace(self, frames=frames, indices=tuple(self.indices[frame] for frame in kept))
        total = max(1, round(self.total * len(kept) / self.count))
        return replace(
            self, frames=frames, indices=self.indices[: len(kept)], total=max(total, self.indices[len(kept) - 1] + 1)
        )

    def padded(self, count: int) -> Footage:
        """With its last frame repeated until there are so many."""
        more = count - self.count
        if more <= 0:
            return self
        frames = np.concatenate([self.frames, np.repeat(self.frames[-1:], more, axis=0)])
        return replace(self, frames=frames, indices=(*self.indices, *[self.indices[-1]] * more))

    @property
    def metadata(self) -> dict[str, Any]:
        """What processors of transformers are told about it."""
        height, width = self.frames.shape[1:3]
        return {
            "total_num_frames": self.total,
            "fps": self.rate,
            "duration": self.seconds,
            "frames_indices": list(self.indices),
            "height": height,
            "width": width,
            "video_backend": None,
        }
