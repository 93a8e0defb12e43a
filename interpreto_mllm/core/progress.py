"""The progress bar over evaluations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress_bar(total: int, shown: bool, unit: str = "evaluation") -> Iterator[Callable[[int], object]]:
    """A bar that appears only once the work has taken longer than a moment; yields the function that advances it."""
    from tqdm.auto import tqdm

    with tqdm(total=total, unit=unit, delay=1.0, disable=not shown, leave=False, dynamic_ncols=True) as bar:
        yield bar.update
