"""The order in which a tree of shared prefixes is read, with few of their states held at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from interpreto_mllm.engine.cache import CacheRow
from interpreto_mllm.engine.cache_trial import Branch, Leaf
from interpreto_mllm.engine.prefixes import Node

Extend = Callable[[list[Branch]], list[Branch]]
"""Reads prefixes on from their caches."""

Resume = Callable[[int, int | None, CacheRow | None], CacheRow | None]
"""From a row, where its prefix ends (None for all of it), and a cache: that cache, or a longer one that is known already."""


@dataclass(frozen=True)
class PrefixWalk:
    """Goes through a tree of prefixes from the root: level by level where all states fit, else branch after branch.

    States are given up as soon as what goes on from them is read. Where those of the way from the root leave no room for
    longer ones, the rows below go on from the last that there is.

    Args:
        extend: reads prefixes on.
        resume: finds states that are known already.
        positions: the most whose states are held at a time, beside those of a forward.
        together: the most prefixes that are read one after the other before what goes on from them.
    """

    extend: Extend
    resume: Resume
    positions: int
    together: int

    def leaves(self, root: Node) -> Iterator[list[Leaf]]:
        """All rows, each with the cache of its longest planned prefix; a list is empty once the next one is asked for."""
        yield from self._below([(root, None)], 0)

    def _below(self, block: list[Branch], held: int) -> Iterator[list[Leaf]]:
        """The rows at and under some prefixes; `held` are positions that are held besides."""
        leaves = [(leaf, cached) for node, cached in block for leaf in node.leaves]
        children = [(child, cached) for node, cached in block for child in node.children]
        here = sum(node.length for node, _ in block)
        block.clear()
        yield from self._resumed(leaves)
        leaves.clear()
        if self.positions - held < _under(children):
            children.sort(key=lambda branch: _under([branch]))  # the largest last, when nothing else is held
        while children:
            count = self._count(children, self.positions - held, here)
            if not count:
                yield from self._resumed([(leaf, cached) for node, cached in children[:1] for leaf in leaves_under(node)])
                del children[0]
                continue
            some, children = children[:count], children[count:]
            some = [(node, self.resume(node.sample, node.length, cached)) for node, cached in some]
            extended = self.extend(some)
            some.clear()
            yield from self._below(extended, held + (here if children else 0))

    def _resumed(self, leaves: list[Leaf]) -> Iterator[list[Leaf]]:
        yielded = [(leaf, self.resume(leaf, None, cached)) for leaf, cached in leaves]
        yield yielded
        yielded.clear()

    def _count(self, children: Sequence[Branch], room: int, here: int) -> int:
        """How many of these are read on together: all, if what is below them fits as well, else some that leave room for it.

        What they go on from, `here`, is given up with the last of them.
        """
        some = children[: self.together]
        room -= here if len(children) > 1 else 0
        if _under(some) <= room + (here if len(some) == len(children) > 1 else 0):
            return len(some)
        taken = 0
        for count, (node, _) in enumerate(some):
            taken += node.length
            if taken > room / 2:
                return max(count, int(node.length <= room))
        return len(some)


def _under(branches: Sequence[Branch]) -> int:
    """Positions of these prefixes and of all that are longer."""
    total, stack = 0, [node for node, _ in branches]
    while stack:
        node = stack.pop()
        total += node.length
        stack += node.children
    return total


def leaves_under(node: Node) -> list[int]:
    """The rows that go on from a prefix or a longer one."""
    return [*node.leaves, *(leaf for child in node.children for leaf in leaves_under(child))]
