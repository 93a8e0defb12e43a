"""Which of several an error is about."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

REPEATED = (TypeError, ValueError, FileNotFoundError)
"""Errors whose message begins with the place; others keep theirs and get a note."""


@contextmanager
def about(what: str, index: int, count: int) -> Iterator[None]:
    """Within it, an error says of which of several inputs it is; with one input it stays as it is.

    Example:
        >>> with about("inputs", 1, 3):
        ...     raise ValueError("The prompt is empty.")
        Traceback (most recent call last):
        ValueError: inputs[1]: The prompt is empty.
    """
    try:
        yield
    except Exception as error:
        if count == 1:
            raise
        if type(error) in REPEATED:
            raise type(error)(f"{what}[{index}]: {error}") from error
        error.add_note(f"This is about {what}[{index}].")
        raise
