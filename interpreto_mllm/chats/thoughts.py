"""Thoughts of earlier turns: in fields of messages, or between the marks that models write around them."""

from __future__ import annotations

from collections.abc import Sequence

import regex

from interpreto_mllm.chats.parts import Part
from interpreto_mllm.chats.places import Place, Span

MARKED = regex.compile(
    r"(?:<(?P<tag>(?:\w+:)?\w*(?:think|thinking|thoughts?|reasoning))>|\[(?P<word>\w*THINK(?:ING)?)\]|<\|(?:START_THINKING)\|>)"
    r"(?P<thought>.*?)(?:</(?P=tag)>|\[/(?P=word)\]|<\|END_THINKING\|>)",
    regex.DOTALL,
)
THOUGHTS = ("reasoning_content", "reasoning", "thinking")
"""The fields of messages that hold thoughts."""

WRITERS = ("assistant", "model")


def told_apart(places: Sequence[Place], parts: Sequence[Part]) -> list[tuple[Place, bool]]:
    """The places of texts, cut at the marks around thoughts, and whether each is of thoughts. Marks are in none of them."""
    made: list[tuple[Place, bool]] = []
    for place in places:
        low, high = place.within
        for (start, end), thinks in _stretches(parts[place.text]):
            first, last = max(start, low), min(end, high)
            if first < last:
                made.append((Place(place.text, (first, last), place.starts[first - low : last - low + 1]), thinks))
    return made


def _stretches(part: Part) -> list[tuple[Span, bool]]:
    """The stretches of a text without the marks in it, and whether each is of thoughts."""
    said = part.role in WRITERS and part.path[2:3] == ("content",)
    stretches: list[tuple[Span, bool]] = []
    reached = 0
    for found in MARKED.finditer(part.content) if said else ():
        stretches += [((reached, found.start()), False), (found.span("thought"), True)]
        reached = found.end()
    return [*stretches, ((reached, len(part.content)), False)]
