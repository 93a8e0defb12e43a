"""Whether continued caches give the numbers of plain forwards: tried on several rows, and twice on one cache."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor

from interpreto_mllm.engine.batches import Batches, out_of_memory
from interpreto_mllm.engine.cache import CacheRow
from interpreto_mllm.engine.findings import finding
from interpreto_mllm.engine.prefixes import Node
from interpreto_mllm.engine.queries import Row
from interpreto_mllm.engine.rounding import excess, tolerance
from interpreto_mllm.engine.stand_ins import goes_the_same_way, stand_in_tree

logger = logging.getLogger(__name__)

Leaf = tuple[int, CacheRow | None]
"""The index of a row, and the cache of the prefix that it goes on from."""

Branch = tuple[Node, CacheRow | None]
"""A prefix, and the cache of the shorter one that it goes on from."""

Values = Callable[[Sequence[Leaf], Sequence[Row]], Float[Tensor, "b t"]]
"""Computes the values of some of these rows, which go on from caches of one length, or from none."""

ROWS = 3
"""Prefixes that are read side by side in a trial."""


SLACK = 1.125
"""How much longer than those of a trial rows may be, where no setting of the model is a length between."""


def holds_for(model: Any, tried: int, length: int) -> bool:
    """Whether what a trial with rows of one length found holds for another length.

    Example:
        >>> from interpreto_mllm.testbed import load_recall
        >>> model = load_recall()[0]
        >>> holds_for(model, 100, 90), holds_for(model, 100, 110), holds_for(model, 100, 120)
        (True, True, False)
        >>> holds_for(model, model.config.hidden_size - 1, model.config.hidden_size)
        False
    """
    if length <= tried:
        return True
    return length <= SLACK * tried and not any(tried < number <= length for number in _numbers(model.config.to_dict()))


def _numbers(settings: Any) -> Iterator[int]:
    """All whole numbers of a config and of its parts."""
    if isinstance(settings, int):
        yield settings
    elif isinstance(settings, dict):
        yield from _numbers(list(settings.values()))
    elif isinstance(settings, (list, tuple)):
        for part in settings:
            yield from _numbers(part)


class CacheTrial:
    """Compares rows that go on from caches with plain forwards: these rows, or short ones where the model treats both alike.

    Args:
        model: for its precision, and the log.
        batches: halved where a trial does not fit into memory, which says nothing about caches.
        extend: reads prefixes of rows on from their caches.
        values: of rows that go on from caches.
        root: the tree of prefixes that rows share.
        rows: what is read.

    Attributes:
        hidden: whether attention may not see some of their tokens.
        short: whether short rows are compared in their place.
    """

    def __init__(
        self,
        model: Any,
        batches: Batches,
        extend: Callable[[list[Branch], Sequence[Row]], list[Branch]],
        values: Values,
        root: Node,
        rows: Sequence[Row],
    ):
        self.model, self.batches, self.extend, self.values = model, batches, extend, values
        self.root, self.rows = root, rows
        inputs = [row.input for row in rows]
        self.hidden = any(input.seen is not None for input in inputs)
        self.short = goes_the_same_way(model, inputs)
        if self.short:
            self.root, self.rows = stand_in_tree(max(inputs, key=lambda input: len(input.ids)), self.hidden)
        self._extended: dict[Node, CacheRow | None] = {}
        self._plain: dict[int, Float[Tensor, "t"]] = {}

    def remembered(self) -> bool:
        """Both of the following, of short rows: found once for each model."""
        return finding(self.model, ("caches", self.hidden), lambda: self.shallow() and self.deep())

    def shallow(self) -> bool:
        """Whether one row that goes on from the first shared prefix has its plain values."""
        node = self.root.children[0]
        return self._tried(lambda: self._same([node.sample], self._cache([node])))

    def deep(self) -> bool:
        """Whether several rows at the deepest prefix do, twice from one cache, and rows of prefixes that are read together."""

        def compared() -> bool:
            path = _deepest_path(self.root)
            deepest, cached = path[-1], self._cache(path)
            rows = list(dict.fromkeys([deepest.sample, *deepest.leaves[:1], *deepest.leaves[-1:]]))[: self.batches.size]
            if not (self._same(rows, cached) and self._same(rows, cached)):
                return False
            several = self.root.children[: min(ROWS, self.batches.size)]
            beside = self.extend([(node, None) for node in several], self.rows) if len(several) > 1 else []
            return all(self._same([node.sample], one) for node, one in beside)

        return self._tried(compared)

    def _cache(self, path: Sequence[Node]) -> CacheRow | None:
        """Of the last prefix of a path from the root."""
        cached = None
        for node in path:
            if node not in self._extended:
                [(_, self._extended[node])] = self.extend([(node, cached)], self.rows)
            cached = self._extended[node]
        return cached

    def _same(self, rows: Sequence[int], cached: CacheRow | None) -> bool:
        """Whether rows that go on from a cache have their plain values."""
        continued = self.values([(row, cached) for row in rows], self.rows)
        for found, row in zip(continued, rows, strict=True):
            if row not in self._plain:
                self._plain[row] = self.values([(row, None)], self.rows)[0]
            plain = self._plain[row]
            if (over := excess(found[: len(plain)], plain, tolerance(self.model))) > 1:
                name = type(self.model).__name__
                logger.info("%s continues a cache inexactly (by %.1e tolerances): using plain forwards.", name, over)
                return False
        return True

    def _tried(self, compared: Callable[[], bool]) -> bool:
        """What a comparison finds; one that fails in any way but for want of memory speaks against caches."""
        while True:
            try:
                return compared()
            except Exception as error:  # a model may refuse a cache in any way it likes: the plain forward then decides
                if not out_of_memory(error):
                    name = type(self.model).__name__
                    logger.info("%s cannot continue a cache (%s): using plain forwards.", name, error)
                    return False
                if self.batches.size == 1:
                    raise
            self.batches.halve()


def _deepest_path(root: Node) -> list[Node]:
    """The prefixes from the root, without it, to the longest one."""
    paths = [[child, *_deepest_path(child)] for child in root.children]
    return max(paths, key=lambda path: path[-1].length, default=[])
