"""The features of a text: which tokens belong to which of its tokens, words, sentences or turns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int

from interpreto_mllm.core.feature import Feature
from interpreto_mllm.prompts.granularity import BY_TOKEN, Granularity, Span, Splitter, check_spans
from interpreto_mllm.prompts.processing import Processing
from interpreto_mllm.prompts.sources import Sources
from interpreto_mllm.prompts.tokens import Tokens


@dataclass(frozen=True)
class Region:
    """A part of the prompt's text that was written by a user or the model, and may be split into features."""

    span: Span
    role: str | None = None
    turn: int | None = None


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
        return self._by_span(tokens, regions)

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
            features.append(Feature(text, span, (position,), region.role, region.turn))
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
            feature = Feature(tokens.text[start:end], ((start, end),), mine, region.role, region.turn)
            features.append(replace(feature, label=labels[index], source=labels[index]) if labels else feature)
        return np.asarray([renumber.get(int(index), -1) for index in owner], dtype=np.int64), features

    @staticmethod
    def _end(tokens: Tokens, mine: Sequence[int], spans: list[Span]) -> int:
        """Where a feature ends: after the last piece that its tokens cover; a token may cover more than one."""
        reach = max(tokens.offsets[position][1] for position in mine)
        return max([spans[0][1], *(end for start, end in spans[1:] if start < reach)])

    def _pieces(self, text: str, regions: list[Region]) -> tuple[list[tuple[Span, Region]], list[str]]:
        """The features' spans with their regions, and their labels where these are sources."""
        if not isinstance(self.granularity, Sources):
            return [(span, region) for region in regions for span in self._split(text, region)], []
        placed = self.granularity.pieces(text, [region.span for region in regions])
        return [(span, regions[region]) for span, region, _ in placed], [label for _, _, label in placed]

    def _split(self, text: str, region: Region) -> list[Span]:
        start, end = region.span
        if isinstance(self.granularity, list):
            if region.role is not None:
                raise ValueError("Explicit spans index into a plain prompt; for a chat give a callable that splits a message.")
            return check_spans(self.granularity, text)
        if isinstance(self.granularity, Granularity):
            return [(start + a, start + b) for a, b in self.granularity.split(text[start:end])]
        return [(start + a, start + b) for a, b in check_spans(self.granularity(text[start:end]), text[start:end])]
