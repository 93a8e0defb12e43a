"""What a model has cost so far."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class ForwardCounter:
    """Forward passes and tokens so far; everything that runs one model shares its counter.

    Args:
        forwards: forward passes, or requests to a server.
        tokens: tokens read and generated in them.

    Attributes:
        notes: what trials of the model found that a reader of the results must know, each once.

    Example:
        >>> counter = ForwardCounter()
        >>> counter.add(tokens=12)
        >>> with counter.paused():
        ...     counter.add(tokens=7)
        >>> counter
        ForwardCounter(forwards=1, tokens=12)
    """

    forwards: int = 0
    tokens: int = 0
    notes: dict[str, None] = field(default_factory=dict, init=False, repr=False, compare=False)
    _paused: bool = field(default=False, init=False, repr=False, compare=False)

    def add(self, tokens: int, forwards: int = 1) -> None:
        """Count these forwards."""
        if not self._paused:
            self.forwards += forwards
            self.tokens += tokens

    def note(self, text: str) -> None:
        """Something that a reader of the results must know."""
        self.notes[text] = None

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Within, nothing is counted: trials of a model are no part of what an explanation costs."""
        before, self._paused = self._paused, True
        try:
            yield
        finally:
            self._paused = before
