"""What stands around images and clips in a text: marks that processors write, and captions of the chat template."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import regex

from interpreto_mllm.media.footage import Footage
from interpreto_mllm.prompts.frame_captions import TRIED, FrameCaptions
from interpreto_mllm.prompts.granularity import Span
from interpreto_mllm.prompts.mapping import between
from interpreto_mllm.prompts.media_readers import SIDE, video_arguments
from interpreto_mllm.prompts.processing import Processing
from interpreto_mllm.prompts.splitter import Region
from interpreto_mllm.prompts.tokens import Tokens

BRACKETS = regex.compile(r"<[^\s<>]+>|\[[^\s\[\]]+\]")
"""How tokens look that stand for something other than text."""

BEFORE, AFTER = "\u29830\u2984", "\u29831\u2984"


@dataclass(frozen=True)
class _Caption:
    """What a chat template writes before and after an image or a clip and its marks, and whether there are words in it."""

    before: regex.Pattern[str]
    after: regex.Pattern[str]
    worded: bool

    @classmethod
    def of(cls, before: str, after: str) -> _Caption:
        """From an example, whose numbers may be others."""
        worded = any(character.isalnum() for character in before + after)
        first, last = (regex.sub(r"\d+", r"\\d+", regex.escape(one, literal_spaces=True)) for one in (before, after))
        return cls(regex.compile(f"{first}\\Z"), regex.compile(last), worded)


@dataclass(frozen=True, eq=False)
class MediaMarkup:
    """Finds what belongs to an image or a clip in a text besides its placeholder.

    Args:
        processing: of the model.
    """

    processing: Processing
    _captions: dict[str, _Caption] = field(default_factory=dict)

    def block(self, text: str, place: Span) -> Span:
        """A place with the marks next to it, and white space between these.

        Marks are tokens that were added to the vocabulary, in brackets, such as <|vision_start|>, <row_1_col_2> or [IMG_END].
        """
        start, end = place
        while found := next((m for m in self._marks if text[:start].rstrip().endswith(m)), None):
            start = len(text[:start].rstrip()) - len(found)
        while found := next((m for m in self._marks if text[end:].lstrip().startswith(m)), None):
            end = len(text) - len(text[end:].lstrip()) + len(found)
        return start, end

    def captioned(self, text: str, place: Span, modality: str) -> Span:
        """A block with what the chat template writes beside it, such as `Audio 1: ` or a line break."""
        start, end = self.block(text, place)
        caption = self._caption(modality)
        before, after = caption.before.search(text[:start]), caption.after.match(text, end)
        return (start if before is None else before.start(), end if after is None else after.end())

    def left_out(self, text: str, places: Sequence[Span], kinds: Sequence[str], messages: Sequence[Region]) -> list[Span]:
        """What goes with each image or clip that is dropped: its block and caption within its message, if it has a caption."""
        found = []
        for index, (place, kind) in enumerate(zip(places, kinds, strict=True)):
            start, end = self.captioned(text, place, kind) if self._caption(kind).worded else place
            low, high = next((m.span for m in messages if m.span[0] <= place[0] and place[1] <= m.span[1]), (0, len(text)))
            low = max(low, places[index - 1][1]) if index else low
            high = min(high, places[index + 1][0]) if index + 1 < len(places) else high
            found.append((max(start, low), min(end, high)))
        return found

    def blocks(self, text: str, places: Sequence[Span], kinds: Sequence[str]) -> list[Span]:
        """The blocks around several places, captions included; those that meet are one."""
        return _joined([self.captioned(text, place, modality) for place, modality in zip(places, kinds, strict=True)])

    def told_apart(self, tokens: Tokens) -> tuple[Tokens, list[Span]]:
        """The tokens of an encoding, those of its images and clips marked as special, and the text between these."""
        modality_of = {soft: modality for modality, soft in self.processing.soft_ids.items()}
        held = [position for position, token in enumerate(tokens.ids.tolist()) if token in modality_of]
        kinds = [modality_of[int(tokens.ids[position])] for position in held]
        gaps = between(tokens.text, self.blocks(tokens.text, [tokens.offsets[position] for position in held], kinds))
        if "video" in kinds and len(gaps) > 1:
            gaps = self._written_for_frames.without(tokens.text, gaps)
        inside = [not any(low <= start and end <= high for low, high in gaps) for start, end in tokens.offsets]
        return replace(tokens, special=tokens.special | np.asarray(inside)), gaps

    @cached_property
    def _written_for_frames(self) -> FrameCaptions:
        """What the processor writes around the frames of a video, read off blank ones."""
        return FrameCaptions.of([self._around_frames(count) for count in TRIED])

    def _around_frames(self, count: int) -> list[str]:
        """The texts before, between and after the frames of a blank video; none where the processor does not take it."""
        blank = Footage.steady(np.zeros((count, SIDE, SIDE, 3), dtype=np.uint8), 1.0)
        try:
            text = [self.processing.placeholder("video")]
            given = self.processing.processor(text=text, **video_arguments([blank]), return_tensors="pt")
        except Exception:  # a processor may refuse a video in any way it likes
            return []
        tokens = Tokens.of_ids(given["input_ids"][0].tolist(), self.processing.tokenizer)
        soft = np.flatnonzero(tokens.ids == self.processing.soft_ids["video"])
        places = [self.block(tokens.text, tokens.offsets[position]) for position in soft]
        return [tokens.text[slice(*gap)] for gap in between(tokens.text, _joined(places))]

    @cached_property
    def _marks(self) -> list[str]:
        added = self.processing.tokenizer.get_added_vocab()
        return sorted((token for token in added if BRACKETS.fullmatch(token)), key=len, reverse=True)

    def _caption(self, modality: str) -> _Caption:
        if modality not in self._captions:
            self._captions[modality] = _Caption.of(*self._written(modality))
        return self._captions[modality]

    def _written(self, modality: str) -> tuple[str, str]:
        """What the template writes between a text, an image or a clip, and another text, besides the block."""
        parts = [{"type": "text", "text": BEFORE}, {"type": modality, modality: "1"}, {"type": "text", "text": AFTER}]
        if self.processing.templater is None or not self.processing.takes_parts:
            return "", ""
        try:
            text = self.processing.chat([{"role": "user", "content": parts}])
            place = text.index(holder := self.processing.placeholder(modality))
        except Exception:  # a template fails in its own ways on what it does not expect
            return "", ""
        start, end = self.block(text, (place, place + len(holder)))
        low, high = text.find(BEFORE), text.find(AFTER)
        return (text[low + len(BEFORE) : start], text[end:high]) if 0 <= low < start and end <= high else ("", "")


def _joined(spans: Sequence[Span]) -> list[Span]:
    """Spans in order, those that meet as one."""
    joined: list[Span] = []
    for start, end in spans:
        if joined and start <= joined[-1][1]:
            start, end = min(start, joined[-1][0]), max(end, joined.pop()[1])
        joined.append((start, end))
    return joined
