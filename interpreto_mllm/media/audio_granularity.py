"""Where a clip is cut into segments: windows, pauses, or not at all."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Float32

from interpreto_mllm.core.shown import shown

Segments = list[tuple[int, int]]
"""Start and end (exclusive) of each segment, in samples."""

AudioSegmenter = Callable[[np.ndarray, int], Any]
"""A user's own granularity: from mono samples `Float32[s]` and their rate to `Segments`."""


class AudioGranularity(ABC):
    """What the segments of a clip are. Called with its samples and their rate, it returns the start and end of each."""

    @abstractmethod
    def __call__(self, samples: Float32[np.ndarray, "s"], rate: int) -> Segments:
        """The segments. What none of them covers is always present."""

    def labels(self, segments: Segments, rate: int) -> tuple[str, ...]:
        """Names of the segments: their times by default."""
        return timed(segments, rate)


@dataclass(frozen=True)
class Windows(AudioGranularity):
    """Windows of equal length; a remainder shorter than half a window belongs to the last one.

    The default for clips, half a second each: about one or two spoken words. They need no pauses and no transcript.

    Raises:
        ValueError: for a length that is not positive.

    Example:
        >>> import numpy as np
        >>> Windows(500)(np.zeros(1700, dtype=np.float32), 1000)
        [(0, 500), (500, 1000), (1000, 1700)]
    """

    milliseconds: int | float = 500.0

    def __post_init__(self) -> None:
        check_positive("Windows: the length in milliseconds", self.milliseconds)

    def __call__(self, samples: Float32[np.ndarray, "s"], rate: int) -> Segments:
        length = self.milliseconds * rate / 1000
        if length < 1:
            raise ValueError(f"Windows of {self.milliseconds:g} ms are shorter than a sample at {rate} per second.")
        count = max(1, int(np.floor(len(samples) / length + 0.5)))
        starts = [round(window * length) for window in range(count)]
        return list(zip(starts, [*starts[1:], len(samples)], strict=True))


@dataclass(frozen=True)
class SplitOnSilence(AudioGranularity):
    """What lies between pauses. Cuts are in the middle of each pause, so that the segments cover the clip.

    Args:
        decibels: how far below the loudest 10 ms of the clip every 10 ms of a pause must be.
        pause: the shortest pause, in milliseconds. A clip without pauses is one segment.

    Raises:
        ValueError: for a pause or a difference in loudness that is not positive.

    Example:
        >>> import numpy as np
        >>> beeps = np.repeat([1, 0, 1, 0, 1], 200).astype(np.float32)
        >>> SplitOnSilence()(beeps, 1000)
        [(0, 300), (300, 700), (700, 1000)]
    """

    decibels: int | float = 35.0
    pause: int | float = 100.0

    def __post_init__(self) -> None:
        check_positive("SplitOnSilence: decibels", self.decibels)
        check_positive("SplitOnSilence: pause", self.pause)

    def __call__(self, samples: Float32[np.ndarray, "s"], rate: int) -> Segments:
        frame = max(1, round(rate / 100))
        energies = _energies(samples, frame)
        quiet = energies < energies.max() * 10 ** (-self.decibels / 10)
        edges = np.flatnonzero(np.diff(np.concatenate([[0], quiet.astype(int), [0]])))
        cuts = [
            (start + end) * frame // 2
            for start, end in edges.reshape(-1, 2).tolist()
            if start > 0 and end < len(quiet) and (end - start) * frame * 1000 >= self.pause * rate
        ]
        return list(zip([0, *cuts], [*cuts, len(samples)], strict=True))


@dataclass(frozen=True)
class WholeClip(AudioGranularity):
    """The clip as one piece.

    Example:
        >>> import numpy as np
        >>> WholeClip()(np.zeros(5, dtype=np.float32), 1000)
        [(0, 5)]
    """

    def __call__(self, samples: Float32[np.ndarray, "s"], rate: int) -> Segments:
        return [(0, len(samples))]

    def labels(self, segments: Segments, rate: int) -> tuple[str, ...]:
        return ("clip",)


def timed(segments: Segments, rate: int) -> tuple[str, ...]:
    """Segments named by their times.

    Example:
        >>> timed([(0, 500), (500, 1250)], 1000)
        ('0.00–0.50 s', '0.50–1.25 s')
    """
    return tuple(f"{start / rate:.2f}–{end / rate:.2f} s" for start, end in segments)


def check_audio_granularity(granularity: object) -> AudioGranularity | AudioSegmenter:
    """The granularity as given, or a TypeError that lists what is accepted."""
    if isinstance(granularity, AudioGranularity) or (callable(granularity) and not isinstance(granularity, type)):
        return granularity
    raise TypeError(
        "The audio granularity must be Windows(milliseconds), SplitOnSilence(), SpokenWords([...]), WholeClip() or a callable "
        f"from samples and rate to (start, end) in samples; got {shown(granularity)}."
    )


def read_segments(given: Any) -> Segments:
    """What a granularity returned, as start and end of each segment.

    Raises:
        TypeError: for anything but pairs of whole numbers.

    Example:
        >>> read_segments(np.array([[0, 5], [5, 9]]))
        [(0, 5), (5, 9)]
    """
    try:
        pairs = [(int(start), int(end)) for start, end in given]
        whole = all((start, end) == (low, high) for (start, end), (low, high) in zip(pairs, given, strict=True))
    except (TypeError, ValueError):
        whole, pairs = False, []
    if not whole:
        raise TypeError(f"An audio granularity returns a list of (start, end), in whole samples; it returned {shown(given)}.")
    return pairs


def _energies(samples: Float32[np.ndarray, "s"], frame: int) -> Float[np.ndarray, "frames"]:
    """Mean square of each frame; the last may be shorter."""
    starts = np.arange(0, len(samples), frame)
    sizes = np.diff(np.append(starts, len(samples)))
    return np.add.reduceat(samples.astype(np.float64) ** 2, starts) / sizes


def check_positive(what: str, value: int | float) -> None:
    if not 0 < value < float("inf"):
        raise ValueError(f"{what} must be a positive number; got {value!r}.")
