"""How far a tool, a document, a call, or one parameter of it reaches in a rendering, beyond its texts."""

from __future__ import annotations

import json

Span = tuple[int, int]

DECODER = json.JSONDecoder()


def object_around(rendered: str, held: Span, room: Span) -> Span:
    """The largest JSON object around a stretch, within the room that there is; the stretch itself without one.

    Example:
        >>> text = '[{"name": "a"}, {"name": "b"}]'
        >>> text[slice(*object_around(text, (11, 12), (0, 26)))]
        '{"name": "a"}'
    """
    low, high = room
    start = rendered.find("{", low, held[0])
    while start >= 0:
        end = _decoded(rendered, start)
        if end is not None and held[1] <= end <= high:
            return start, end
        start = rendered.find("{", start + 1, held[0])
    return held


def member_around(rendered: str, held: Span, room: Span) -> Span:
    """The key and value of a JSON object that a stretch is in, which begins with the key; the stretch itself without one.

    Example:
        >>> text = '{"city": {"type": "string"}, "day": 3}'
        >>> text[slice(*member_around(text, (2, 6), (0, 38)))]
        '"city": {"type": "string"}'
    """
    start = held[0] - 1
    if start < room[0] or rendered[start] != '"':
        return held
    after = _decoded(rendered, start)
    if after is None:
        return held
    colon = rendered[after:].lstrip()
    if not colon.startswith(":"):
        return held
    value = len(rendered) - len(colon[1:].lstrip())
    end = _decoded(rendered, value)
    return (start, end) if end is not None and held[1] <= end <= room[1] else held


def _decoded(rendered: str, start: int) -> int | None:
    """Where the JSON value ends that begins here, None where none does."""
    try:
        return DECODER.raw_decode(rendered, start)[1]
    except ValueError:
        return None
