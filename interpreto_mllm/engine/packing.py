"""Packed sequences: prompts with a common prefix, read in one row that holds what they share once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Int

from interpreto_mllm.engine.prefixes import PrefixOrder
from interpreto_mllm.engine.queries import Score
from interpreto_mllm.prompts.model_input import ModelInput

MAX_TOKENS = 128
"""Tokens of a row beyond its common prefix; in a longer one, each token passes over too many of other prompts."""

COST_OF_CACHED = 0.1
"""What a row costs for each position that was read before it, in tokens: its keys and values are copied."""

MIN_SAVING = 0.1
"""Prompts are packed into a row when that saves at least this share of the row's tokens."""

TRIAL_PREFIX_TOKENS = 8
"""Tokens of the common prefix that are kept in a trial."""


@dataclass(frozen=True, eq=False)
class PackedSequence:
    """Queries that are read in one row.

    Args:
        queries: what is read.
        members: their indices among all queries.
        shared: how many symbols each has in common with the one before it.
    """

    queries: tuple[Score, ...]
    members: tuple[int, ...]
    shared: tuple[int, ...]

    @property
    def input(self) -> ModelInput:
        """An input that begins with the common prefix."""
        return self.queries[0].input

    @property
    def continuation(self) -> tuple[int, ...]:
        """Nothing is read after the common prefix before the queries go separate ways."""
        return ()

    @property
    def prefix_length(self) -> int:
        """How many symbols all of them share, the last one of a prompt aside."""
        return min(self.shared[1:], default=len(self.input.ids) - 1)

    def width(self, start: int) -> int:
        """Tokens of the row from position `start` on."""
        return sum(query.length for query in self.queries) - start - sum(self.shared[1:])

    @property
    def saving(self) -> int:
        """Tokens that are read fewer than in rows that each go on from the common prefix."""
        return sum(shared - self.prefix_length for shared in self.shared[1:])

    def trial(self) -> PackedSequence:
        """Its first two queries, with only the end of their common prefix: enough to try a model on.

        A prefix with images or clips stays whole.
        """
        cut = 0 if self.input.media else max(self.shared[1] - TRIAL_PREFIX_TOKENS, 0)
        pair = tuple(Score(query.input.after(cut), query.target) for query in self.queries[:2])
        return PackedSequence(pair, (0, 1), (0, self.shared[1] - cut))


def pack(queries: Sequence[Score], symbols: Sequence[Int[np.ndarray, "_"]], capacity: int) -> list[PackedSequence]:
    """All queries in packed sequences, neighbours together as far as a row goes and where that pays.

    Args:
        queries: what is asked.
        symbols: what each of them reads, as for `plan_prefixes`.
        capacity: how many tokens a row may hold, with those of the cache that it goes on from; 0 packs nothing.
    """
    if not capacity:
        return [PackedSequence((query,), (index,), (0,)) for index, query in enumerate(queries)]
    order = PrefixOrder(symbols)
    lengths = np.array([queries[index].length for index in order.indices])
    packed = []
    for low, high in _spans(order, lengths, capacity):
        members = tuple(order.indices[low:high])
        shared = (0, *order.shared[low + 1 : high].tolist())
        packed.append(PackedSequence(tuple(queries[member] for member in members), members, shared))
    return packed


def _spans(order: PrefixOrder, lengths: Int[np.ndarray, "p"], capacity: int) -> Iterator[tuple[int, int]]:
    """Where packed sequences begin and end in the order: neighbours with the same prefix, as many as fit."""
    ends = np.cumsum(lengths - order.shared)

    def fits(low: int, high: int, prefix: int) -> bool:
        length = int(ends[high - 1] - ends[low] + lengths[low])
        return length <= min(capacity, prefix + MAX_TOKENS)

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
                yield from _if_worthwhile(order, lengths, first, begin)
            first = begin
            if not fits(begin, end, common):
                stack.append((begin, end))
                first = end
        if first < high:
            yield from _if_worthwhile(order, lengths, first, high)


def _if_worthwhile(order: PrefixOrder, lengths: Int[np.ndarray, "p"], low: int, high: int) -> Iterator[tuple[int, int]]:
    """These together, or each alone where packing saves little."""
    shared = order.shared[low + 1 : high]
    common = int(shared.min(initial=lengths[low]))
    saved = int((shared - common).sum()) + COST_OF_CACHED * common * len(shared)
    width = int(lengths[low:high].sum() - shared.sum()) - common
    if high - low > 1 and saved >= MIN_SAVING * width:
        yield low, high
    else:
        yield from pairwise(range(low, high + 1))
