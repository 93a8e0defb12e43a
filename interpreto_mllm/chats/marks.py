"""Texts whose characters can be told apart after a template has written them, whatever it does with them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import regex

PLANES = ((0xF0000, 0xFFFFE), (0x100000, 0x10FFFE))
"""Code points for private use: no template writes them, strips them, or asks for them."""

CAPACITY = sum(end - start for start, end in PLANES)
"""How many characters can be marked at once."""

KEPT = regex.compile(r"<[^<>\s]{1,60}>|(?<!\S)/[a-z_]+|\[/?[A-Z_]{2,40}\]|[\x00-\x2f\x3a-\x40\x5b-\x60\x7b-\x7f\s]")
"""What stays as it is, as templates look for it, escape or strip it: tags, commands, ASCII punctuation and white space."""

Origin = tuple[int, int]
"""The index of a text, and the index of a character in it."""


@dataclass(frozen=True)
class Marked:
    """Texts with marks in place of most characters.

    Args:
        texts: with marks, each as long as its original.
        origins: where each mark stands.
    """

    texts: list[str]
    origins: dict[str, Origin]

    @classmethod
    def of(cls, texts: Sequence[str], chosen: Collection[int], ends: bool = False) -> Marked:
        """Mark the chosen ones; no more than `CAPACITY` characters. With `ends` the first and the last of each alone.

        Example:
            >>> marked = Marked.of(["a <b>", "c"], [0])
            >>> len(marked.texts[0]), marked.texts[0][1:], marked.texts[1], list(marked.origins.values())
            (5, ' <b>', 'c', [(0, 0)])
        """
        codes = (chr(code) for start, end in PLANES for code in range(start, end))
        made, origins = list(texts), {}
        for index in chosen:
            characters = list(texts[index])
            places = markable(texts[index])
            for place in dict.fromkeys((*places[:1], *places[-1:])) if ends else places:
                origins[code := next(codes)] = (index, place)
                characters[place] = code
            made[index] = "".join(characters)
        return cls(made, origins)

    def found(self, rendered: str) -> dict[int, Origin]:
        """The places in a rendering where there are marks, and what stands there."""
        return {place: self.origins[code] for place, code in enumerate(rendered) if code in self.origins}


def markable(text: str) -> list[int]:
    """The characters of a text that are marked: all but those that stay as they are; all visible ones if no other is left."""
    kept = {place for found in KEPT.finditer(text) for place in range(*found.span())}
    left = [place for place in range(len(text)) if place not in kept]
    return left or [place for place, character in enumerate(text) if not character.isspace()]


def chunks(texts: Sequence[str]) -> Iterator[list[int]]:
    """The indices of texts in runs that can be marked at once.

    Raises:
        ValueError: for a single text that is too long.
    """
    chunk: list[int] = []
    room = CAPACITY
    for index, text in enumerate(texts):
        if len(text) > room and chunk:
            yield chunk
            chunk, room = [], CAPACITY
        if len(text) > room:
            raise ValueError(
                f"A text of the chat has {len(text):,} characters, more than the {CAPACITY:,} that can be followed through a "
                "chat template: split it into parts of its message."
            )
        chunk.append(index)
        room -= len(text)
    if chunk:
        yield chunk


def equal(texts: Sequence[str], chosen: Sequence[int]) -> list[list[int]]:
    """The chosen texts in groups of equal ones, which templates may compare.

    Example:
        >>> equal(["a", "b", "a"], [0, 1, 2])
        [[0, 2], [1]]
    """
    groups: dict[str, list[int]] = {}
    for index in chosen:
        groups.setdefault(texts[index], []).append(index)
    return list(groups.values())


def dealt(found: Mapping[int, Origin], group: Sequence[int]) -> dict[int, Origin]:
    """What is known of equal texts that are marked alike, dealt out to them in the order of the rendering.

    Example:
        >>> dealt({3: (0, 0), 4: (0, 1), 7: (0, 0), 8: (0, 1)}, [0, 2])
        {3: (0, 0), 4: (0, 1), 7: (2, 0), 8: (2, 1)}
    """
    runs: list[list[tuple[int, int]]] = []
    for place, (_, at) in sorted(found.items()):
        if not runs or at <= runs[-1][-1][1]:
            runs.append([])
        runs[-1].append((place, at))
    each = max(1, -(-len(runs) // len(group)))
    return {place: (group[number // each], at) for number, run in enumerate(runs) for place, at in run}
