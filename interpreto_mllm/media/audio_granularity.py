"""Where a clip is cut into segments: windows, pauses, words, or not at all."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Float32

from interpreto_mllm.media.flux import sharpest

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
        _positive("Windows: the length in milliseconds", self.milliseconds)

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
        _positive("SplitOnSilence: decibels", self.decibels)
        _positive("SplitOnSilence: pause", self.pause)

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
class SpokenWords(AudioGranularity):
    """Words at their times, as a transcriber or a forced aligner gives them. What lies between words is always present.

    Args:
        words: (text, start, end) of each word in order, in seconds.
        refine: move each boundary to where the spectrum changes most within `reach`. Timestamps are often off by tens of
            milliseconds, and a boundary within a vowel gives half of it to the wrong word. The change is the spectral flux
            between the 20 ms before and after; words that touch keep touching, and no boundary moves past another.
        reach: how far a boundary may move, in milliseconds.

    Raises:
        ValueError: for words out of order, empty ones, or ones that end more than 0.1 s after the clip.

    Example:
        >>> import numpy as np
        >>> tones = np.sin(np.arange(8000) * np.repeat([0.2, 0.9], 4000)).astype(np.float32)
        >>> SpokenWords([("low", 0.0, 0.48), ("high", 0.48, 1.0)])(tones, 8000)
        [(0, 3840), (3840, 8000)]
        >>> [(_, boundary), _] = SpokenWords([("low", 0.0, 0.48), ("high", 0.48, 1.0)], refine=True)(tones, 8000)
        >>> abs(boundary - 4000) <= 8
        True
    """

    words: tuple[tuple[str, float, float], ...]
    refine: bool = False
    reach: int | float = 50.0

    def __init__(self, words: Sequence[tuple[str, float, float]], *, refine: bool = False, reach: int | float = 50.0):
        read = tuple((str(text), float(start), float(end)) for text, start, end in words)
        if not read:
            raise ValueError("SpokenWords: there are no words; give at least one (text, start, end), in seconds.")
        previous = 0.0
        for text, start, end in read:
            if not previous <= start < end:
                raise ValueError(
                    f"SpokenWords: {text!r} from {start:g} to {end:g} s is empty or starts before the previous word ends, at "
                    f"{previous:g} s; give (text, start, end) in seconds and in order."
                )
            previous = end
        _positive("SpokenWords: reach", reach)
        for name, value in (("words", read), ("refine", refine), ("reach", float(reach))):
            object.__setattr__(self, name, value)

    def __call__(self, samples: Float32[np.ndarray, "s"], rate: int) -> Segments:
        text, _, last = self.words[-1]
        if last > len(samples) / rate + 0.1:
            raise ValueError(f"SpokenWords: {text!r} ends at {last:g} s, but the clip is {len(samples) / rate:g} s long.")
        given = [(min(round(start * rate), len(samples)), min(round(end * rate), len(samples))) for _, start, end in self.words]
        if not self.refine:
            return given
        edges = sorted({edge for segment in given for edge in segment})
        moved = dict(zip(edges, sharpest(samples, rate, edges, self.reach), strict=True))
        return [(moved[start], moved[end]) for start, end in given]

    def labels(self, segments: Segments, rate: int) -> tuple[str, ...]:
        return tuple(text for text, _, _ in self.words)


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
        f"from samples and rate to (start, end) in samples; got {granularity!r}."
    )


def _energies(samples: Float32[np.ndarray, "s"], frame: int) -> Float[np.ndarray, "frames"]:
    """Mean square of each frame; the last may be shorter."""
    starts = np.arange(0, len(samples), frame)
    sizes = np.diff(np.append(starts, len(samples)))
    return np.add.reduceat(samples.astype(np.float64) ** 2, starts) / sizes


def _positive(what: str, value: int | float) -> None:
    if not 0 < value < float("inf"):
        raise ValueError(f"{what} must be a positive number; got {value!r}.")
