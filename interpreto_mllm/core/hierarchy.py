"""A hierarchy of features: groups within groups, down to single features."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import comb
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Node:
    """A group of features and the groups it is made of; a single feature has no children.

    Args:
        members: indices of all features in the group.
        children: the groups within, two or more, or none.

    Example:
        >>> root = Node.of([[0, 1], [2, [3]]])
        >>> [node.members for node in root.walk()]
        [(0, 1, 2, 3), (0, 1), (0,), (1,), (2, 3), (2,), (3,)]
        >>> root.count_consistent()
        12
    """

    members: tuple[int, ...]
    children: tuple[Node, ...] = ()

    @classmethod
    def of(cls, groups: Sequence[Any]) -> Node:
        """The hierarchy written as nested lists of feature indices. A group of one group is that group.

        Raises:
            ValueError: when something is neither an index nor a list, a group is empty, or a feature stands in two places.
        """
        if not isinstance(groups, Sequence) or isinstance(groups, (str, bytes)):
            raise ValueError(f"A grouping is nested lists of feature indices, such as [[0, 1], [2, [3, 4]]]; got {groups!r}.")
        root = _node(groups)
        repeated = sorted(feature for feature, times in Counter(root.members).items() if times > 1)
        if repeated:
            raise ValueError(f"Each feature belongs to exactly one group; these stand in several places: {repeated}.")
        return root

    def require(self, n: int) -> None:
        """Check that the features are exactly 0 … n−1.

        Raises:
            ValueError: naming the features that are missing, or that the game does not have.
        """
        missing, unknown = sorted(set(range(n)) - set(self.members)), sorted(set(self.members) - set(range(n)))
        if missing or unknown:
            raise ValueError(
                f"The grouping must hold each of the game's {n} features exactly once, as an index from 0 to {n - 1}; "
                f"missing: {missing}, not in the game: {unknown}."
            )

    def mask(self, n: int) -> Bool[Tensor, "n"]:
        """The group as a coalition."""
        mask = torch.zeros(n, dtype=torch.bool)
        mask[list(self.members)] = True
        return mask

    def walk(self) -> Iterator[Node]:
        """This group, then all groups and features within, parents before children."""
        yield self
        for child in self.children:
            yield from child.walk()

    def count_consistent(self) -> int:
        """Number of coalitions in which at most one child is present in part, and that one likewise; ∅ and N included."""
        return 2 + self._count_parts()

    def _count_parts(self) -> int:
        k = len(self.children)
        return 2**k - 2 + 2 ** (k - 1) * sum(child._count_parts() for child in self.children) if k else 0

    def contexts(self, n: int) -> Iterator[tuple[int, Bool[Tensor, "c n"], Float[Tensor, "c"]]]:
        """For each feature, every coalition that may precede it when groups stay together, with its probability."""
        yield from self._descend(torch.zeros(1, n, dtype=torch.bool), torch.ones(1, dtype=torch.float64))

    def _descend(self, contexts: Tensor, weights: Tensor) -> Iterator[tuple[int, Tensor, Tensor]]:
        k, n = len(self.children), contexts.shape[1]
        if not k:
            yield self.members[0], contexts, weights
            return
        codes = torch.arange(2 ** (k - 1))
        chosen = (codes[:, None] >> torch.arange(k - 1) & 1).bool()
        chances = torch.tensor([1 / (k * comb(k - 1, size)) for size in range(k)], dtype=torch.float64)[chosen.sum(1)]
        masks = torch.stack([child.mask(n) for child in self.children])
        for index, child in enumerate(self.children):
            others = torch.cat([masks[:index], masks[index + 1 :]])
            before = (chosen.double() @ others.double()).bool()
            inner = (contexts[:, None] | before[None]).flatten(0, 1)
            yield from child._descend(inner, (weights[:, None] * chances[None]).flatten())


def _node(entry: Any) -> Node:
    if isinstance(entry, Sequence) and not isinstance(entry, (str, bytes)):
        if not entry:
            raise ValueError("The grouping holds an empty group; leave it out.")
        children = tuple(_node(child) for child in entry)
        members = tuple(feature for child in children for feature in child.members)
        return children[0] if len(children) == 1 else Node(members, children)
    feature = operator.index(entry) if hasattr(entry, "__index__") else -1  # type: ignore[arg-type]
    if isinstance(entry, bool) or feature < 0:
        raise ValueError(f"The grouping holds {entry!r}; each entry is a feature's index (0, 1, 2, …) or a list of entries.")
    return Node((feature,))
