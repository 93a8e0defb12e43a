"""Batches: filled with rows of like length, halved when the memory does not hold them."""

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
        bulk: float = 1.0,
    ) -> Iterator[tuple[list[Item], Result]]:
        """Each batch with what `work` made of it, items sorted by `order` first; an item takes the room of `bulk` rows."""
        waiting = sorted(items, key=order) if order is not None else list(items)
        while waiting:
            batch = waiting[: max(1, int(self.size / bulk))]
            try:
                result = work(batch)
            except (torch.OutOfMemoryError, RuntimeError, MemoryError) as error:
                if not out_of_memory(error) or len(batch) == 1:
                    raise
                self.size = max(1, int(len(batch) // 2 * bulk))
                logger.warning("Out of memory with %d rows in a batch: going on with %d.", len(batch), len(batch) // 2)
                result = None
            if result is None:
                _free()
                continue
            waiting = waiting[len(batch) :]
            yield batch, result


def out_of_memory(error: Exception) -> bool:
    """Whether an error says that the memory does not hold what was asked for."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or any(
        words in str(error).lower() for words in ("out of memory", "can't allocate memory", "not enough memory")
    )


def _free() -> None:
    """Give memory back; called once the error that held the failed batch is gone."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
