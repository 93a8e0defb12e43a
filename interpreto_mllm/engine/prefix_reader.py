"""Reading prefixes on from states that earlier prefixes of a call have left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from interpreto_mllm.engine.cache import CacheRow, cached_length
from interpreto_mllm.engine.cache_trial import Branch
from interpreto_mllm.engine.kept_states import KeptStates
from interpreto_mllm.engine.prefix_walk import Extend


@dataclass(frozen=True)
class PrefixReader:
    """Reads prefixes on, from states that were kept where that saves more than a forward costs, and keeps the longest of each.

    Args:
        read: reads prefixes on from their caches.
        symbols: of each row, as for `plan_prefixes`.
        kept: the states that are known, of this round and earlier ones.
        least: tokens that must be saved.
    """

    read: Extend
    symbols: Sequence[Int[np.ndarray, "_"]]
    kept: KeptStates
    least: int

    def resume(self, row: int, end: int | None, cached: CacheRow | None) -> CacheRow | None:
        """The cache, or a longer one of the row's prefix up to `end`; its last token is never part of one."""
        known = self.kept.longest(self.symbols[row][: -1 if end is None else end])
        worthwhile = known is not None and known.length >= cached_length(cached) + self.least
        return known if worthwhile else cached

    def extend(self, nodes: list[Branch]) -> list[Branch]:
        """Each node with the states of its prefix."""
        known = [(node, cached) for node, cached in nodes if cached_length(cached) == node.length]
        extended = known + self.read([(node, cached) for node, cached in nodes if cached_length(cached) < node.length])
        node, longest = max(extended, key=lambda branch: branch[0].length)
        if longest is not None and longest.length >= self.least:
            self.kept.add(self.symbols[node.sample], longest)
        return extended
