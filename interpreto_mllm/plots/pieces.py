"""The prompt of a result, piece by piece, in reading order."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from interpreto_mllm.chats.parts import LISTED
from interpreto_mllm.core.feature import Feature
from interpreto_mllm.results.record import Record


@dataclass(frozen=True)
class Piece:
    """A stretch of the prompt: part of a feature, or text that has no score.

    Args:
        text: as it stands in the prompt.
        feature: index of the feature, None for text without a score.
        heading: the role of the chat turn that begins here, or the tool or document; None elsewhere.
        loose: whether it has no place in the text and is shown separately.
        medium: index of the image or clip shown here instead of text, None elsewhere.
        turn: index of the chat message it belongs to, None outside chats.
    """

    text: str
    feature: int | None
    heading: str | None = None
    loose: bool = False
    medium: int | None = None
    turn: int | None = None


def pieces(attribution: Record) -> list[Piece]:
    """The whole prompt in reading order: images and clips before the text of their turn, features without a place last."""
    features = attribution.features
    spans = sorted((start, end, index) for index, feature in enumerate(features) for start, end in feature.spans)
    if not attribution.text:
        spans = []
    placed = {index for _, _, index in spans}
    if attribution.media:
        placed |= {index for index, feature in enumerate(features) if feature.pieces}
    loose = [index for index in range(len(features)) if index not in placed]
    return list(_headed(_with_media(attribution, [*_running(attribution, spans), *(_chip(attribution, i) for i in loose)])))


def _chip(attribution: Record, index: int) -> Piece:
    feature = attribution.features[index]
    return Piece(feature.text, index, heading(feature), True, turn=feature.turn)


def heading(feature: Feature) -> str | None:
    """What stands over a feature: the role of its message, or which tool or document it is of.

    Example:
        >>> heading(Feature("rain", role="tool", turn=2)), heading(Feature("a", role="documents", label="document 3 · title"))
        ('tool', 'document 3')
    """
    listed = feature.role in LISTED and feature.label is not None
    return str(feature.label).partition(" · ")[0] if listed else feature.role


def _running(attribution: Record, spans: list[tuple[int, int, int]]) -> Iterator[Piece]:
    text, cursor, between = attribution.text, 0, folded if attribution.media else str
    for start, end, index in spans:
        feature = attribution.features[index]
        if start > cursor:
            yield Piece(between(text[cursor:start]), None)
        if end > cursor:
            yield Piece(text[max(start, cursor) : end], index, heading(feature), turn=feature.turn)
            cursor = end
    if cursor < len(text):
        yield Piece(between(text[cursor:]), None)


def folded(text: str) -> str:
    """The text with each run of placeholder tokens, which may be hundreds for one image, as one token and a count.

    Example:
        >>> folded("<image>" * 576 + " what is this?")
        '<image>×576 what is this?'
    """
    runs = re.compile(r"((?:<[^<>\s]*>|\[[A-Z_]+\])+?)\1{3,}")
    return runs.sub(lambda run: f"{run.group(1)}×{len(run.group()) // len(run.group(1))}", text)


def _with_media(attribution: Record, found: list[Piece]) -> list[Piece]:
    """Each image and clip before the first piece of its turn, or of a later one; those of no turn before everything."""
    turns = {medium: feature for feature in reversed(attribution.features) for medium, _ in feature.pieces}
    for medium in reversed(range(len(attribution.media))):
        feature = turns.get(medium)
        turn, role = (None, None) if feature is None else (feature.turn, feature.role)
        later = (at for at, piece in enumerate(found) if turn is not None and piece.turn is not None and piece.turn >= turn)
        at = 0 if turn is None else next(later, len(found))
        found.insert(at, Piece("", None, role, medium=medium, turn=turn))
    return found


def _headed(found: list[Piece]) -> Iterator[Piece]:
    """The pieces with a heading only where a turn begins."""
    before: tuple[int | None, str | None] = (None, None)
    for piece in found:
        if piece.feature is None and piece.medium is None:
            yield piece
            continue
        here = (piece.turn, piece.heading)
        yield piece if here != before else replace(piece, heading=None)
        before = here
