"""Prompts whose text is tokenised again without its absent features, as if they had not been written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Bool

from interpreto_mllm.core.feature import Feature
from interpreto_mllm.prompts.granularity import Span
from interpreto_mllm.prompts.model_input import ModelInput
from interpreto_mllm.prompts.tokens import Tokens


@dataclass(frozen=True, eq=False)
class Retokenizer:
    """Tokenises what is left of a text.

    Args:
        text: the whole text.
        regions: its parts that were written in one go.
        tokenizer: the model's own.
        special: whether it adds its special tokens.
    """

    text: str
    regions: tuple[Span, ...]
    tokenizer: Any
    special: bool

    @classmethod
    def of(
        cls, text: str, regions: tuple[Span, ...], features: Sequence[Feature], tokenizer: Any, special: bool | None
    ) -> Retokenizer:
        """For a prompt with these features; `special` is None for tokens that were not made of a text.

        Raises:
            ValueError: unless each feature is a piece of the text of its own.
        """
        if special is None:
            raise ValueError(
                "Drop(retokenize=True) writes the text without its absent features and tokenises it again, but this prompt "
                "came as ids or with images or clips: give it as a text or a chat without them, or use Drop()."
            )
        spans = sorted(span for feature in features for span in feature.spans)
        apart = all(before[1] <= after[0] for before, after in pairwise(spans))
        if not apart or any(feature.pieces or not feature.spans for feature in features):
            raise ValueError(
                "Drop(retokenize=True) writes the text without its absent features, so each of them must be some characters of "
                "it; special tokens, parts of a character, images and clips are not: use Drop(), or another granularity."
            )
        return cls(text, regions, tokenizer, special)

    def input_for(self, features: Sequence[Feature], present: Bool[np.ndarray, "n"]) -> ModelInput:
        """The tokens of the text without the absent features."""
        left = self.left(
            [span for feature, there in zip(features, present, strict=True) if not there for span in feature.spans]
        )
        return ModelInput(Tokens.of_text(left, self.tokenizer, add_special_tokens=self.special).ids)

    def left(self, absent: Sequence[Span]) -> str:
        """The text without these spans.

        White space goes with the span after it, at the end of a region with the span before it. A region begins with white
        space only if it did so before.
        """
        kept = np.ones(len(self.text), dtype=bool)
        for start, end in absent:
            low, high = next(region for region in self.regions if region[0] <= start and end <= region[1])
            while start > low and self.text[start - 1].isspace():
                start -= 1
            kept[start : high if not self.text[end:high].strip() else end] = False
        for low, high in self.regions:
            left = np.flatnonzero(kept[low:high]) + low
            blank = [place for place in left if self.text[place].isspace()] if not self.text[low].isspace() else []
            for place, first in zip(blank, left, strict=False):
                if place != first:
                    break
                kept[place] = False
        return "".join(character for character, there in zip(self.text, kept, strict=True) if there)
