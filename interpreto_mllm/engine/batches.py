"""Batches of similar items, halved when they do not fit into memory."""

from __future__ import annotations

import gc
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from itertools import groupby
from typing import TypeVar

import torch

from interpreto_mllm.engine.batch_cuts import batch_sizes

logger = logging.getLogger(__name__)
Item = TypeVar("Item")
Result = TypeVar("Result")


class Grouping(Enum):
    """Which rows a batch may hold, found by trial (`engine/batch_trial.py`)."""

    ANY = "rows of any length"
    EQUAL = "rows of one length"
    ALONE = "one row"


FORWARD_TOKENS = 96
"""What a forward costs beyond its tokens, in tokens, unless it is known better."""


class Batches:
    """Cuts work into batches of at most `size`; after an out-of-memory error the size is halved and the work goes on.

    Args:
        size: the most rows in a batch.
        tokens: the most positions in a batch of several rows.
        forward_tokens: what a forward costs beyond its tokens, in tokens; batches are cut where padding would cost more.

    Attributes:
        grouping: which rows go together.

    Example:
        >>> list(Batches(2).run([3, 1, 2], len, order=lambda item: item))
        [([1, 2], 2), ([3], 1)]
    """

    def __init__(self, size: int, tokens: int = sys.maxsize, forward_tokens: int = FORWARD_TOKENS):
        self.size, self.tokens, self.forward_tokens = size, tokens, forward_tokens
        self.grouping = Grouping.ANY

    def run(
        self,
        items: Sequence[Item],
        work: Callable[[list[Item]], Result],
        order: Callable[[Item], int] | None = None,
        rows_each: float = 1.0,
        held: int = 0,
    ) -> Iterator[tuple[list[Item], Result]]:
        """Each batch with what `work` made of it.

        Args:
            items: the work, which is done once each.
            work: from a batch to its result.
            order: the length of an item, by which they are sorted; they are of one length and stay in their order without it.
            rows_each: how many rows' memory an item takes.
            held: positions that each item holds beyond its length, in a cache.
        """
        waiting = sorted(items, key=order) if order is not None else list(items)
        sizes = self._sizes(waiting, order, rows_each, held)
        while waiting:
            batch = waiting[: sizes.pop(0)]
            try:
                result = work(batch)
            except (torch.OutOfMemoryError, RuntimeError, MemoryError) as error:
                if not out_of_memory(error) or len(batch) == 1:
                    raise
                self.size = max(1, int(len(batch) // 2 * rows_each))
                logger.warning("Out of memory with %d rows in a batch: continuing with %d.", len(batch), len(batch) // 2)
                result = None
            if result is None:
                free_memory()
                sizes = self._sizes(waiting, order, rows_each, held)
                continue
            waiting = waiting[len(batch) :]
            yield batch, result

    def halve(self) -> bool:
        """Go on with half as many rows in a batch; False where there is but one."""
        if self.size == 1:
            return False
        self.size //= 2
        free_memory()
        return True

    def most(self, length: int) -> int:
        """How many rows of this length may go together."""
        return max(1, min(self.size, self.tokens // max(length, 1)))

    def _sizes(self, waiting: Sequence[Item], order: Callable[[Item], int] | None, rows_each: float, held: int) -> list[int]:
        """How many of the waiting items go together, batch by batch."""
        if self.grouping is Grouping.ALONE:
            return [1] * len(waiting)
        rows = max(1, int(self.size / rows_each))
        lengths = [0 if order is None else order(item) for item in waiting]
        groups = [list(group) for _, group in groupby(lengths)] if self.grouping is Grouping.EQUAL else [lengths]
        return [size for group in groups for size in batch_sizes(group, rows, self.tokens, held, self.forward_tokens)]


def out_of_memory(error: Exception) -> bool:
    """Whether an error says that there is not enough memory."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or any(
        words in str(error).lower() for words in ("out of memory", "can't allocate memory", "not enough memory")
    )


def free_memory() -> None:
    """Release memory; called once the error that kept a failed batch alive is gone."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
