"""Bundles: prompts that begin alike, read in one row that holds what they share once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from interpreto_mllm.engine.prefixes import Order
from interpreto_mllm.engine.queries import Query
from interpreto_mllm.prompts.model_input import ModelInput

MOST_TOKENS = 128
"""Tokens of a row beyond what all its prompts begin with; in a wider one, each token looks past too many of other prompts."""

COPIED = 0.1
"""What a row costs for each position that was read before it, in tokens: its keys and values are copied."""

LEAST_GAIN = 0.1
"""Prompts are packed into a row when that saves at least this share of the row's tokens."""

FEW = 8
"""Tokens that prompts share in a trial."""


@dataclass(frozen=True, eq=False)
class PackedSequence(Query):
    """Queries read in one row. Its own reading, that of the first, stands for what all of them begin with.

    `members` are the places of the queries, and `shared` tells how many symbols each has in common with the one before.
    """

    members: tuple[int, ...] = ()
    queries: tuple[Query, ...] = ()
    shared: tuple[int, ...] = ()

    @property
    def beginning(self) -> int:
        """How many symbols all have in common, the last one of a prompt aside."""
        return min(self.shared[1:], default=len(self.reading.ids) - 1)

    def width(self, start: int) -> int:
        """Tokens of the row from position `start` on."""
        return sum(query.length for query in self.queries) - start - sum(self.shared[1:])

    def pair(self) -> PackedSequence:
        """Its first two queries, with only the end of what they begin with: enough to try a model on."""
        cut = max(self.shared[1] - FEW, 0)
        pair = tuple(Query(ModelInput(query.reading.ids[cut:]), query.target) for query in self.queries[:2])
        return PackedSequence(pair[0].reading, pair[0].target, members=(0, 1), queries=pair, shared=(0, self.shared[1] - cut))


def bundled(queries: Sequence[Query], symbols: Sequence[Int[np.ndarray, "_"]], room: int) -> list[PackedSequence]:
    """All queries in bundles, neighbours together as far as a row goes and where that pays.

    Args:
        queries: what is asked.
        symbols: what each of them reads, as for `plan_prefixes`.
        room: how long a row may be, what it goes on from included; 0 leaves each query alone in its bundle.
    """
    if not room:
        return [
            PackedSequence(one.reading, one.target, members=(i,), queries=(one,), shared=(0,)) for i, one in enumerate(queries)
        ]
    order = Order(symbols)
    lengths = np.array([queries[index].length for index in order.indices])
    found = []
    for low, high in _spans(order, lengths, room):
        members = tuple(order.indices[low:high])
        chosen = tuple(queries[member] for member in members)
        shared = (0, *order.shared[low + 1 : high].tolist())
        found.append(PackedSequence(chosen[0].reading, chosen[0].target, members=members, queries=chosen, shared=shared))
    return found


def _spans(order: Order, lengths: Int[np.ndarray, "p"], room: int) -> Iterator[tuple[int, int]]:
    """Where bundles begin and end in the order: neighbours under the same beginning, as many as fit."""
    ends = np.cumsum(lengths - order.shared)

    def fits(low: int, high: int, start: int) -> bool:
        length = int(ends[high - 1] - ends[low] + lengths[low])
        return length <= min(room, start + MOST_TOKENS)

    stack = [(0, len(lengths))]
    while stack:
        low, high = stack.pop()
        if high - low == 1:
            yield low, high
            continue
        common, cuts = order.split(low, high)
        first = low
        for begin, end in pairwise(cuts):
            if fits(first, end, common):
                continue
            if first < begin:
                yield from _worthwhile(order, lengths, first, begin)
            first = begin
            if not fits(begin, end, common):
                stack.append((begin, end))
                first = end
        if first < high:
            yield from _worthwhile(order, lengths, first, high)


def _worthwhile(order: Order, lengths: Int[np.ndarray, "p"], low: int, high: int) -> Iterator[tuple[int, int]]:
    """These together, or each alone where packing saves little."""
    shared = order.shared[low + 1 : high]
    common = int(shared.min(initial=lengths[low]))
    saved = int((shared - common).sum()) + COPIED * common * len(shared)
    width = int(lengths[low:high].sum() - shared.sum()) - common
    if high - low > 1 and saved >= LEAST_GAIN * width:
        yield low, high
    else:
        yield from pairwise(range(low, high + 1))


class PackedRows:
    """Bundles of equal start as rows of tokens: first what comes before answers, then room for each answer, at the same places.

    An answer's tokens are a prompt's last one, which predicts the answer's first, and the answer but for its last.

    Args:
        bundles: one for each row.
        start: the position that each goes on from.

    Attributes:
        ids: the tokens, 0 where there is none.
        positions: where each token stands in its own prompt.
        looks: whether a token sees another; what comes before the start is seen by all.
        room: places of an answer.
        filled: in which of the rooms at its end a row has an answer.
    """

    start: int
    room: int
    ids: Int[Tensor, "b w"]
    positions: Int[Tensor, "b w"]
    looks: Bool[Tensor, "b w w"]
    filled: Bool[Tensor, "b m"]

    def __init__(self, bundles: Sequence[PackedSequence], start: int):
        self.start = start
        self.room = max(len(query.target) for bundle in bundles for query in bundle.queries)
        most = max(len(bundle.queries) for bundle in bundles)
        self._before = max(bundle.width(start) - sum(len(query.target) for query in bundle.queries) for bundle in bundles)
        shape = (len(bundles), self._before + most * self.room)
        ids, positions = np.zeros((2, *shape), np.int64)
        looks = np.tile(np.eye(shape[1], dtype=bool), (len(bundles), 1, 1))
        for row, bundle in enumerate(bundles):
            self._fill(bundle, ids[row], positions[row], looks[row])
        self.ids, self.positions, self.looks = torch.from_numpy(ids), torch.from_numpy(positions), torch.from_numpy(looks)
        self.filled = torch.arange(most) < torch.tensor([[len(bundle.queries)] for bundle in bundles])

    def _fill(
        self, bundle: PackedSequence, ids: Int[np.ndarray, "w"], positions: Int[np.ndarray, "w"], looks: Bool[np.ndarray, "w w"]
    ) -> None:
        """Put each query's tokens in places of their own, but for what it shares with the query before it."""
        path, used = np.empty(0, np.int64), 0
        for place, (query, shared) in enumerate(zip(bundle.queries, bundle.shared, strict=True)):
            path = path[: max(shared - self.start, 0)]
            known = len(path)
            fresh = np.arange(used, used + len(query.reading.ids) - 1 - self.start - known)
            answer = self._before + place * self.room + np.arange(len(query.target))
            new, path, used = np.concatenate([fresh, answer]), np.concatenate([path, fresh]), used + len(fresh)
            seen = np.concatenate([path, answer])
            ids[new] = np.concatenate([query.reading.ids, query.target[:-1]])[self.start + known :]
            positions[new] = np.arange(self.start + known, self.start + len(seen))
            looks[np.ix_(new, seen)] = np.tri(len(new), len(seen), known, dtype=bool)
