"""Rows that are being answered side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interpreto_mllm.engine.cache import CacheRow, join
from interpreto_mllm.prompts.model_input import ModelInput


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows that are being answered: the scores of the next token, the cache, what may be seen of it, the next position."""

    logits: Float[Tensor, "b v"]
    cache: Any
    seen: Bool[Tensor, "b l"]
    following: Int[Tensor, "*axes b"]

    def kept(self, rows: Int[Tensor, "_"]) -> Rows:
        """Only these rows."""
        cache = join([CacheRow(self.cache, row, self.seen.shape[1]) for row in rows.tolist()])
        return Rows(self.logits[rows], cache, self.seen[rows], self.following[..., rows])


def seen_places(readings: list[ModelInput], on_the_right: bool = False) -> Bool[Tensor, "b l"]:
    """Which places of rows put side by side may be seen: the padding on the left, or on the right, never."""
    longest = max(len(reading.ids) for reading in readings)
    seen = torch.zeros(len(readings), longest, dtype=torch.bool)
    for row, reading in enumerate(readings):
        start = 0 if on_the_right else longest - len(reading.ids)
        there = True if reading.seen is None else torch.from_numpy(reading.seen)
        seen[row, start : start + len(reading.ids)] = there
    return seen
