"""Tokens of nothing but white space, which are left out where nothing is left before them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from interpreto_mllm.prompts.granularity import Span
from interpreto_mllm.prompts.tokens import Tokens

REST = 16
"""Characters after a blank that are tokenised to see whether the tokenizer begins texts with a blank by itself."""


@dataclass(frozen=True, eq=False)
class Blanks:
    """Tokens of white space alone, within stretches of text that do not begin with white space.

    Args:
        alone: which tokens are such; not those that the tokenizer itself would write at the beginning of the text after them.
        region: the stretch that each token is in, or -1.
    """

    alone: Bool[np.ndarray, "l"]
    region: Int[np.ndarray, "l"]

    @classmethod
    def of(cls, tokens: Tokens, regions: Sequence[Span], tokenizer: Any) -> Blanks | None:
        """Those of some stretches of a prompt; None if there are none."""
        alone, region = np.zeros(len(tokens.ids), dtype=bool), np.full(len(tokens.ids), -1, dtype=np.int64)
        held = np.full(len(tokens.text) + 1, -1, dtype=np.int64)
        for index, (start, end) in reversed([*enumerate(regions)]):
            held[start:end] = index
        for position, (start, end) in enumerate(tokens.offsets):
            if tokens.special[position] or end <= start:
                continue
            region[position] = index = int(held[start])
            if index >= 0 and tokens.text[start:end].isspace() and not tokens.text[regions[index][0]].isspace():
                written = tokenizer.encode(tokens.text[end : end + REST].lstrip(), add_special_tokens=False)
                alone[position] = list(written[:1]) != [int(tokens.ids[position])]
        return cls(alone, region) if alone.any() else None

    def dropped(self, present: Bool[np.ndarray, "l"]) -> Bool[np.ndarray, "l"]:
        """The tokens that are present, without blanks before everything else that is left of their stretch.

        Example:
            >>> blanks = Blanks(np.array([False, True, False]), np.array([0, 0, 0]))
            >>> blanks.dropped(np.array([False, True, True])).tolist(), blanks.dropped(np.array([True, True, True])).tolist()
            ([False, False, True], [True, True, True])
        """
        kept = present.copy()
        for region in np.unique(self.region[self.alone & present]):
            left = np.flatnonzero(present & (self.region == region))
            kept[left[np.logical_and.accumulate(self.alone[left])]] = False
        return kept
