"""Packed sequences as tensors: token ids, positions, and which token attends to which."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from einops import rearrange, repeat
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interpreto_mllm.engine.packing import PackedSequence


class PackedRows:
    """Packed sequences that go on from one position, one a row: first what comes before answers, then a slot for each answer.

    An answer's slot holds the prompt's last token, which predicts the answer's first, and the answer up to its last token.
    Slots are as wide as the longest answer, and at the same places in all rows.

    Args:
        packed: a sequence for each row.
        start: the position that each goes on from.

    Attributes:
        ids: the tokens, 0 where there is none.
        positions: where each token stands in its own prompt.
        attention: which tokens (last axis) each token sees; what comes before `start` is seen by all.
        slot_width: tokens in a slot.
        occupied: which slots of a row hold an answer.
    """

    start: int
    slot_width: int
    ids: Int[Tensor, "b l"]
    positions: Int[Tensor, "b l"]
    attention: Bool[Tensor, "b l l"]
    occupied: Bool[Tensor, "b slot"]

    def __init__(self, packed: Sequence[PackedSequence], start: int):
        self.start = start
        self.slot_width = max(len(query.target) for sequence in packed for query in sequence.queries)
        slots = max(len(sequence.queries) for sequence in packed)
        self._before = max(sequence.width(start) - sum(len(query.target) for query in sequence.queries) for sequence in packed)
        width = self._before + slots * self.slot_width
        ids, positions = np.zeros((2, len(packed), width), np.int64)
        attention = repeat(np.eye(width, dtype=bool), "l other -> b l other", b=len(packed)).copy()
        for row, sequence in enumerate(packed):
            self._fill(sequence, ids[row], positions[row], attention[row])
        self.ids, self.positions, self.attention = (torch.from_numpy(array) for array in (ids, positions, attention))
        self.occupied = torch.arange(slots) < torch.tensor([[len(sequence.queries)] for sequence in packed])

    def attention_of(self, slot: int, token: int) -> Bool[Tensor, "b l"]:
        """What a token of a slot sees in each row."""
        slots = self.occupied.shape[1]
        return self.attention[:, self.attention.shape[1] - (slots - slot) * self.slot_width + token]

    def of_answers(self, logits: Float[Tensor, "b l v"]) -> Float[Tensor, "query t v"]:
        """The logits in occupied slots, of all the rows' logits or of those in slots."""
        in_slots = logits[:, -self.occupied.shape[1] * self.slot_width :]
        by_slot = rearrange(in_slots, "b (slot t) v -> b slot t v", t=self.slot_width)
        return by_slot[self.occupied.to(logits.device)]

    def _fill(
        self,
        sequence: PackedSequence,
        ids: Int[np.ndarray, "l"],
        positions: Int[np.ndarray, "l"],
        attention: Bool[np.ndarray, "l l"],
    ) -> None:
        """Put each query's tokens in places of their own, except for what it shares with the query before it."""
        path, used = np.empty(0, np.int64), 0
        for slot, (query, shared) in enumerate(zip(sequence.queries, sequence.shared, strict=True)):
            path = path[: max(shared - self.start, 0)]
            known = len(path)
            before = np.arange(used, used + len(query.input.ids) - 1 - self.start - known)
            answer = self._before + slot * self.slot_width + np.arange(len(query.target))
            new, path, used = np.concatenate([before, answer]), np.concatenate([path, before]), used + len(before)
            seen = np.concatenate([path, answer])
            ids[new] = np.concatenate([query.input.ids, query.continuation])[self.start + known :]
            positions[new] = query.input.places(len(query.continuation))[self.start + known :]
            attention[np.ix_(new, seen)] = np.tri(len(new), len(seen), known, dtype=bool)
