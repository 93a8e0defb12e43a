"""The prompt as people read it: turns of a chat with their markup folded away, words as marks, images and clips in place."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from html import escape
from itertools import groupby

from interpreto_mllm.media import Clip
from interpreto_mllm.plots import clip, picture
from interpreto_mllm.plots.pieces import Piece, pieces
from interpreto_mllm.plots.scores import TargetScores
from interpreto_mllm.results.record import Record

MARKER = re.compile(r"<[^<>\s]{1,60}>|\[/?[A-Z_]{2,}\]")
"""How templates write the borders of turns."""


@dataclass
class Turn:
    """Consecutive pieces of one message.

    Args:
        role: who wrote it, None outside chats.
        pieces: in reading order.
    """

    role: str | None
    pieces: list[Piece] = field(default_factory=list)


def transcript(attribution: Record, row: TargetScores) -> str:
    """The whole prompt as HTML, coloured for one target."""
    return "".join(_turn(attribution, turn, row, number) for number, turn in enumerate(turns(attribution), start=1))


def turns(attribution: Record) -> list[Turn]:
    """The pieces by message, those without a feature too. Markup before the first message begins it, other markup ends one."""
    found = pieces(attribution)
    silent = _silent(attribution, {piece.turn for piece in found})
    split: list[Turn] = []
    for piece in found:
        for part in _with_messages(piece, silent) if piece.feature is None and piece.medium is None else [piece]:
            if not split or (part.heading is not None and split[-1].role is not None):
                split.append(Turn(part.heading))
            elif part.heading is not None:
                split[-1].role = part.heading
            split[-1].pieces.append(part)
    return split


def _silent(attribution: Record, featured: set[int | None]) -> list[tuple[str, str]]:
    """Role and text of the messages of a chat that hold no feature."""
    messages = () if attribution.conversation is None else attribution.conversation.messages
    found = [(message["role"], message.get("content")) for turn, message in enumerate(messages) if turn not in featured]
    return [(role, text.strip()) for role, text in found if isinstance(text, str) and text.strip()]


def _with_messages(piece: Piece, silent: list[tuple[str, str]]) -> Iterator[Piece]:
    """A stretch without features, with the messages in it as turns of their own."""
    rest = piece.text
    while silent and silent[0][1] in rest:
        role, text = silent.pop(0)
        before, _, rest = rest.partition(text)
        if before:
            yield replace(piece, text=before)
        yield replace(piece, text=text, heading=role)
    if rest:
        yield replace(piece, text=rest)


def _turn(attribution: Record, turn: Turn, row: TargetScores, number: int) -> str:
    runs = ((media, list(run)) for media, run in groupby(turn.pieces, lambda piece: piece.medium is not None))
    inside = "".join(
        _media(attribution, run, row) if media else "".join(_pieces(run, row, turn.role is not None or bool(attribution.media)))
        for media, run in runs
    )
    if turn.role is None:
        return f'<div class="turn">{inside}</div>'
    role = escape(turn.role)
    heading = f'<span class="heading">{role}</span>'
    return f'<section class="turn chat" data-role="{role}" aria-label="{number}: {role}">{heading}{inside}</section>'


def _media(attribution: Record, run: list[Piece], row: TargetScores) -> str:
    """Consecutive images and clips side by side where they fit."""
    drawn = (
        (clip if isinstance(attribution.media[piece.medium], Clip) else picture).html(attribution, piece.medium, row)
        for piece in run
        if piece.medium is not None
    )
    return f'<div class="media">{"".join(drawn)}</div>'


def _pieces(run: list[Piece], row: TargetScores, folds: bool) -> Iterator[str]:
    for piece in run:
        if piece.feature is None:
            yield from _gap(piece.text, folds)
            continue
        text = piece.text.replace("\n", "↵\n") or "∅"
        classes = ("loose " if piece.loose else "") + row.classes(piece.feature)
        style = f"--strength: {abs(row.share(piece.feature)):.3f}"
        yield (
            f'<mark class="{classes}" data-feature="{piece.feature}" tabindex="-1" style="{style}" '
            f'title="{escape(row.readable(piece.feature))}">{escape(text)}</mark>'
        )


def _gap(text: str, folds: bool) -> Iterator[str]:
    """Text without a score: pinned words stay, the markup of a chat and the places of media are folded."""
    found = list(MARKER.finditer(text)) if folds else []
    if not found:
        yield f'<span class="gap">{escape(text)}</span>'
        return
    start, end = found[0].start(), len(text)
    if start:
        yield f'<span class="gap">{escape(text[:start])}</span>'
    yield f'<span class="gap markup">{escape(text[start:end])}</span>'
