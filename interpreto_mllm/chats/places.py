"""Where the texts of a chat stand in its rendering, read from the rendering of marked texts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from interpreto_mllm.chats.marks import KEPT, Origin

Span = tuple[int, int]

ESCAPES = str.maketrans({chr(code): json.dumps(chr(code))[1:-1] for code in (*range(32), ord('"'), ord("\\"))})
"""How a character is written within JSON."""


@dataclass(frozen=True)
class Place:
    """A stretch of a rendering that is a stretch of a text.

    Args:
        text: index of the text.
        within: start and end in the text.
        starts: where each of its characters starts in the rendering, and where the last one ends.
    """

    text: int
    within: Span
    starts: tuple[int, ...]

    @property
    def span(self) -> Span:
        """Start and end in the rendering."""
        return self.starts[0], self.starts[-1]


def places(
    found: Mapping[int, Origin], texts: Sequence[str], rendered: str, stripped: tuple[set[int], set[int]]
) -> list[Place]:
    """The places of the texts in the order of the rendering.

    Args:
        found: the characters of the rendering that are known, and what they are.
        texts: as they were given.
        rendered: the rendering of these.
        stripped: indices of texts off whose beginning the template takes white space, and of those off whose end.
    """
    runs = list(_runs(sorted(found.items()), texts, rendered))
    made = []
    for number, run in enumerate(runs):
        index, first = run[0][1]
        low = runs[number - 1][-1][0] + 1 if number else 0
        high = runs[number + 1][0][0] if number + 1 < len(runs) else len(rendered)
        starts = [place for place, _ in run]
        before = _backwards(texts[index][:first], rendered[low : starts[0]], index in stripped[0])
        last = run[-1][1][1]
        after = _forwards(texts[index][last + 1 :], rendered[starts[-1] + 1 : high], index in stripped[1])
        steps = [*(-step for step in before), 0]
        lead = [starts[0] + sum(steps[at:]) for at in range(len(before))]
        follow = [starts[-1] + 1 + sum(after[:at]) for at in range(len(after) + 1)]
        made.append(Place(index, (first - len(before), last + 1 + len(after)), (*lead, *starts, *follow)))
    return made


Known = tuple[int, Origin]


def _runs(known: Sequence[Known], texts: Sequence[str], rendered: str) -> Iterator[list[Known]]:
    """Known characters that belong together, with those between them that are the text's own too."""
    run: list[Known] = []
    for place, (index, at) in known:
        between = None
        if run and run[-1][1][0] == index and run[-1][1][1] < at:
            before, (_, last) = run[-1]
            between = _steps(texts[index][last + 1 : at], rendered[before + 1 : place])
            if between is not None:
                edges = [before + 1 + sum(between[:step]) for step in range(len(between))]
                run += [(edge, (index, last + 1 + step)) for step, edge in enumerate(edges)]
        if run and between is None:
            yield run
            run = []
        run.append((place, (index, at)))
    if run:
        yield run


def _steps(text: str, written: str) -> list[int] | None:
    """How many characters each one of a text takes as it is written; None where that is something else."""
    if text == written:
        return [1] * len(text)
    escaped = [character.translate(ESCAPES) for character in text]
    return [len(one) for one in escaped] if "".join(escaped) == written else None


def _forwards(text: str, written: str, stripped: bool) -> list[int]:
    """The lengths of what follows of a text, as far as it is written."""
    for form in _beginnings(text, stripped):
        for spelled in (form.translate(ESCAPES), form):
            if form and written.startswith(spelled):
                return _steps(form, spelled) or []
    return []


def _backwards(text: str, written: str, stripped: bool) -> list[int]:
    """The lengths of what comes before of a text, as far as it is written."""
    for form in _endings(text, stripped):
        for spelled in (form.translate(ESCAPES), form):
            if form and written.endswith(spelled):
                return _steps(form, spelled) or []
    return []


def _beginnings(text: str, stripped: bool) -> Iterator[str]:
    """All of a text that nothing known follows, then what it begins with; white space only belongs to all of it."""
    pieces = _unmarked(text)
    whole = "".join(pieces)
    if whole == text and not stripped:
        yield whole
    for end in range(len(pieces), 0, -1):
        yield "".join(pieces[:end]).rstrip()


def _endings(text: str, stripped: bool) -> Iterator[str]:
    """The same of a text that nothing known comes before."""
    pieces = [piece[::-1] for piece in _unmarked(text[::-1], backwards=True)]
    whole = "".join(reversed(pieces))
    if whole == text and not stripped:
        yield whole
    for end in range(len(pieces), 0, -1):
        yield "".join(reversed(pieces[:end])).lstrip()


def _unmarked(text: str, backwards: bool = False) -> list[str]:
    """The tags and characters without marks that a text begins with."""
    pieces = []
    given = text[::-1] if backwards else text
    found = [match.span() for match in KEPT.finditer(given)]
    ordered = [(len(text) - end, len(text) - start) for start, end in reversed(found)] if backwards else found
    reached = 0
    for start, end in ordered:
        if start != reached:
            break
        pieces.append(text[start:end])
        reached = end
    return pieces


def lost(found: Sequence[Place], text: str) -> list[str]:
    """What of a text is in none of its places, but for white space, tags and punctuation between them.

    Example:
        >>> lost([Place(0, (6, 9), (0, 1, 2, 3))], "hello you")
        ['hello']
    """
    kept = {at for place in found for at in range(*place.within)}
    gaps = ["".join(text[at] for at in run) for gone, run in groupby(range(len(text)), lambda at: at not in kept) if gone]
    return [gap.strip() for gap in gaps if any(character.isalnum() for character in gap)]
