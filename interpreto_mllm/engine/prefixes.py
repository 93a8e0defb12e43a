"""Shared prefixes: which of them are worth computing once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise

import numpy as np
from jaxtyping import Int

MIN_SAVINGS = (0.03, 0.06, 0.12, 0.3, 1.0)
"""Candidate plans: a level of the trie is kept when it saves at least this share of all tokens; 1 keeps none."""


@dataclass(eq=False)
class Node:
    """A prefix that several sequences share: computed once, then continued.

    Args:
        length: of the prefix.
        sample: the index of any sequence that starts with it.
        children: longer prefixes that start with it.
        leaves: the indices of the sequences that are continued straight from here.
    """

    length: int
    sample: int
    children: list[Node] = field(default_factory=list)
    leaves: list[int] = field(default_factory=list)


def plan_prefixes(sequences: Sequence[Int[np.ndarray, "_"]], batch_size: int, forward_cost: int) -> Node:
    """The root (length 0) of a tree of shared prefixes that pay.

    A prefix pays when the tokens that it saves, together with those of the other prefixes at its level, are more than its
    share of forwards costs and a noticeable part of all tokens. The last token of a sequence is never part of a prefix: its
    output predicts the first token of the answer.

    Args:
        sequences: what is read before the answer, one array of symbols each; symbols are equal where tokens are.
        batch_size: rows in a forward.
        forward_cost: what a forward costs beyond its tokens, in tokens.

    Example:
        >>> root = plan_prefixes([np.array([1] * 50 + [i, 9]) for i in range(8)], 8, 16)
        >>> [(child.length, sorted(child.leaves)) for child in root.children]
        [(50, [0, 1, 2, 3, 4, 5, 6, 7])]
    """
    order = PrefixOrder(sequences)
    lengths = [len(sequence) for sequence in sequences]
    split = cache(order.split)
    plans = [_plan(order.indices, split, share * sum(lengths), batch_size, forward_cost) for share in MIN_SAVINGS]
    return min(plans, key=lambda plan: _cost(plan, lengths, batch_size, forward_cost))


def plain_plan(rows: int) -> Node:
    """A plan in which nothing is shared."""
    return Node(0, 0, leaves=list(range(rows)))


class PrefixOrder:
    """Sequences in sorted order, in which those with a common prefix are neighbours.

    Args:
        sequences: one array of symbols each.

    Attributes:
        indices: the index of each among the sequences.
        shared: how many symbols each shares with the one before it, the last one of a sequence aside.
    """

    def __init__(self, sequences: Sequence[Int[np.ndarray, "_"]]):
        self.indices = sorted(range(len(sequences)), key=lambda index: sequences[index].tolist())
        self.shared = _shared_lengths([sequences[index] for index in self.indices])

    def split(self, low: int, high: int) -> tuple[int, list[int]]:
        """How many symbols those from `low` to `high` share, and where groups that share more begin and end."""
        shared = self.shared[low + 1 : high]
        common = int(shared.min())
        return common, [low, *(low + 1 + np.flatnonzero(shared == common)).tolist(), high]


def _plan(
    order: list[int],
    split: Callable[[int, int], tuple[int, list[int]]],
    min_saving: float,
    batch_size: int,
    forward_cost: int,
) -> Node:
    """The tree whose levels each save more than `min_saving` tokens, and more than their forwards cost."""
    total = len(order)
    root = Node(0, order[0])
    stack = [(0, total, root)]
    while stack:
        low, high, node = stack.pop()
        if high - low == 1:
            node.leaves.append(order[low])
            continue
        common, cuts = split(low, high)
        width = total / (high - low)
        saved = width * (high - low - 1) * (common - node.length)
        if common > node.length and saved > max(forward_cost * max(1.0, width / batch_size), min_saving):
            child = Node(common, order[low])
            node.children.append(child)
            node = child
        stack += [(a, b, node) for a, b in pairwise(cuts)]
    return root


def _cost(root: Node, lengths: list[int], batch_size: int, forward_cost: int) -> int:
    """What a plan costs in tokens: those it reads, and what its forwards cost beyond them."""
    tokens, forwards, stack = 0, Counter[tuple[int, int]](), [root]
    while stack:
        node = stack.pop()
        tokens += sum(lengths[leaf] - node.length for leaf in node.leaves)
        tokens += sum(child.length - node.length for child in node.children)
        forwards[node.length, 0] += len(node.leaves)
        forwards.update((node.length, child.length) for child in node.children)
        stack += node.children
    return tokens + forward_cost * sum(-(-count // batch_size) for count in forwards.values())


def _shared_lengths(ordered: list[Int[np.ndarray, "_"]]) -> Int[np.ndarray, "p"]:
    """How many symbols each sequence shares with the one before it, its last one aside."""
    shared = np.zeros(len(ordered), dtype=np.int64)
    for index in range(1, len(ordered)):
        previous, current = ordered[index - 1], ordered[index]
        length = min(len(previous), len(current)) - 1
        differs = np.flatnonzero(previous[:length] != current[:length])
        shared[index] = differs[0] if len(differs) else max(length, 0)
    return shared
