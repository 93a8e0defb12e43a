"""Batches of similar items, halved when they do not fit into memory."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch

logger = logging.getLogger(__name__)
Item = TypeVar("Item")
Result = TypeVar("Result")


class Batches:
    """Cuts work into batches of at most `size`; after an out-of-memory error the size is halved and the work goes on.

    Example:
        >>> list(Batches(2).run([3, 1, 2], len, order=lambda item: item))
        [([1, 2], 2), ([3], 1)]
    """

    def __init__(self, size: int):
        self.size = size

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
            order: what items are sorted by first; they stay in their order without it.
            rows_each: how many rows' memory an item takes.
        """
        waiting = sorted(items, key=order) if order is not None else list(items)
        while waiting:
            batch = waiting[: max(1, int(self.size / rows_each))]
            try:
                result = work(batch)
            except (torch.OutOfMemoryError, RuntimeError, MemoryError) as error:
                if not out_of_memory(error) or len(batch) == 1:
                    raise
                self.size = max(1, int(len(batch) // 2 * rows_each))
                logger.warning("Out of memory with %d rows in a batch: continuing with %d.", len(batch), len(batch) // 2)
                result = None
            if result is None:
                _free()
                continue
            waiting = waiting[len(batch) :]
            yield batch, result


def out_of_memory(error: Exception) -> bool:
    """Whether an error says that there is not enough memory."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or any(
        words in str(error).lower() for words in ("out of memory", "can't allocate memory", "not enough memory")
    )


def _free() -> None:
    """Release memory; called once the error that kept the failed batch alive is gone."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
