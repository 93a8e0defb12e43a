"""Chains of coalitions that follow a hierarchy of groups and spend the budget where the mass is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import permutations
from typing import Any

import torch
from torch import Tensor

from interpreto_mllm.core.coalitions import coalition_keys
from interpreto_mllm.core.evaluations import Draw
from interpreto_mllm.core.hierarchy import Node
from interpreto_mllm.perturbators.perturbator import Drawing, Perturbator

ENUMERATED_GROUPS = 5


class HierarchicalPerturbator(Perturbator):
    """Draws chains for `OwenAggregator`: a group's children join one by one, in random order, a random context of whole groups.

    Chains come in antithetic pairs, the second being the whole order reversed, context included. If the budget covers
    every coalition that a consistent order can pass through, all of them are drawn. If not, a pilot first plays the
    top-level groups (all their orders if there are at most five and this takes at most a quarter of the budget), then
    opens groups with one pair each, those of the largest estimated mass (over targets) first and their children before
    lesser groups, in contexts that the chains above have already paid for. What is left goes to all opened groups: one
    more pair each, the rest in proportion to their mass. The weights of these later chains make them count as a fixed
    part of each mean, however many there are, so that looking at the pilot introduces no bias. If one more pair each is
    too much, what is left goes to groups picked at random, with no look at the pilot. A chain is never cut, so some
    evaluations may stay unspent. Attributions are unbiased once the budget opens every group.

    Args:
        groups: nested lists of feature indices, such as `[[0, 1, 2], [[3, 4], [5]]]` for turns, sentences and words.

    Raises:
        ValueError: for groups that do not hold each feature exactly once, or hold something else than indices and lists.

    Example:
        >>> [draw] = HierarchicalPerturbator([[0, 1], [2]]).draw(3, 8, torch.Generator().manual_seed(0))
        >>> draw.int().tolist()  # features 0 or 1 alone, with 2, but never torn apart around it
        [[0, 0, 0], [0, 0, 1], [0, 1, 0], [0, 1, 1], [1, 0, 0], [1, 0, 1], [1, 1, 0], [1, 1, 1]]
    """

    def __init__(self, groups: Sequence[Any]):
        self.groups = groups
        self._root = Node.of(groups)

    def minimum_budget(self, n: int) -> int:
        """One chain through the top-level groups."""
        self._root.require(n)
        return len(self._root.children) + 1 if self._root.children else 2

    def draw(self, n: int, budget: int, generator: torch.Generator) -> Drawing:
        """Yield chains, round by round."""
        self._root.require(n)
        if self._root.count_consistent() <= budget:
            yield _all_consistent(self._root, n)
            return
        table = _Table(self._root, n, budget, generator)
        waiting = [self._root]
        while waiting:
            wave = table.heaviest(waiting)
            opened = [node for node in wave if table.open(node)]
            if opened:
                table.learn((yield table.flush()))
            waiting = [node for node in waiting if node not in wave]
            waiting += [child for node in opened for child in node.children if child.children]
        if table.refine():
            yield table.flush()


def _all_consistent(root: Node, n: int) -> Tensor:
    found = []
    for feature, contexts, _ in root.contexts(n):
        joined = contexts.clone()
        joined[:, feature] = True
        found += [contexts, joined]
    return torch.cat(found).unique(dim=0)


@dataclass(eq=False)
class _Pair:
    """Two antithetic chains of a node (or one, if no more could be paid): what is present before, and the children's order."""

    contexts: list[Tensor]
    orders: list[list[int]]


@dataclass(eq=False)
class _Book:
    """One opened node: its children as coalitions, the pairs of the current stage, and how many of its parent's it has used."""

    node: Node
    masks: Tensor
    pairs: list[_Pair] = field(default_factory=list)
    used: int = 0
    enumerated: bool = False


class _Table:
    """The chains on their way to be evaluated, what they cost, and what earlier ones taught."""

    def __init__(self, root: Node, n: int, budget: int, generator: torch.Generator):
        self.root, self.n, self.budget, self.generator = root, n, budget, generator
        self.parent = {child: (node, index) for node in root.walk() for index, child in enumerate(node.children)}
        self.mass = {root: 1.0}
        self.books: dict[Node, _Book] = {}
        self.seen = set(coalition_keys(torch.stack([torch.zeros(n, dtype=torch.bool), torch.ones(n, dtype=torch.bool)])))
        self.queue: list[tuple[Node, list[int], Tensor]] = []
        self.chains = 0
        self.later_weight = 0.0

    @property
    def left(self) -> int:
        return self.budget - len(self.seen)

    def heaviest(self, nodes: list[Node]) -> list[Node]:
        """Those with at least half the largest mass, heaviest first."""
        top = max(self.mass[node] for node in nodes)
        return sorted((node for node in nodes if self.mass[node] >= top / 2), key=lambda node: -self.mass[node])

    def open(self, node: Node) -> bool:
        """The pilot's pair of a node, or all orders of few top-level groups; False if not even one chain can be paid."""
        k = len(node.children)
        book = self.books.setdefault(node, _Book(node, torch.stack([child.mask(self.n) for child in node.children])))
        if node is self.root and k <= ENUMERATED_GROUPS and 2**k <= self.budget // 4:
            book.enumerated = True
            nothing = torch.zeros(self.n, dtype=torch.bool)
            for order in permutations(range(k)):
                self._deal(book, [nothing], [list(order)])
            return True
        if self._deal_pair(book, self._contexts(node)):
            return True
        del self.books[node]
        return False

    def refine(self) -> bool:
        """Queue the later stage; False when nothing more can be paid."""
        books = [book for book in self.books.values() if not book.enumerated]
        sweep = sum(2 * (len(book.masks) - 1) for book in books)
        for book in books:
            book.pairs, book.used = [], 0
        if sweep > self.left:
            for index in torch.randperm(len(books), generator=self.generator).tolist():
                self._deal_pair(books[index], self._contexts(books[index].node))
            return bool(self.queue)
        self.later_weight = self.left / max(sweep, 1)
        for book in books:
            self._deal_pair(book, self._contexts(book.node))
        self._spend_by_mass(books)
        return bool(self.queue)

    def _spend_by_mass(self, books: list[_Book]) -> None:
        masses = [sum(self.mass[child] for child in book.node.children) for book in books]
        total = sum(masses) or 1.0
        before = -1
        while 0 < self.left != before:
            before = left = self.left
            for book, mass in zip(books, masses, strict=True):
                quota = left * mass / total / (2 * len(book.masks) + 2)
                for _ in range(int(quota + float(torch.rand((), generator=self.generator)))):
                    if not self._deal_pair(book, self._contexts(book.node)):
                        break

    def _contexts(self, node: Node) -> list[Tensor]:
        """What precedes the node in an order and in its reverse: in a pair of its parent not used for it yet, or afresh."""
        if node is self.root:
            return [torch.zeros(self.n, dtype=torch.bool)] * 2
        parent, index = self.parent[node]
        pairs, used = self.books[parent].pairs, self.books[node].used
        if self.books[parent].enumerated or used == len(pairs):
            return self._contexts_afresh(node)
        self.books[node].used += 1
        return self._before(parent, index, pairs[used])

    def _contexts_afresh(self, node: Node) -> list[Tensor]:
        if node is self.root:
            return [torch.zeros(self.n, dtype=torch.bool)] * 2
        parent, index = self.parent[node]
        return self._before(parent, index, self._antithetic(self.books[parent], self._contexts_afresh(parent)))

    def _before(self, parent: Node, index: int, pair: _Pair) -> list[Tensor]:
        masks = self.books[parent].masks
        present = [c | masks[order[: order.index(index)]].any(0) for c, order in zip(pair.contexts, pair.orders, strict=True)]
        return [present[0], present[-1]]

    def _antithetic(self, book: _Book, contexts: list[Tensor]) -> _Pair:
        order = torch.randperm(len(book.masks), generator=self.generator).tolist()
        return _Pair(contexts, [order, order[::-1]])

    def _deal_pair(self, book: _Book, contexts: list[Tensor]) -> bool:
        pair = self._antithetic(book, contexts)
        return self._deal(book, pair.contexts, pair.orders) or self._deal(book, pair.contexts[:1], pair.orders[:1])

    def _deal(self, book: _Book, contexts: list[Tensor], orders: list[list[int]]) -> bool:
        """Queue these chains if the budget can pay all of them."""
        rows = [
            torch.cat([context[None], context | book.masks[order].cumsum(0).bool()])
            for context, order in zip(contexts, orders, strict=True)
        ]
        new = set(coalition_keys(torch.cat(rows))) - self.seen
        if len(new) > self.left:
            return False
        self.seen |= new
        self.queue += [(book.node, order, chain) for order, chain in zip(orders, rows, strict=True)]
        book.pairs.append(_Pair(contexts, orders))
        return True

    def flush(self) -> Draw:
        """The queued chains as a draw."""
        lengths = torch.tensor([len(chain) for _, _, chain in self.queue])
        numbers = torch.arange(self.chains, self.chains + len(self.queue))
        self.chains += len(self.queue)
        counts = [self.later_weight / len(self.books[node].pairs) if self.later_weight else 1.0 for node, _, _ in self.queue]
        weights = torch.tensor(counts, dtype=torch.float64)
        coalitions = torch.cat([chain for _, _, chain in self.queue])
        return Draw(coalitions, weights.repeat_interleave(lengths), numbers.repeat_interleave(lengths))

    def learn(self, values: Tensor) -> None:
        """Take the masses of the opened nodes' children from their chains, and forget the queue."""
        sums: dict[Node, list[Tensor]] = {}
        for (node, order, _), chain in zip(self.queue, values.split([len(chain) for _, _, chain in self.queue]), strict=True):
            for index, gain in zip(order, chain.diff(dim=0), strict=True):
                sums.setdefault(node.children[index], []).append(gain)
        for child, gains in sums.items():
            self.mass[child] = float(torch.stack(gains).mean(0).abs().max())
        self.queue = []
