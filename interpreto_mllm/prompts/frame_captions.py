"""What a processor writes around the frames of a video, such as their times, found in an encoding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import regex

from interpreto_mllm.prompts.granularity import Span

TRIED = (4, 6)
"""Frames of the blank videos that are looked at; what differs between them depends on the number of frames."""

NUMBER, COUNT = r"\d[\d.:]*", r"[\w:. -]+?"
"""A number or a time, and the number of frames or a length, in figures or in words."""


@dataclass(frozen=True)
class FrameCaptions:
    """Patterns of what is written before the first frame of a video, between two frames, and after the last.

    Example:
        >>> captions = FrameCaptions.of([["Two frames: 1: ", " 2: ", " end"], ["Three frames: 1: ", " 2: ", " 3: ", " end"]])
        >>> text = "Look! Nine frames: 1: <i> 7: <i> end Why?"
        >>> [text[slice(*gap)] for gap in captions.without(text, [(0, 22), (25, 29), (32, 41)])]
        ['Look!', ' Why?']
    """

    before: regex.Pattern[str]
    between: regex.Pattern[str]
    after: regex.Pattern[str]

    @classmethod
    def of(cls, written: Sequence[Sequence[str]]) -> FrameCaptions:
        """From what is written around the frames of several videos: the first text, those in between, the last."""
        known = [texts for texts in written if len(texts) > 1]
        inner = {_pattern(text, text) for texts in known for text in texts[1:-1] if text.strip()}
        first, last = ([texts[place] for texts in known] or [""] for place in (0, -1))
        before, after = (_pattern(one[0], one[-1]) for one in (first, last))
        return cls(*map(regex.compile, (rf"(?:{before})\s*\Z", "|".join(sorted(inner)) or r"\A(?!)", rf"\s*{after}")))

    def without(self, text: str, gaps: Sequence[Span]) -> list[Span]:
        """The texts between images and frames less what belongs to frames.

        Args:
            text: all of it.
            gaps: before the first image or frame, between two, after the last.
        """
        left = []
        for number, (start, end) in enumerate(gaps):
            within = text[start:end]
            if 0 < number < len(gaps) - 1 and self.between.fullmatch(within.strip()):
                continue
            if number < len(gaps) - 1 and (found := self.before.search(within)):
                end = start + found.start()
            if number and (found := self.after.match(text[start:end])):
                start += found.end()
            left.append((start, end))
        return left


def _pattern(one: str, other: str) -> str:
    """What fits two texts that differ in some words, and others like them with other numbers."""
    if len(one.split()) != len(other.split()):
        other = one
    pairs = zip(one.split(), other.split(), strict=True)
    words = [COUNT if mine != theirs and not any(map(str.isdigit, mine)) else _numbers(mine) for mine, theirs in pairs]
    return r"\s+".join(words)


def _numbers(word: str) -> str:
    """A word with any numbers in place of its own."""
    return NUMBER.join(map(regex.escape, regex.split(r"\d[\d.:]*\d|\d", word)))
