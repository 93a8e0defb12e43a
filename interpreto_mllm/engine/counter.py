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
        backwards: backward passes.

    Attributes:
        trials: forward passes in which the model was tried, beside those that are counted.
        notes: what trials of the model found that a reader of the results must know, each once.

    Example:
        >>> counter = ForwardCounter()
        >>> counter.add(tokens=12)
        >>> with counter.trying():
        ...     counter.add(tokens=7)
        >>> counter, counter.trials
        (ForwardCounter(forwards=1, tokens=12), 1)
    """

    forwards: int = 0
    tokens: int = 0
    trials: int = field(default=0, init=False, repr=False, compare=False)
    backwards: int = field(default=0, repr=False)
    notes: dict[str, None] = field(default_factory=dict, init=False, repr=False, compare=False)
    _trying: bool = field(default=False, init=False, repr=False, compare=False)

    @property
    def passes(self) -> tuple[int, int, int]:
        """Forwards, tokens and backwards so far."""
        return self.forwards, self.tokens, self.backwards

    def add(self, tokens: int, forwards: int = 1) -> None:
        """Count these forwards."""
        if self._trying:
            self.trials += forwards
            return
        self.forwards += forwards
        self.tokens += tokens

    def note(self, text: str) -> None:
        """Something that a reader of the results must know."""
        self.notes[text] = None

    @contextmanager
    def trying(self) -> Iterator[None]:
        """Within, forwards are trials of the model, which are no part of what each explanation costs."""
        before, self._trying = self._trying, True
        try:
            yield
        finally:
            self._trying = before
