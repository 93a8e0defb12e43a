"""A result as it is read: the prompt piece by piece, and one row of scores per target."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from interpreto_mllm.attribution import Attribution


@dataclass(frozen=True)
class Piece:
    """A stretch of the prompt: part of a feature, or text that has no score.

    Args:
        text: as it stands in the prompt.
        feature: index of the feature, None for text without a score.
        heading: the role of the chat turn that begins here, None elsewhere.
        loose: whether it has no place in the text and is shown as a chip.
    """

    text: str
    feature: int | None
    heading: str | None = None
    loose: bool = False


@dataclass(frozen=True)
class Row:
    """The scores of one target, in the order of the features."""

    label: str
    scores: list[float]
    errors: list[float] | None
    empty: float
    full: float

    @property
    def bound(self) -> float:
        """The largest score in absolute value, 0 when all are."""
        return max(map(abs, self.scores), default=0.0)

    def share(self, feature: int) -> float:
        """A score relative to the bound, from -1 to 1."""
        return self.scores[feature] / self.bound if self.bound else 0.0

    def strongest(self, count: int) -> list[int]:
        """Indices of the features with the largest absolute scores, largest first."""
        return sorted(range(len(self.scores)), key=lambda feature: -abs(self.scores[feature]))[:count]

    def told(self, feature: int) -> str:
        """A score as people read it, with its standard error where there is one."""
        error = "" if self.errors is None else f" ± {self.errors[feature]:.2g}"
        return f"{self.scores[feature]:+.3g}{error}"


def row(attribution: Attribution, target: int) -> Row:
    """The scores of one target."""
    errors = attribution.standard_errors
    return Row(
        label=attribution.targets[target],
        scores=attribution.attributions[target].tolist(),
        errors=None if errors is None else errors[target].tolist(),
        empty=attribution.empty[target].item(),
        full=attribution.full[target].item(),
    )


def rows(attribution: Attribution) -> list[Row]:
    """One row per target; before them the whole answer, when the targets are several tokens and their sum can be aggregated."""
    each = [row(attribution, target) for target in range(attribution.t)]
    if attribution.unit != "token" or attribution.t < 2:
        return each
    try:
        whole = attribution.span()
    except ValueError:
        return each
    return [row(whole.normalized(attribution.normalisation or "identity"), 0), *each]


def pieces(attribution: Attribution) -> list[Piece]:
    """The whole prompt in reading order; features without a place in it come last."""
    features = attribution.features
    spans = sorted((start, end, index) for index, feature in enumerate(features) for start, end in feature.spans)
    if not attribution.text:
        spans = []
    found = list(_running(attribution, spans))
    placed = {index for _, _, index in spans}
    turn: tuple[int | None, str | None] = (None, None)
    for index, feature in enumerate(features):
        if index not in placed:
            heading = feature.role if (feature.turn, feature.role) != turn else None
            turn = (feature.turn, feature.role)
            found.append(Piece(feature.text, index, heading, loose=True))
    return found


def _running(attribution: Attribution, spans: list[tuple[int, int, int]]) -> Iterator[Piece]:
    text, features, cursor = attribution.text, attribution.features, 0
    turn: tuple[int | None, str | None] = (None, None)
    for start, end, index in spans:
        if start > cursor:
            yield Piece(text[cursor:start], None)
        if end > cursor:
            role = features[index].role
            here = (features[index].turn, role)
            yield Piece(text[max(start, cursor) : end], index, role if here != turn else None)
            turn, cursor = here, end
    if cursor < len(text):
        yield Piece(text[cursor:], None)


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
