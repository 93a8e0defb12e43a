"""Batches of similar items, halved when they do not fit into memory."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from itertools import takewhile
from typing import TypeVar

import torch

logger = logging.getLogger(__name__)
Item = TypeVar("Item")
Result = TypeVar("Result")


class Grouping(Enum):
    """Which rows a batch may hold, found by trial (`engine/batch_trial.py`)."""

    ANY = "rows of any length"
    EQUAL = "rows of one length"
    ALONE = "one row"


class Batches:
    """Cuts work into batches of at most `size`; after an out-of-memory error the size is halved and the work goes on.

    Attributes:
        grouping: which rows go together.

    Example:
        >>> list(Batches(2).run([3, 1, 2], len, order=lambda item: item))
        [([1, 2], 2), ([3], 1)]
    """

    def __init__(self, size: int):
        self.size = size
        self.grouping = Grouping.ANY

    def run(
        self,
        items: Sequence[Item],
        work: Callable[[list[Item]], Result],
        order: Callable[[Item], int] | None = None,
        rows_each: float = 1.0,
    ) -> Iterator[tuple[list[Item], Result]]:
        """Each batch with what `work` made of it.

        Args:
            items: the work, which is done once each.
            work: from a batch to its result.
            order: the length of an item, by which they are sorted; they are of one length and stay in their order without it.
            rows_each: how many rows' memory an item takes.
        """
        waiting = sorted(items, key=order) if order is not None else list(items)
        while waiting:
            batch = self._next(waiting, order, rows_each)
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

    def _next(self, waiting: list[Item], order: Callable[[Item], int] | None, rows_each: float) -> list[Item]:
        """The first of the waiting items that may go together."""
        if self.grouping is Grouping.ALONE:
            return waiting[:1]
        batch = waiting[: max(1, int(self.size / rows_each))]
        if self.grouping is Grouping.EQUAL and order is not None:
            return list(takewhile(lambda item: order(item) == order(batch[0]), batch))
        return batch


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
