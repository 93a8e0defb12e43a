"""Which features of a prompt truly caused its answer, where that is known."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from interpreto_mllm.core.feature import Feature
from interpreto_mllm.testbed import Word

Box = Sequence[int]
Time = Sequence[float]


@dataclass(frozen=True)
class Causes:
    """Whether a feature is one of the causes, or holds one, whatever the granularity.

    A word of a plain prompt is found by its characters, one of a chat by its text within its message. A region or a stretch of
    sound is a cause if it shares half of itself with one, or holds half of one.

    Args:
        words: of the prompt.
        texts: further words or phrases, wherever they are.
        boxes: regions of the image: left, top, right and bottom in pixels.
        times: stretches of the clip: start and end in seconds.

    Example:
        >>> causes = Causes(words=(Word("red", (13, 16)),), boxes=((0, 0, 10, 10),))
        >>> causes(Feature("red", spans=((13, 16),))), causes(Feature("red", spans=((30, 33),)))
        (True, False)
        >>> causes(Feature("patch", modality="image", box=(0, 0, 10, 5)))
        True
    """

    words: tuple[Word, ...] = ()
    texts: tuple[str, ...] = ()
    boxes: tuple[Box, ...] = ()
    times: tuple[Time, ...] = ()

    def __call__(self, feature: Feature) -> bool:
        if feature.box is not None:
            return any(_shares_half(feature.box, box) for box in self.boxes)
        if feature.time is not None:
            return any(_half(_common(feature.time, time), feature.time, time) for time in self.times)
        return any(_is_word(feature, word) for word in self.words) or any(_holds(feature.text, text) for text in self.texts)


def _is_word(feature: Feature, word: Word) -> bool:
    if feature.turn is None and word.turn is None and feature.spans:
        return any(start < word.span[1] and word.span[0] < end for start, end in feature.spans)
    return word.turn in (None, feature.turn) and _holds(feature.text, word.text)


def _holds(text: str, part: str) -> bool:
    """Whether a text holds another one as whole words, case aside."""
    words, wanted = text.lower().split(), part.lower().split()
    starts: Collection[int] = range(len(words) - len(wanted) + 1)
    return bool(wanted) and any(words[start : start + len(wanted)] == wanted for start in starts)


def _shares_half(one: Box, other: Box) -> bool:
    width, height = _common(one[::2], other[::2]), _common(one[1::2], other[1::2])
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return width > 0 and height > 0 and 2 * width * height >= min(areas)


def _common(one: Sequence[int | float], other: Sequence[int | float]) -> int | float:
    return min(one[1], other[1]) - max(one[0], other[0])


def _half(common: int | float, one: Time, other: Time) -> bool:
    return common > 0 and 2 * common >= min(one[1] - one[0], other[1] - other[0])
