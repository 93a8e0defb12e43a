"""Packed sequences as tensors: token ids, positions, and which token attends to which."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from einops import rearrange, repeat
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interpreto_mllm.engine.packing import PackedSequence
from interpreto_mllm.engine.queries import Score


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
        queries: of all rows.
        owners: which query each token was put there for, -1 where there is none.
        places: where it stands among the tokens of that query.
    """

    start: int
    slot_width: int
    ids: Int[Tensor, "b l"]
    positions: Int[Tensor, "b l"]
    attention: Bool[Tensor, "b l l"]
    occupied: Bool[Tensor, "b slot"]
    queries: list[Score]
    owners: Int[Tensor, "b l"]
    places: Int[Tensor, "b l"]

    def __init__(self, packed: Sequence[PackedSequence], start: int):
        self.start = start
        self.slot_width = max(len(query.target) for sequence in packed for query in sequence.queries)
        slots = max(len(sequence.queries) for sequence in packed)
        self._before = max(sequence.width(start) - sum(len(query.target) for query in sequence.queries) for sequence in packed)
        width = self._before + slots * self.slot_width
        self.queries = [query for sequence in packed for query in sequence.queries]
        owners, places = np.full((2, len(packed), width), -1)
        attention = repeat(np.eye(width, dtype=bool), "l other -> b l other", b=len(packed)).copy()
        first = 0
        for row, sequence in enumerate(packed):
            self._fill(sequence, first, owners[row], places[row], attention[row])
            first += len(sequence.queries)
        self.owners, self.places, self.attention = (torch.from_numpy(array) for array in (owners, places, attention))
        self.ids = self.laid_out([np.array([*query.input.ids, *query.continuation]) for query in self.queries])
        self.positions = self.laid_out([query.input.places(len(query.continuation)) for query in self.queries])
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

    def laid_out(self, each: Sequence[Int[np.ndarray, "*axes _"]]) -> Int[Tensor, "*axes b l"]:
        """A number for each token of each query, in the places of these tokens; 0 where there is none."""
        whole = np.zeros((*each[0].shape[:-1], *self.owners.shape), np.int64)
        owners, places = self.owners.numpy(), self.places.numpy()
        for owner, numbers in enumerate(each):
            mine = owners == owner
            whole[..., mine] = numbers[..., places[mine]]
        return torch.from_numpy(whole)

    def _fill(
        self,
        sequence: PackedSequence,
        first: int,
        owners: Int[np.ndarray, "l"],
        places: Int[np.ndarray, "l"],
        attention: Bool[np.ndarray, "l l"],
    ) -> None:
        """Give each query's tokens places of their own, except for what it shares with the query before it."""
        path, used = np.empty(0, np.int64), 0
        for slot, (query, shared) in enumerate(zip(sequence.queries, sequence.shared, strict=True)):
            path = path[: max(shared - self.start, 0)]
            known = len(path)
            before = np.arange(used, used + len(query.input.ids) - 1 - self.start - known)
            answer = self._before + slot * self.slot_width + np.arange(len(query.target))
            new, path, used = np.concatenate([before, answer]), np.concatenate([path, before]), used + len(before)
            seen = np.concatenate([path, answer])
            owners[new] = first + slot
            places[new] = np.arange(self.start + known, query.length)
            attention[np.ix_(new, seen)] = np.tri(len(new), len(seen), known, dtype=bool)
