"""The features of a text: which tokens belong to which of its tokens, words, sentences or turns."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int

from interpreto_mllm.chats.parts import Path
from interpreto_mllm.chats.places import Place
from interpreto_mllm.core.feature import Feature
from interpreto_mllm.prompts.granularity import BY_TOKEN, Granularity, Span, Splitter, check_spans
from interpreto_mllm.prompts.processing import Processing
from interpreto_mllm.prompts.prompt import merge_features
from interpreto_mllm.prompts.sentences import Sentences
from interpreto_mllm.prompts.sources import Sources
from interpreto_mllm.prompts.tokens import Tokens


@dataclass(frozen=True)
class Region:
    """A part of the prompt's text that was written by a user or the model, and may be split into features.

    Args:
        span: where it is.
        role: of its message.
        turn: index of its message.
        source: what it is a piece of.
        label: what that is called.
        part: of the message.
        trusted: whether who wrote it is trusted.
        place: where the characters of what was written are, which the template may have escaped; None where they are as
            they were written.
        written: what was written, where there is a place.
        whole: whether it is one feature at granularities coarser than words.
        entry: the path to the tool or document that it is in.
        origin: which text of a chat it is, and where in that it begins: a template may write one twice.
    """

    span: Span
    role: str | None = None
    turn: int | None = None
    source: str | None = None
    label: str | None = None
    part: str | None = None
    trusted: bool | None = None
    place: Place | None = None
    written: str = ""
    whole: bool = False
    entry: Path | None = None
    origin: tuple[int, int] | None = None

    def read(self, text: str) -> str:
        """What was written, of the text of the whole prompt."""
        return text[slice(*self.span)] if self.place is None else self.written[slice(*self.place.within)]

    def shown(self, text: str, start: int, end: int) -> str:
        """The same of a stretch within it."""
        if self.place is None:
            return text[start:end]
        low, high = (bisect_left(self.place.starts, edge) for edge in (start, end))
        return self.read(text)[low:high]

    def origin_of(self, start: int) -> tuple[int, int]:
        """Which text it is, and where in that the character is that is written here."""
        text, first = self.origin or (-1, 0)
        at = start - self.span[0] if self.place is None else bisect_left(self.place.starts, start)
        return text, first + at

    def span_of(self, start: int, end: int) -> Span:
        """Where a stretch of what was written is in the prompt."""
        if self.place is None:
            return self.span[0] + start, self.span[0] + end
        return self.place.starts[start], self.place.starts[end]

    def feature(self, text: str, spans: tuple[Span, ...], positions: tuple[int, ...], label: str | None = None) -> Feature:
        """A feature in it."""
        return Feature(
            text,
            spans,
            positions,
            self.role,
            self.turn,
            label=self.label if label is None else label,
            source=self.source,
            trusted=self.trusted,
            part=self.part,
        )


def placed(regions: Sequence[Region | None], spans: Sequence[Span | None], text: str) -> list[Region]:
    """The regions at these places in a text, in its order, without those that are nowhere or empty."""
    pairs = zip(regions, spans, strict=True)
    there = (replace(region, span=span) for region, span in pairs if region is not None and span is not None)
    return sorted((region for region in there if text[slice(*region.span)].strip()), key=lambda region: region.span)


@dataclass(frozen=True)
class TextSplitter:
    """Splits the written regions of a prompt into features.

    Args:
        processing: the model's own tokenizer or processor.
        granularity: what a feature is.
    """

    processing: Processing
    granularity: Granularity | Splitter | list[Span]

    def split(self, tokens: Tokens, regions: list[Region]) -> tuple[Int[np.ndarray, "l"], list[Feature]]:
        """The feature of each token, or -1, and the features."""
        if self.granularity in BY_TOKEN:
            return self._by_token(tokens, regions)
        return _written_once(*self._by_span(tokens, regions), regions)

    def _by_token(self, tokens: Tokens, regions: list[Region]) -> tuple[np.ndarray, list[Feature]]:
        every = self.granularity is Granularity.ALL_TOKENS
        region_of = tokens.owners([region.span for region in regions], [region.span for region in regions])
        owner = np.full(len(tokens.ids), -1, dtype=np.int64)
        features: list[Feature] = []
        soft = set(self.processing.soft_ids.values())
        for position, (start, end) in enumerate(tokens.offsets):
            if int(tokens.ids[position]) in soft:
                continue
            if not every and (tokens.special[position] or region_of[position] < 0):
                continue
            region = regions[region_of[position]] if region_of[position] >= 0 else Region((0, 0))
            text = tokens.text[start:end] or self.processing.tokenizer.convert_ids_to_tokens(int(tokens.ids[position]))
            span = ((start, end),) if end > start else ()
            owner[position] = len(features)
            features.append(region.feature(text, span, (position,)))
        return owner, features

    def _by_span(self, tokens: Tokens, regions: list[Region]) -> tuple[np.ndarray, list[Feature]]:
        pieces, labels = self._pieces(tokens.text, regions)
        owner = tokens.owners([span for span, _ in pieces], [region.span for region in regions])
        owner[tokens.special] = -1
        positions: dict[int, list[int]] = {}
        for position in np.flatnonzero(owner >= 0).tolist():
            positions.setdefault(int(owner[position]), []).append(position)
        held = sorted(positions)
        renumber = {old: new for new, old in enumerate(held)}
        features = []
        for index, following in zip(held, [*held, len(pieces)][1:], strict=True):
            (start, _), region = pieces[index]
            mine = tuple(positions[index])
            end = self._end(tokens, mine, [span for span, _ in pieces[index:following]])
            feature = region.feature(region.shown(tokens.text, start, end), ((start, end),), mine, labels[index])
            features.append(replace(feature, source=labels[index]) if isinstance(self.granularity, Sources) else feature)
        return np.asarray([renumber.get(int(index), -1) for index in owner], dtype=np.int64), features

    @staticmethod
    def _end(tokens: Tokens, mine: Sequence[int], spans: list[Span]) -> int:
        """Where a feature ends: after the last piece that its tokens cover; a token may cover more than one."""
        reach = max(tokens.offsets[position][1] for position in mine)
        return max([spans[0][1], *(end for start, end in spans[1:] if start < reach)])

    def _pieces(self, text: str, regions: list[Region]) -> tuple[list[tuple[Span, Region]], list[str | None]]:
        """The features' spans with their regions, and their labels."""
        if isinstance(self.granularity, Sources):
            placed = self.granularity.pieces(text, [region.span for region in regions])
            return [(span, regions[region]) for span, region, _ in placed], [label for _, _, label in placed]
        pieces: list[tuple[Span, Region]] = []
        labels: list[str | None] = []
        for region in regions:
            spans = self._split(text, region)
            pieces += [(span, region) for span in spans]
            labels += self._labels(region, len(spans))
        return pieces, labels

    def _labels(self, region: Region, count: int) -> list[str | None]:
        """What the pieces of a region are called: the sentences of a document are numbered."""
        if region.label is None or count == 1 or not self._sentences:
            return [region.label] * count
        return [f"{region.label} · sentence {number}" for number in range(1, count + 1)]

    @property
    def _sentences(self) -> bool:
        return self.granularity is Granularity.SENTENCE or isinstance(self.granularity, Sentences)

    def _split(self, text: str, region: Region) -> list[Span]:
        if isinstance(self.granularity, list):
            if region.role is not None:
                raise ValueError("Explicit spans index into a plain prompt; for a chat give a callable that splits a message.")
            return check_spans(self.granularity, text)
        read = region.read(text)
        if region.whole and (self._sentences or self.granularity is Granularity.TURN):
            spans = Granularity.TURN.split(read)
        elif isinstance(self.granularity, Granularity):
            spans = self.granularity.split(read)
        else:
            spans = check_spans(self.granularity(read), read)
        return [region.span_of(start, end) for start, end in spans]


def _written_once(
    owner: Int[np.ndarray, "l"], features: list[Feature], regions: Sequence[Region]
) -> tuple[Int[np.ndarray, "l"], list[Feature]]:
    """The owners and features when those that are the same piece of a text, which a template writes twice, are one."""
    known = [region for region in regions if region.origin is not None]
    if len({region.origin[0] for region in known if region.origin}) == len(known):
        return owner, features
    origins: list[tuple[int, int]] = []
    for index, feature in enumerate(features):
        start = feature.spans[0][0]
        region = next((one for one in known if one.span[0] <= start < one.span[1]), None)
        origins.append((-1, index) if region is None else region.origin_of(start))
    if len(set(origins)) == len(origins):
        return owner, features
    owners, merged = merge_features(owner, features, range(len(features)), origins)
    first = dict(reversed([*zip(origins, features, strict=True)]))
    once = [replace(one, text=first[origin].text) for one, origin in zip(merged, dict.fromkeys(origins), strict=True)]
    return owners, once
