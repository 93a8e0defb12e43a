"""States of prefixes that later rounds of a call may go on from."""

from __future__ import annotations

import copy
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Int

from interpreto_mllm.engine.cache import CacheRow, join
from interpreto_mllm.engine.ragged_cache import holds_every_position

ROUNDS = 4
"""Rounds whose longest prompt is remembered."""


@dataclass(eq=False)
class _Kept:
    """A row's states, what was read, and those of its beginnings that were asked for."""

    symbols: Int[np.ndarray, "_"]
    row: CacheRow
    whole_only: bool
    beginnings: dict[int, CacheRow] = field(default_factory=dict)

    def beginning(self, length: int) -> CacheRow:
        """Its states up to there."""
        if length == self.row.length:
            return self.row
        if length not in self.beginnings:
            self.beginnings[length] = cropped(self.row, length)
        return self.beginnings[length]


class KeptStates:
    """The states of some prefixes, those used last, up to a number of positions.

    Where layers hold an entry for each position, a row may also go on from any beginning of a prefix. Other states, such as
    those of recurrent layers, are used as a whole or not at all.

    Args:
        positions: the most that are kept; of a longer prefix, its beginning is.
    """

    def __init__(self, positions: int):
        self.positions = positions
        self._kept: list[_Kept] = []
        self._read: deque[Int[np.ndarray, "_"]] = deque(maxlen=ROUNDS)

    def note(self, symbols: Int[np.ndarray, "_"]) -> None:
        """These were read in a round, the longest of it."""
        self._read.append(symbols)

    def read_before(self, symbols: Int[np.ndarray, "_"]) -> int:
        """How many of these began one of the last rounds' longest prompts too."""
        return max((_common(read, symbols) for read in self._read), default=0)

    @property
    def held(self) -> int:
        """Positions that are kept now."""
        return sum(kept.row.length for kept in self._kept)

    def longest(self, symbols: Int[np.ndarray, "_"]) -> CacheRow | None:
        """The states of the longest beginning of these symbols that is known."""
        found = [(self._shared(kept, symbols), kept) for kept in self._kept]
        length, kept = max(found, key=lambda pair: pair[0], default=(0, None))
        if kept is None or not length:
            return None
        self._kept.remove(kept)
        self._kept.append(kept)
        return kept.beginning(length)

    def add(self, symbols: Int[np.ndarray, "_"], row: CacheRow) -> None:
        """Keep these, in the place of what they begin with and of those not used for longest."""
        whole_only = not holds_every_position(row.cache)
        length = row.length if whole_only else min(row.length, self.positions)
        read = symbols[:length]
        if length > self.positions or any(self._shared(kept, read) == length for kept in self._kept):
            return
        self._kept = [kept for kept in self._kept if kept.whole_only or self._shared(kept, read) < kept.row.length]
        part = row if length == row.length else cropped(row, length)
        self._kept.append(_Kept(read, CacheRow(join([part]), 0, length), whole_only))
        while self.held > self.positions:
            self._kept.pop(0)

    @staticmethod
    def _shared(kept: _Kept, symbols: Int[np.ndarray, "_"]) -> int:
        """How much of these symbols the row has read and can be gone on from."""
        shared = _common(kept.symbols, symbols)
        return 0 if kept.whole_only and shared < kept.row.length else shared


def _common(one: Int[np.ndarray, "_"], other: Int[np.ndarray, "_"]) -> int:
    """How many symbols both begin with."""
    length = min(len(one), len(other))
    differs = np.flatnonzero(one[:length] != other[:length])
    return int(differs[0]) if len(differs) else length


def cropped(cached: CacheRow, length: int) -> CacheRow:
    """The states of the first positions alone, of a cache that holds an entry for each; nothing is copied."""
    cache: Any = copy.copy(cached.cache)
    cache.layers = [copy.copy(layer) for layer in cache.layers]
    for layer in cache.layers:
        for name in ("keys", "values"):
            setattr(layer, name, getattr(layer, name)[cached.row : cached.row + 1, :, :length])
    return CacheRow(cache, 0, length)
