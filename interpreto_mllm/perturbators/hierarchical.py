"""Chains of coalitions that follow a hierarchy of groups and spend the budget where attributions are large."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import permutations
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from interpreto_mllm.core.coalitions import coalition_keys
from interpreto_mllm.core.design import Design
from interpreto_mllm.core.evaluations import Draw
from interpreto_mllm.core.hierarchy import FeatureGroup
from interpreto_mllm.perturbators.perturbator import Drawing, Perturbator

MOST_ENUMERATED_GROUPS = 5
"""Top-level groups up to which all their orders are played."""


class HierarchicalPerturbator(Perturbator):
    """Draws chains for `OwenAggregator`: a group's children join one by one, in random order, a random context of whole groups.

    Chains come in antithetic pairs: the second is the whole order reversed, context included. If the budget covers every
    coalition that a consistent order can pass through, all of them are drawn. If not, a pilot first plays the top-level
    groups (all their orders if there are at most five and this takes at most a quarter of the budget). It then opens groups
    with one pair each, those of the largest estimated |value| (over targets) first and their children before smaller groups,
    in contexts that the chains above have already paid for. The rest of the budget goes to all opened groups: one more pair
    each, then in proportion to their |values|. The weights of these later chains make them count as a fixed part of each
    mean, however many there are, so that the use of the pilot introduces no bias. If one more pair each is too much, the
    rest goes to groups picked at random, regardless of the pilot. A chain is never cut, so some evaluations may stay
    unspent. Attributions are unbiased once the budget opens every group.

    Args:
        groups: nested lists of feature indices, such as `[[0, 1, 2], [[3, 4], [5]]]` for turns, sentences and words.

    Raises:
        ValueError: for groups that do not hold each feature exactly once, or hold something else than indices and lists.

    Example:
        >>> [draw] = HierarchicalPerturbator([[0, 1], [2]]).draw(3, 8, torch.Generator().manual_seed(0))
        >>> draw.coalitions.int().tolist()  # features 0 or 1 alone, with 2, and 2 never joins between them
        [[0, 0, 0], [0, 0, 1], [0, 1, 0], [0, 1, 1], [1, 0, 0], [1, 0, 1], [1, 1, 0], [1, 1, 1]]
    """

    def __init__(self, groups: Sequence[Any]):
        self.groups = groups
        self._root = FeatureGroup.of(groups)

    def minimum_budget(self, n: int) -> int:
        """One chain through the top-level groups."""
        self._root.require(n)
        return len(self._root.children) + 1 if self._root.children else 2

    def draw(self, n: int, budget: int, generator: torch.Generator) -> Drawing:
        """Yield chains, round by round."""
        self._root.require(n)
        if self._root.count_consistent() <= budget:
            yield Draw(_all_consistent(self._root, n), design=Design.HIERARCHY)
            return
        plan = _ChainPlan(self._root, n, budget, generator)
        waiting = [self._root]
        while waiting:
            wave = plan.largest(waiting)
            opened = [node for node in wave if plan.open(node)]
            if opened:
                plan.learn((yield plan.flush()))
            waiting = [node for node in waiting if node not in wave]
            waiting += [child for node in opened for child in node.children if child.children]
        if plan.refine():
            yield plan.flush()


def _all_consistent(root: FeatureGroup, n: int) -> Bool[Tensor, "p n"]:
    """Every coalition that an order consistent with the groups passes through."""
    found = []
    for feature, contexts, _ in root.contexts(n):
        joined = contexts.clone()
        joined[:, feature] = True
        found += [contexts, joined]
    return torch.cat(found).unique(dim=0)


@dataclass(eq=False)
class _ChainPair:
    """Two antithetic chains of a group, or one if the budget had no more: the context of each, and the children's order."""

    contexts: list[Bool[Tensor, "n"]]
    orders: list[list[int]]


@dataclass(eq=False)
class _OpenedGroup:
    """A group whose children are played: these as coalitions, its pairs of the stage, and how many of its parent's it used."""

    node: FeatureGroup
    masks: Bool[Tensor, "children n"]
    pairs: list[_ChainPair] = field(default_factory=list)
    used: int = 0
    enumerated: bool = False


class _ChainPlan:
    """The chains to be evaluated next, what they cost, and the |values| estimated from earlier ones."""

    def __init__(self, root: FeatureGroup, n: int, budget: int, generator: torch.Generator):
        self.root, self.n, self.budget, self.generator = root, n, budget, generator
        self.parent = {child: (node, index) for node in root.walk() for index, child in enumerate(node.children)}
        self.magnitude = {root: 1.0}
        self.opened: dict[FeatureGroup, _OpenedGroup] = {}
        self.seen = set(coalition_keys(torch.stack([torch.zeros(n, dtype=torch.bool), torch.ones(n, dtype=torch.bool)])))
        self.queue: list[tuple[FeatureGroup, list[int], Bool[Tensor, "_ n"]]] = []
        self.chains = 0
        self.later_weight = 0.0

    @property
    def left(self) -> int:
        return self.budget - len(self.seen)

    def largest(self, nodes: list[FeatureGroup]) -> list[FeatureGroup]:
        """Those with at least half the largest |value|, largest first."""
        top = max(self.magnitude[node] for node in nodes)
        return sorted((node for node in nodes if self.magnitude[node] >= top / 2), key=lambda node: -self.magnitude[node])

    def open(self, node: FeatureGroup) -> bool:
        """Queue the pilot's pair of a group, or all orders of few top-level ones; False if the budget has no chain left."""
        children = len(node.children)
        group = self.opened.setdefault(node, _OpenedGroup(node, torch.stack([child.mask(self.n) for child in node.children])))
        if node is self.root and children <= MOST_ENUMERATED_GROUPS and 2**children <= self.budget // 4:
            group.enumerated = True
            empty = torch.zeros(self.n, dtype=torch.bool)
            for order in permutations(range(children)):
                self._add_chains(group, [empty], [list(order)])
            return True
        if self._add_pair(group, self._contexts(node)):
            return True
        del self.opened[node]
        return False

    def refine(self) -> bool:
        """Queue the later stage; False when the budget has nothing left for it."""
        groups = [group for group in self.opened.values() if not group.enumerated]
        sweep = sum(2 * (len(group.masks) - 1) for group in groups)
        for group in groups:
            group.pairs, group.used = [], 0
        if sweep > self.left:
            for index in torch.randperm(len(groups), generator=self.generator).tolist():
                self._add_pair(groups[index], self._contexts(groups[index].node))
            return bool(self.queue)
        self.later_weight = self.left / max(sweep, 1)
        for group in groups:
            self._add_pair(group, self._contexts(group.node))
        self._spend_by_magnitude(groups)
        return bool(self.queue)

    def _spend_by_magnitude(self, groups: list[_OpenedGroup]) -> None:
        magnitudes = [sum(self.magnitude[child] for child in group.node.children) for group in groups]
        total = sum(magnitudes) or 1.0
        before = -1
        while 0 < self.left != before:
            before = left = self.left
            for group, magnitude in zip(groups, magnitudes, strict=True):
                quota = left * magnitude / total / (2 * len(group.masks) + 2)
                for _ in range(int(quota + float(torch.rand((), generator=self.generator)))):
                    if not self._add_pair(group, self._contexts(group.node)):
                        break

    def _contexts(self, node: FeatureGroup) -> list[Bool[Tensor, "n"]]:
        """What precedes the group in an order and its reverse: in a pair of its parent that it has not used, or a new one."""
        if node is self.root:
            return [torch.zeros(self.n, dtype=torch.bool)] * 2
        parent, index = self.parent[node]
        pairs, used = self.opened[parent].pairs, self.opened[node].used
        if self.opened[parent].enumerated or used == len(pairs):
            return self._new_contexts(node)
        self.opened[node].used += 1
        return self._before(parent, index, pairs[used])

    def _new_contexts(self, node: FeatureGroup) -> list[Bool[Tensor, "n"]]:
        if node is self.root:
            return [torch.zeros(self.n, dtype=torch.bool)] * 2
        parent, index = self.parent[node]
        return self._before(parent, index, self._antithetic(self.opened[parent], self._new_contexts(parent)))

    def _before(self, parent: FeatureGroup, index: int, pair: _ChainPair) -> list[Bool[Tensor, "n"]]:
        masks = self.opened[parent].masks
        present = [c | masks[order[: order.index(index)]].any(0) for c, order in zip(pair.contexts, pair.orders, strict=True)]
        return [present[0], present[-1]]

    def _antithetic(self, group: _OpenedGroup, contexts: list[Bool[Tensor, "n"]]) -> _ChainPair:
        order = torch.randperm(len(group.masks), generator=self.generator).tolist()
        return _ChainPair(contexts, [order, order[::-1]])

    def _add_pair(self, group: _OpenedGroup, contexts: list[Bool[Tensor, "n"]]) -> bool:
        pair = self._antithetic(group, contexts)
        both = self._add_chains(group, pair.contexts, pair.orders)
        return both or self._add_chains(group, pair.contexts[:1], pair.orders[:1])

    def _add_chains(self, group: _OpenedGroup, contexts: list[Bool[Tensor, "n"]], orders: list[list[int]]) -> bool:
        """Queue these chains if the budget covers all of them."""
        rows = [
            torch.cat([context[None], context | group.masks[order].cumsum(0).bool()])
            for context, order in zip(contexts, orders, strict=True)
        ]
        new = set(coalition_keys(torch.cat(rows))) - self.seen
        if len(new) > self.left:
            return False
        self.seen |= new
        self.queue += [(group.node, order, chain) for order, chain in zip(orders, rows, strict=True)]
        group.pairs.append(_ChainPair(contexts, orders))
        return True

    def flush(self) -> Draw:
        """The queued chains as a draw."""
        lengths = torch.tensor([len(chain) for _, _, chain in self.queue])
        numbers = torch.arange(self.chains, self.chains + len(self.queue))
        self.chains += len(self.queue)
        counts = [self.later_weight / len(self.opened[node].pairs) if self.later_weight else 1.0 for node, _, _ in self.queue]
        weights = torch.tensor(counts, dtype=torch.float64)
        coalitions = torch.cat([chain for _, _, chain in self.queue])
        return Draw(coalitions, weights.repeat_interleave(lengths), numbers.repeat_interleave(lengths), design=Design.HIERARCHY)

    def learn(self, values: Float[Tensor, "p t"]) -> None:
        """Estimate the |values| of the opened groups' children from their chains, and empty the queue."""
        sums: dict[FeatureGroup, list[Tensor]] = {}
        for (node, order, _), chain in zip(self.queue, values.split([len(chain) for _, _, chain in self.queue]), strict=True):
            for index, gain in zip(order, chain.diff(dim=0), strict=True):
                sums.setdefault(node.children[index], []).append(gain)
        for child, gains in sums.items():
            self.magnitude[child] = float(torch.stack(gains).mean(0).abs().max())
        self.queue = []
