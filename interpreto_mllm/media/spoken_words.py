"""A clip cut into the words that are spoken in it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32

from interpreto_mllm.core.shown import shown
from interpreto_mllm.media.audio_granularity import AudioGranularity, Segments, check_positive
from interpreto_mllm.media.flux import sharpest

Times = tuple[str, float | None, float | None]
"""A word, and when it starts and ends."""


@dataclass(frozen=True)
class SpokenWords(AudioGranularity):
    """Words at their times, as a transcriber or a forced aligner gives them. What lies between words is always present.

    Args:
        words: (text, start, end) of each word in order, in seconds, or what the speech recognition pipeline of transformers
            gives: {"text": ..., "timestamp": (start, end)}. A start that is None is the end of the word before it; an end
            that is None is the start of the next word, or the end of the clip.
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

    words: tuple[tuple[str, float, float | None], ...]
    refine: bool = False
    reach: int | float = 50.0

    def __init__(self, words: Sequence[Any], *, refine: bool = False, reach: int | float = 50.0):
        read = _closed([_word(word) for word in words])
        if not read:
            raise ValueError("SpokenWords: there are no words; give at least one (text, start, end), in seconds.")
        previous = 0.0
        for text, start, end in read:
            if not previous <= start < (math.inf if end is None else end):
                raise ValueError(
                    f"SpokenWords: {text!r} from {start:g} to {'the end' if end is None else f'{end:g} s'} is empty or starts "
                    f"before the previous word ends, at {previous:g} s; give (text, start, end) in seconds and in order."
                )
            previous = math.inf if end is None else end
        check_positive("SpokenWords: reach", reach)
        for name, value in (("words", read), ("refine", bool(refine)), ("reach", float(reach))):
            object.__setattr__(self, name, value)

    def __call__(self, samples: Float32[np.ndarray, "s"], rate: int) -> Segments:
        seconds = len(samples) / rate
        text, first, last = self.words[-1]
        limit, verb = (last, "ends") if last is not None else (first, "begins")
        if limit > seconds + 0.1 or first >= seconds:
            raise ValueError(f"SpokenWords: {text!r} {verb} at {limit:g} s, but the clip is {seconds:g} s long.")
        times = [(start, seconds if end is None else end) for _, start, end in self.words]
        given = [(min(round(start * rate), len(samples)), min(round(end * rate), len(samples))) for start, end in times]
        if not self.refine:
            return given
        edges = sorted({edge for segment in given for edge in segment})
        moved = dict(zip(edges, sharpest(samples, rate, edges, self.reach), strict=True))
        return [(moved[start], moved[end]) for start, end in given]

    def labels(self, segments: Segments, rate: int) -> tuple[str, ...]:
        return tuple(text for text, _, _ in self.words)


def _word(given: Any) -> Times:
    """A word as a transcriber gives it.

    Raises:
        ValueError: for something else.
    """
    parts: Any = given
    if isinstance(given, Mapping):
        text = given.get("text", given.get("word"))
        times = given.get("timestamp", (given.get("start"), given.get("end")))
        parts = (text, *times) if isinstance(times, (tuple, list)) else ()
    try:
        text, start, end = parts
        return str(text), None if start is None else float(start), None if end is None else float(end)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f'SpokenWords: {shown(given)} is no word; a word is (text, start, end) in seconds, or {{"text": ..., "timestamp": '
            "(start, end)}."
        ) from error


def _closed(words: Sequence[Times]) -> tuple[tuple[str, float, float | None], ...]:
    """The words with every start, and every end but perhaps the last."""
    closed: list[tuple[str, float, float | None]] = []
    for index, (text, start, end) in enumerate(words):
        begins = start if start is not None else (closed[-1][2] or 0.0) if closed else 0.0
        following = words[index + 1][1] if index + 1 < len(words) else None
        closed.append((text, begins, end if end is not None else following))
    return tuple(closed)
