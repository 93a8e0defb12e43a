"""Rows that are being generated side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interpreto_mllm.engine.cache import CacheRow, join
from interpreto_mllm.prompts.model_input import ModelInput


@dataclass(frozen=True, eq=False)
class DecodingRows:
    """Rows that are being generated.

    Args:
        logits: of the next token.
        cache: what was read so far.
        seen: which entries of the cache attention may see.
        next_positions: the position of the next token.
    """

    logits: Float[Tensor, "b v"]
    cache: Any
    seen: Bool[Tensor, "b l"]
    next_positions: Int[Tensor, "*axes b"]

    def select(self, rows: Int[Tensor, "_"]) -> DecodingRows:
        """These rows, in this order; one may be given several times."""
        cache = join([CacheRow(self.cache, row, self.seen.shape[1]) for row in rows.tolist()])
        return DecodingRows(self.logits[rows], cache, self.seen[rows], self.next_positions[..., rows])


def visible_entries(inputs: Sequence[ModelInput], padding_right: bool = False) -> Bool[Tensor, "b l"]:
    """Which entries of inputs side by side attention may see; the padding, on the left or on the right, it never does."""
    longest = max(len(input.ids) for input in inputs)
    seen = torch.zeros(len(inputs), longest, dtype=torch.bool)
    for row, input in enumerate(inputs):
        start = 0 if padding_right else longest - len(input.ids)
        seen[row, start : start + len(input.ids)] = True if input.seen is None else torch.from_numpy(input.seen)
    return seen
