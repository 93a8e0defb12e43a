"""Texts with images, clips and videos: their tokens after processing, and which of these were written."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Int

from interpreto_mllm.core.feature import Feature
from interpreto_mllm.media.state import Medium, State
from interpreto_mllm.prompts.blanks import Blanks
from interpreto_mllm.prompts.expanded_ids import expanded, told
from interpreto_mllm.prompts.granularity import Span
from interpreto_mllm.prompts.model_input import ModelInput
from interpreto_mllm.prompts.processing import Processing
from interpreto_mllm.prompts.tokens import Tokens

Render = Callable[[Collection[int], Collection[int]], tuple[str, Sequence[Span | None]]]
"""From the indices of the images and clips to leave out, and of the tools and documents, to the text, and the spans of its
written parts, None for one that is gone."""

Laid = tuple[Tokens, Int[np.ndarray, "l"] | None, Sequence[Span | None], Blanks | None]
"""Tokens, their types, where the written parts are, and the blanks among the tokens."""

REMEMBERED = 64
"""How many layouts without some tools and documents are kept: there may be one for each coalition."""


@dataclass(frozen=True, eq=False)
class Mixed:
    """A text whose placeholders stand for images and clips.

    Args:
        processing: of the model.
        render: the text, and where its written parts are, without some of the images and clips, and some tools and documents.
        media: the images and clips.
        special: whether the tokenizer adds its special tokens; None for a text without placeholders, where the processor
            finds a place for its image and decides.
    """

    processing: Processing
    render: Render
    media: tuple[Medium, ...]
    special: bool | None
    _known: dict[Any, Laid] = field(default_factory=dict)

    def tokens(self, states: Sequence[State]) -> tuple[Tokens, Int[np.ndarray, "l"] | None, Sequence[Span | None]]:
        """The tokens with the media in these states, their types if the processor gives some, and the spans of the parts.

        Tokens that the processor inserts for an image or a clip count as special.
        """
        return self._laid(states)[:3]

    def _laid(self, states: Sequence[State], unlisted: tuple[int, ...] = ()) -> Laid:
        """The same without some tools and documents, and the blanks among the tokens. The first ones are remembered."""
        key = (*(state.size for state in states), unlisted)
        if key in self._known:
            return self._known[key]
        tokens, types, spans = self._tokens(states, unlisted)
        laid = tokens, types, spans, Blanks.of(tokens, _there(spans), self.processing.tokenizer)
        if not unlisted or len(self._known) < REMEMBERED:
            self._known[key] = laid
        return laid

    def _tokens(
        self, states: Sequence[State], unlisted: tuple[int, ...]
    ) -> tuple[Tokens, Int[np.ndarray, "l"] | None, Sequence[Span | None]]:
        text, spans = self.render([index for index, state in enumerate(states) if state.dropped], unlisted)
        plain = Tokens.of_text(text, self.processing.tokenizer, add_special_tokens=self.special is not False)
        kept = [state for state in states if not state.dropped]
        if not kept and self.processing.needs_image:
            raise ValueError("This model reads an image with every text, so it cannot be left out: use Fill() or Blur().")
        if self.processing.side_by_side:
            expanded(plain.ids, [], self.processing([text], [kept], None)["input_ids"][0].numpy(), [])  # not rewritten
        if not kept or self.processing.side_by_side:
            return plain, None, spans
        holders: list[int] = []
        if self.special is None:
            plain = Tokens.of_text(text, self.processing.tokenizer, add_special_tokens=False)
        else:
            holders = self._holders(text, plain, [state.medium.modality for state in kept])
        given = self.processing([text], [kept], self.special, tells=any(state.medium.modality == "video" for state in kept))
        types = self.processing.types(given)
        types = None if types is None else types[0].numpy().astype(np.int64)
        if (tokens := told(text, given, self.processing.tokenizer)) is not None:
            return tokens, types, spans
        ids = given["input_ids"][0].numpy().astype(np.int64)
        source = expanded(plain.ids, holders, ids, list(self.processing.soft_ids.values()))
        offsets = tuple(plain.offsets[index] if index >= 0 else (0, 0) for index in source)
        special = np.asarray([index < 0 or bool(plain.special[index]) for index in source])
        return Tokens(text, ids, offsets, special), types, spans

    def _holders(self, text: str, plain: Tokens, modalities: Sequence[str]) -> list[int]:
        """Positions of the placeholders among the text's own tokens."""
        tokenizer = self.processing.tokenizer
        counts = {modality: modalities.count(modality) for modality in dict.fromkeys(modalities)}
        ids = [tokenizer.convert_tokens_to_ids(self.processing.placeholder(m, text, count)) for m, count in counts.items()]
        return np.flatnonzero(np.isin(plain.ids, ids)).tolist()

    def layout(
        self, states: Sequence[State], features: Sequence[Feature], unlisted: tuple[int, ...] = ()
    ) -> tuple[ModelInput, Int[np.ndarray, "l"], Blanks | None]:
        """The tokens with the media in these states, the feature that owns each, or -1, and the blanks among them."""
        _, _, whole = self.tokens([State.whole(medium) for medium in self.media])
        tokens, types, spans, blanks = self._laid(states, unlisted)
        moved, owners = [], []
        parts = _parts(whole)
        for index, feature in enumerate(features):
            for start, end in feature.spans:
                shift = _shift(parts, whole, spans, start)
                if shift is not None:
                    moved.append((start + shift, end + shift))
                    owners.append(index)
        of_span = tokens.owners(moved, _there(spans))
        owner = np.asarray([owners[index] if index >= 0 else -1 for index in of_span], dtype=np.int64)
        owner[tokens.special] = -1
        for alike in _alike(moved, owners):
            mine = np.flatnonzero(np.isin(owner, alike))
            if len(mine) == len(alike):
                owner[mine] = alike
        return ModelInput(tokens.ids, None, types), owner, blanks


def _there(spans: Sequence[Span | None]) -> list[Span]:
    return [span for span in spans if span is not None]


def _alike(spans: Sequence[Span], features: Sequence[int]) -> list[list[int]]:
    """The features whose spans end together, in order: tokens that are one character together."""
    found: dict[int, list[int]] = {}
    for (_, end), feature in zip(spans, features, strict=True):
        found.setdefault(end, []).append(feature)
    return [alike for alike in found.values() if len(alike) > 1]


def _parts(spans: Sequence[Span | None]) -> Int[np.ndarray, "_"]:
    """For each character the part that it is in, or -1; that before it where it is at the end of one."""
    held = np.full(max((span[1] + 1 for span in spans if span is not None), default=0), -1, dtype=np.int64)
    for index, span in reversed([*enumerate(spans)]):
        if span is not None:
            held[span[0] : span[1] + (held[span[1]] < 0)] = index
    return held


def _shift(parts: Int[np.ndarray, "_"], whole: Sequence[Span | None], now: Sequence[Span | None], start: int) -> int | None:
    """How far the part moved in which something starts; None where it is gone."""
    index = int(parts[start])
    assert index >= 0
    before, after = whole[index], now[index]
    return None if before is None or after is None else after[0] - before[0]
