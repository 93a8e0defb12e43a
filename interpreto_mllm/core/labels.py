"""Labels of tokens: what a token that is part of a character is called, and what several tokens spell."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import regex

PART = regex.compile(r" \((\d+)/(\d+)\)")


def labels(text: str, spans: Sequence[tuple[int, int]]) -> list[str]:
    """A label for each token of a text; a token that is part of a character is called so, as no part can be read by itself.

    Args:
        text: what the tokens spell.
        spans: start and end of the characters of each token, those included of which it is a part.

    Example:
        >>> labels("a 你", [(0, 1), (1, 3), (2, 3), (2, 3)])
        ['a', ' 你 (1/3)', '你 (2/3)', '你 (3/3)']
        >>> labels("👍🏽", [(0, 1), (1, 2)])
        ['👍🏽 (1/2)', '👍🏽 (2/2)']
    """
    touching: list[tuple[str, tuple[int, ...]]] = []
    for found in regex.finditer(r"\s|\X", text):
        start, end = found.span()
        touching.append((found[0], tuple(i for i, (low, high) in enumerate(spans) if low < end and start < high)))
    names = [""] * len(spans)
    for tokens, run in groupby(touching, key=lambda item: item[1]):
        unit = "".join(character for character, _ in run)
        for part, token in enumerate(tokens):
            names[token] += unit if len(tokens) == 1 else f"{unit} ({part + 1}/{len(tokens)})"
    return names


def joined(names: Sequence[str]) -> str:
    """What tokens with these labels spell together.

    Example:
        >>> joined(["a", " 你 (1/3)", "你 (2/3)", "你 (3/3)"]), joined(["你 (1/3)", "你 (2/3)"])
        ('a 你', '你 (1–2/3)')
    """
    text = ""
    first, last, count = 0, 0, 0
    for name in names:
        begun = PART.search(name)
        goes_on = begun is not None and last > 0 and int(begun[1]) == last + 1 and int(begun[2]) == count
        goes_on = goes_on and text.endswith(name[: begun.start()])  # type: ignore[union-attr]
        if begun is not None and goes_on:
            last = int(begun[1])
            name = name[begun.end() :] if last == count else ""
        if last and not (goes_on and last < count):
            text += "" if first == 1 and last == count else _parts(first, last, count)
            first = last = count = 0
        opened = regex.search(PART.pattern + "$", name)
        if opened is not None:
            name, first, last, count = name[: opened.start()], int(opened[1]), int(opened[1]), int(opened[2])
        text += name
    return text + (_parts(first, last, count) if last and (first, last) != (1, count) else "")


def _parts(first: int, last: int, count: int) -> str:
    return f" ({first}/{count})" if first == last else f" ({first}–{last}/{count})"
