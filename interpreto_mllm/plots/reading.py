"""A result as it is read: the prompt piece by piece, and one row of scores per target."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from interpreto_mllm.plots.areas import overlaps
from interpreto_mllm.results.record import Record


@dataclass(frozen=True)
class Piece:
    """A stretch of the prompt: part of a feature, or text that has no score.

    Args:
        text: as it stands in the prompt.
        feature: index of the feature, None for text without a score.
        heading: the role of the chat turn that begins here, None elsewhere.
        loose: whether it has no place in the text and is shown as a chip.
        medium: index of the image or clip that stands here instead of a text, None elsewhere.
        turn: index of the chat message it belongs to, None outside chats.
    """

    text: str
    feature: int | None
    heading: str | None = None
    loose: bool = False
    medium: int | None = None
    turn: int | None = None


@dataclass(frozen=True)
class Row:
    """The scores of one target by entry: the features in order, then the sums where features overlap in an image or clip."""

    label: str
    scores: list[float]
    errors: list[float] | None
    empty: float
    full: float
    sums: list[float]

    @cached_property
    def bound(self) -> float:
        """The largest score or sum in absolute value, 0 when all are: the end of every colour scale."""
        return max(map(abs, [*self.scores, *self.sums]), default=0.0)

    def value(self, entry: int) -> float:
        """The score of a feature, or an overlap's sum."""
        return self.scores[entry] if entry < len(self.scores) else self.sums[entry - len(self.scores)]

    def share(self, entry: int) -> float:
        """A score or sum relative to the bound, from -1 to 1."""
        return self.value(entry) / self.bound if self.bound else 0.0

    def strongest(self, count: int) -> list[int]:
        """Indices of the features with the largest absolute scores, largest first."""
        return sorted(range(len(self.scores)), key=lambda feature: -abs(self.scores[feature]))[:count]

    def told(self, entry: int) -> str:
        """A score as people read it, with its standard error where there is one; a sum's is not known."""
        error = "" if self.errors is None or entry >= len(self.scores) else f" ± {self.errors[entry]:.2g}"
        return f"{self.value(entry):+.3g}{error}"

    def short(self, entry: int) -> str:
        """A score with as many decimals as show two digits of the largest, for where there is little room."""
        decimals = max(0, 1 - math.floor(math.log10(self.bound))) if self.bound else 0
        text = f"{self.value(entry):+.{decimals}f}"
        return (text if float(text) else text[1:]).replace("-", "−")


def row(attribution: Record, target: int) -> Row:
    """The scores of one target."""
    errors = attribution.standard_errors
    scores = attribution.attributions[target].tolist()
    return Row(
        label=attribution.targets[target],
        scores=scores,
        errors=None if errors is None else errors[target].tolist(),
        empty=attribution.empty[target].item(),
        full=attribution.full[target].item(),
        sums=[sum(scores[feature] for feature in cover) for cover in overlaps(attribution)],
    )


def rows(attribution: Record) -> list[Row]:
    """One row per target; before them the whole answer, when the targets are several tokens and their sum can be aggregated."""
    each = [row(attribution, target) for target in range(attribution.t)]
    if attribution.unit != "token" or attribution.t < 2:
        return each
    try:
        whole = attribution.span()
    except ValueError:
        return each
    return [row(whole.normalized(attribution.normalisation or "identity"), 0), *each]


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
    return Piece(feature.text, index, feature.role, True, turn=feature.turn)


def _running(attribution: Record, spans: list[tuple[int, int, int]]) -> Iterator[Piece]:
    text, cursor, between = attribution.text, 0, folded if attribution.media else str
    for start, end, index in spans:
        feature = attribution.features[index]
        if start > cursor:
            yield Piece(between(text[cursor:start]), None)
        if end > cursor:
            yield Piece(text[max(start, cursor) : end], index, feature.role, turn=feature.turn)
            cursor = end
    if cursor < len(text):
        yield Piece(between(text[cursor:]), None)


def folded(text: str) -> str:
    """Runs of placeholder tokens, of which an image may have hundreds, as one and their number.

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


def visible(text: str) -> str:
    """On one line, with line ends and control characters shown.

    Example:
        >>> visible(" Paris\\n")
        'Paris↵'
    """
    shown = text.strip(" ").replace("\n", "↵").replace("\t", "⇥") or "␣" * len(text)
    return "".join(character if character.isprintable() else "�" for character in shown)


def shortened(text: str, length: int) -> str:
    """At most so many characters.

    Example:
        >>> shortened("constitution", 6)
        'const…'
    """
    return text if len(text) <= length else text[: length - 1] + "…"


def safe(text: str) -> str:
    """Without control characters, which a terminal would obey.

    Example:
        >>> safe("\x1b[31mred")
        '�[31mred'
    """
    return "".join(character if character.isprintable() or character in "\n\t" else "�" for character in text)
