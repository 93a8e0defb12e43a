"""What a forward is told of its rows: where tokens stand, and which of them attention may see."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from interpreto_mllm.engine.queries import Row


def row_positions(rows: Sequence[Row], start: int, length: int) -> Int[Tensor, "b l"]:
    """Where the tokens from place `start` on stand, and the padding on the right after them."""
    following = [max(start + length - len(row.input.ids), 0) for row in rows]
    places = [row.input.places(more)[start : start + length] for row, more in zip(rows, following, strict=True)]
    return torch.from_numpy(np.stack(places))


def attention_mask(rows: Sequence[Row], length: int) -> Int[Tensor, "b l"]:
    """1 for tokens that attention may see; those of answers and the padding on the right count as seen."""
    mask = torch.ones(len(rows), length, dtype=torch.int64)
    for row, seen in enumerate(row.input.seen for row in rows):
        if seen is not None:
            mask[row, : len(seen)] = torch.from_numpy(seen[:length])
    return mask
