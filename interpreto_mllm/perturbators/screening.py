"""Chains of groups that find the few features that matter, then coalitions of these with all others present."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from math import ceil, log2
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from interpreto_mllm.core.coalitions import coalition_keys
from interpreto_mllm.core.design import Design
from interpreto_mllm.core.evaluations import Draw
from interpreto_mllm.core.hierarchy import FeatureGroup
from interpreto_mllm.perturbators.active import ActivePerturbator
from interpreto_mllm.perturbators.perturbator import Drawing, Perturbator
from interpreto_mllm.perturbators.subsets import counting

BRANCHES = 8
"""Groups that one is divided into, at most."""
EVALUATIONS_PER_GROUP = 8
"""Of what is left of the budget, for each group that a chain begins with."""
KEPT_SHARE = 0.05
"""Of the largest gain: groups with less are not opened at first, and features with less are not kept."""
MOST_KEPT = 24
"""Features that are kept, at most."""
LEAST_PER_FEATURE, SETTLED_PER_FEATURE = 3, 10
"""Evaluations for each kept feature that are set aside, and that are made at most."""

Round = Generator[Draw, Float[Tensor, "p t"], None]


class ScreeningPerturbator(Perturbator):
    """Finds the few features that matter among many by chains of groups, then plays these with all others present.

    A chain adds groups to a coalition one after the other, in the order of the features, so that on a text each coalition
    begins like the one before it and a forward reads little besides the question. The groups with the largest gains are opened,
    level by level, down to single features; those with at least 5 % of the largest gain are kept. Then the rest is screened
    again, once in the absence of those kept, which shows what can replace them, and once in their presence, which shows what
    works with them, until nothing new is found. So s features and their interactions cost about s · log n evaluations. What is
    kept is played with all others present, by `ActivePerturbator`, with ten evaluations for each feature at most; all
    coalitions of them if there are no more. What is left of the budget opens more groups, the largest gains first; if a feature
    is found that had been hidden by another one in its group, it is kept and all are played again. A budget of 2^n draws all
    coalitions.

    Draws of a chain have its number, those of kept features −1. The sample are the last two chains, without and with the kept
    features, and the draws of these; what led there is evaluated besides.

    Args:
        groups: nested lists of feature indices, such as `[[0, 1, 2], [[3, 4], [5]]]` for turns, sentences and words; groups of
            more than eight are divided among neighbours. None: all features, in their order.

    Raises:
        ValueError: for groups that do not hold each feature exactly once, or hold something else than indices and lists.

    Example:
        >>> drawing, asked = ScreeningPerturbator().draw(1000, 200, torch.Generator()), 0
        >>> draw = next(drawing)
        >>> while True:
        ...     asked += len(draw.coalitions)
        ...     try:  # a game of two features that need each other
        ...         draw = drawing.send((draw.coalitions[:, 321:322] & draw.coalitions[:, 765:766]).double())
        ...     except StopIteration:
        ...         break
        ...     if (draw.chains == -1).any():
        ...         print((~draw.coalitions[draw.chains == -1]).any(0).nonzero().flatten().tolist())
        [321, 765]
    """

    adaptive = True

    def __init__(self, groups: Sequence[Any] | None = None):
        self.groups = groups
        self._root = None if groups is None else _narrow(FeatureGroup.of(groups))

    def minimum_budget(self, n: int) -> int:
        """What finds one feature."""
        return min(2 ** min(n, 30), 8 + 4 * ceil(log2(max(n, 2))))

    def default_budget(self, n: int) -> int:
        """64, and 32 more whenever the number of features doubles."""
        return min(2 ** min(n, 30), 64 + 32 * ceil(log2(max(n, 2))))

    def draw(self, n: int, budget: int, generator: torch.Generator) -> Drawing:
        """Yield chains round by round, then pairs of coalitions of what they found, and more chains."""
        root = _narrow(FeatureGroup.of(list(range(n)))) if self._root is None else self._root
        root.require(n)
        if 2**n <= budget:
            yield Draw(counting(n, torch.arange(2**n)), design=Design.SCREENED)
            return
        screen = _Screen(root, n, budget)
        found = True
        while found:
            while found:
                screen.begin()
                yield from screen.open(screen.left // 2, wide=False)
                found = screen.keep()
            yield from screen.settle(generator)
            yield from screen.open(screen.left - screen.reserve, wide=True)
            found = screen.keep()


@dataclass(eq=False)
class _Chain:
    """Groups that join a coalition one after the other; `asked` are the coalitions on the way that were drawn."""

    start: Bool[Tensor, "n"]
    groups: list[FeatureGroup]
    asked: set[bytes] = field(default_factory=set)

    def coalitions(self) -> Bool[Tensor, "steps n"]:
        present = self.start[None].repeat(len(self.groups) + 1, 1)
        for step, group in enumerate(self.groups):
            present[step + 1 :, list(group.members)] = True
        return present


class _Screen:
    """The features kept so far, the chains of all others, and the values known of these."""

    def __init__(self, root: FeatureGroup, n: int, budget: int):
        self.root, self.budget = root, budget
        self.kept = torch.zeros(n, dtype=torch.bool)
        self.known: dict[bytes, Tensor] = {}
        self.chains: list[_Chain] = []
        self.largest = 0.0
        self.spent = {bytes(n), bytes([1] * n)}

    @property
    def left(self) -> int:
        return self.budget - len(self.spent)

    @property
    def reserve(self) -> int:
        """What playing the kept features and one more would take."""
        return LEAST_PER_FEATURE * (int(self.kept.sum()) + 1)

    def begin(self) -> None:
        """Chains of all groups that are not kept: few and wide ones, in the absence of what is kept, and in its presence."""
        starts = [torch.zeros_like(self.kept), self.kept] if self.kept.any() else [self.kept]
        rest, each = _without(self.root, self.kept), self.left // len(starts)
        most = min(max(BRANCHES, each // EVALUATIONS_PER_GROUP), each // 2)
        self.chains = [_Chain(start, _coarse(rest, most)) for start in starts]

    def open(self, allowance: int, wide: bool) -> Round:
        """Play the chains, and open groups with a large gain as far as this many evaluations go.

        Args:
            allowance: evaluations for it.
            wide: open all others, too; in each round for half of what is left, as one may hide a large gain.
        """
        floor = self.left - allowance
        while True:
            yield from self._ask()
            gains = sorted(self._gains(), key=lambda item: (-item[0], -len(item[2].members)))
            self.largest = max([self.largest, *(gain for gain, _, group in gains if not group.children)])
            least = KEPT_SHARE * max([self.largest, *(gain for gain, _, _ in gains)])
            room, opened = self.left - floor, 0
            for gain, chain, group in gains:
                cost = len(group.children) - 1
                large = gain >= least > 0
                if group.children and opened + cost <= (room if large else ceil(room / 2) if wide else 0):
                    place = chain.groups.index(group)
                    chain.groups[place : place + 1] = group.children
                    opened += cost
            if not opened:
                return

    def keep(self) -> bool:
        """Keep single features with large gains as far as there will be evaluations for them; False if there are none."""
        largest: dict[int, float] = {}
        for gain, _, group in self._gains():
            if not group.children:
                largest[group.members[0]] = max(gain, largest.get(group.members[0], 0.0))
        found = [feature for feature, gain in largest.items() if gain > 0 and gain >= KEPT_SHARE * self.largest]
        found.sort(key=lambda feature: -largest[feature])
        count = int(self.kept.sum())
        while found and (count + len(found) > MOST_KEPT or LEAST_PER_FEATURE * (count + len(found)) > self.left):
            found.pop()
        self.kept = self.kept.clone()
        self.kept[found] = True
        return bool(found)

    def settle(self, generator: torch.Generator) -> Round:
        """Pairs of coalitions of the kept features with all others present, after the chains that belong to them."""
        kept = self.kept.nonzero()[:, 0]
        if not len(kept):
            return
        drawing = ActivePerturbator().draw(len(kept), min(_settled(len(kept)), self.left + 2), generator)
        sides = torch.zeros(1, len(kept), dtype=torch.bool) if len(kept) == 1 else _sides(next(drawing))
        chains = [(number, chain.coalitions()) for number, chain in enumerate(self.chains)]
        before = sum(len(rows) for _, rows in chains)
        values = (yield replace(self._draw([*chains, (-1, self._beside(sides))]), whole=True))[before:]
        while len(kept) > 1:
            try:
                sides = _sides(drawing.send(values))
            except StopIteration:
                return
            values = yield self._draw([(-1, self._beside(sides))])

    def _beside(self, sides: Bool[Tensor, "p kept"]) -> Bool[Tensor, "p n"]:
        """Coalitions of the kept features, with all others."""
        coalitions = (~self.kept)[None].repeat(len(sides), 1)
        coalitions[:, self.kept] = sides
        return coalitions

    def _ask(self) -> Round:
        """Draw what is not drawn of the chains."""
        parts = []
        for number, chain in enumerate(self.chains):
            rows = chain.coalitions()
            keys = coalition_keys(rows)
            new = [row for row, key in enumerate(keys) if key not in chain.asked]
            chain.asked.update(keys)
            if new:
                parts.append((number, rows[new]))
        if parts:
            draw = self._draw(parts)
            self.known.update(zip(coalition_keys(draw.coalitions), (yield draw), strict=True))

    def _draw(self, parts: Sequence[tuple[int, Bool[Tensor, "_ n"]]]) -> Draw:
        coalitions = torch.cat([rows for _, rows in parts])
        self.spent.update(coalition_keys(coalitions))
        numbers = torch.cat([torch.full((len(rows),), number) for number, rows in parts])
        return Draw(coalitions, chains=numbers, design=Design.SCREENED)

    def _gains(self) -> list[tuple[float, _Chain, FeatureGroup]]:
        """The largest |gain| over targets of each group, in each chain."""
        found = []
        for chain in self.chains:
            values = torch.stack([self.known[key] for key in coalition_keys(chain.coalitions())])
            gains = values.diff(dim=0).abs().amax(1).tolist()
            found += [(gain, chain, group) for gain, group in zip(gains, chain.groups, strict=True)]
        return found


def _sides(drawn: Draw | Bool[Tensor, "p kept"]) -> Bool[Tensor, "p kept"]:
    return drawn.coalitions if isinstance(drawn, Draw) else drawn


def _settled(count: int) -> int:
    """Evaluations for so many kept features."""
    return min(2**count, SETTLED_PER_FEATURE * count)


def _narrow(node: FeatureGroup) -> FeatureGroup:
    """The same with at most eight children of each group: more are divided among groups of neighbours."""
    children = [_narrow(child) for child in node.children]
    while len(children) > BRANCHES:
        size = ceil(len(children) / ceil(len(children) / BRANCHES))
        children = [_joined(children[start : start + size]) for start in range(0, len(children), size)]
    return FeatureGroup(node.members, tuple(children))


def _joined(children: Sequence[FeatureGroup]) -> FeatureGroup:
    if len(children) == 1:
        return children[0]
    return FeatureGroup(tuple(member for child in children for member in child.members), tuple(children))


def _without(node: FeatureGroup, kept: Bool[Tensor, "n"]) -> FeatureGroup | None:
    """The group without the kept features; None if nothing is left."""
    if not node.children:
        return None if kept[node.members[0]] else node
    children = [left for child in node.children if (left := _without(child, kept)) is not None]
    return _joined(children) if children else None


def _coarse(root: FeatureGroup | None, most: int) -> list[FeatureGroup]:
    """At most so many groups, the widest ones opened."""
    groups = [] if root is None else [root]
    while True:
        widest = max((group for group in groups if group.children), key=lambda group: len(group.members), default=None)
        if widest is None or len(groups) + len(widest.children) - 1 > most:
            return groups
        place = groups.index(widest)
        groups[place : place + 1] = widest.children
