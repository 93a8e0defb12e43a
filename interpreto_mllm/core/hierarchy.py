"""A hierarchy of features: groups within groups, down to single features."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import comb
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor

from interpreto_mllm.core.shown import shown


@dataclass(frozen=True, eq=False)
class FeatureGroup:
    """A group of features and the groups it is made of; a single feature has no children.

    Args:
        members: indices of all features in the group.
        children: the groups within, two or more, or none.

    Example:
        >>> root = FeatureGroup.of([[0, 1], [2, [3]]])
        >>> [node.members for node in root.walk()]
        [(0, 1, 2, 3), (0, 1), (0,), (1,), (2, 3), (2,), (3,)]
        >>> root.count_consistent()
        12
    """

    members: tuple[int, ...]
    children: tuple[FeatureGroup, ...] = ()

    @classmethod
    def of(cls, groups: Sequence[Any]) -> FeatureGroup:
        """The hierarchy written as nested lists of feature indices. A group of one group is that group.

        Raises:
            ValueError: when something is neither an index nor a list, a group is empty, or a feature is in two groups.
        """
        if not isinstance(groups, Sequence) or isinstance(groups, (str, bytes)):
            raise ValueError(
                f"A grouping is nested lists of feature indices, such as [[0, 1], [2, [3, 4]]]; got {shown(groups)}."
            )
        root = _parsed(groups)
        repeated = sorted(feature for feature, times in Counter(root.members).items() if times > 1)
        if repeated:
            raise ValueError(f"Each feature belongs to exactly one group; these are in several places: {repeated}.")
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

    def walk(self) -> Iterator[FeatureGroup]:
        """This group, then all groups and features within, parents before children."""
        yield self
        for child in self.children:
            yield from child.walk()

    def count_consistent(self) -> int:
        """Number of coalitions in which at most one child is present in part, and that one likewise; ∅ and N included."""
        return 2 + self._count_parts()

    def _count_parts(self) -> int:
        children = len(self.children)
        partial = sum(child._count_parts() for child in self.children)
        return 2**children - 2 + 2 ** (children - 1) * partial if children else 0

    def contexts(self, n: int) -> Iterator[tuple[int, Bool[Tensor, "p n"], Float[Tensor, "p"]]]:
        """For each feature, every coalition that may precede it when groups stay together, with its probability."""
        yield from self._descend(torch.zeros(1, n, dtype=torch.bool), torch.ones(1, dtype=torch.float64))

    def _descend(
        self, contexts: Bool[Tensor, "p n"], probabilities: Float[Tensor, "p"]
    ) -> Iterator[tuple[int, Bool[Tensor, "_ n"], Float[Tensor, "_"]]]:
        children, n = len(self.children), contexts.shape[1]
        if not children:
            yield self.members[0], contexts, probabilities
            return
        codes = torch.arange(2 ** (children - 1))
        chosen = (codes[:, None] >> torch.arange(children - 1) & 1).bool()
        by_size = [1 / (children * comb(children - 1, size)) for size in range(children)]
        of_chosen = torch.tensor(by_size, dtype=torch.float64)[chosen.sum(1)]
        masks = torch.stack([child.mask(n) for child in self.children])
        for index, child in enumerate(self.children):
            others = torch.cat([masks[:index], masks[index + 1 :]])
            before = (chosen.double() @ others.double()).bool()
            inner = rearrange(contexts[:, None] | before[None], "context before n -> (context before) n")
            weights = rearrange(probabilities[:, None] * of_chosen[None], "context before -> (context before)")
            yield from child._descend(inner, weights)


def _parsed(entry: Any) -> FeatureGroup:
    if isinstance(entry, Sequence) and not isinstance(entry, (str, bytes)):
        if not entry:
            raise ValueError("The grouping holds an empty group; leave it out.")
        children = tuple(_parsed(child) for child in entry)
        members = tuple(feature for child in children for feature in child.members)
        return children[0] if len(children) == 1 else FeatureGroup(members, children)
    feature = operator.index(entry) if hasattr(entry, "__index__") else -1  # type: ignore[arg-type]
    if isinstance(entry, bool) or feature < 0:
        raise ValueError(
            f"The grouping holds {shown(entry)}; each entry is a feature's index (0, 1, 2, …) or a list of entries."
        )
    return FeatureGroup((feature,))
