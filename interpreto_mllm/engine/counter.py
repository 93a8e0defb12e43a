"""What a model has cost so far."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from interpreto_mllm.engine.call import PerCall


@dataclass
class Tally:
    """What one call has cost, and what trials of the model found that a reader of its results must know, each once."""

    forwards: int = 0
    tokens: int = 0
    backwards: int = 0
    trials: int = 0
    notes: dict[str, None] = field(default_factory=dict)

    @property
    def passes(self) -> tuple[int, int, int]:
        """Forwards, tokens and backwards so far."""
        return self.forwards, self.tokens, self.backwards


@dataclass
class ForwardCounter:
    """Forward passes and tokens so far; everything that runs one model shares its counter.

    Args:
        forwards: forward passes, or requests to a server.
        tokens: tokens read and generated in them.
        backwards: backward passes.

    Example:
        >>> counter = ForwardCounter()
        >>> counter.add(tokens=12)
        >>> with counter.trying():
        ...     counter.add(tokens=7)
        >>> counter, counter.trials, counter.of_call.tokens
        (ForwardCounter(forwards=1, tokens=12), 1, 12)
    """

    forwards: int = 0
    tokens: int = 0
    backwards: int = field(default=0, repr=False)
    _tallies: PerCall[Tally] = field(default_factory=lambda: PerCall(Tally), init=False, repr=False, compare=False)
    _trying: bool = field(default=False, init=False, repr=False, compare=False)

    @property
    def of_call(self) -> Tally:
        """What belongs to the current call, whatever other threads do meanwhile."""
        return self._tallies.value

    @property
    def trials(self) -> int:
        """Forward passes of the current call in which the model was tried, beside those that are counted."""
        return self.of_call.trials

    @property
    def notes(self) -> dict[str, None]:
        """What trials of the model found that a reader of the results of the current call must know, each once."""
        return self.of_call.notes

    def add(self, tokens: int, forwards: int = 1) -> None:
        """Count these forwards."""
        if self._trying:
            self.tried(forwards)
            return
        self.forwards += forwards
        self.tokens += tokens
        self.of_call.forwards += forwards
        self.of_call.tokens += tokens

    def add_backward(self) -> None:
        """Count a backward."""
        self.backwards += 1
        self.of_call.backwards += 1

    def tried(self, forwards: int) -> None:
        """So many forwards were trials of the model."""
        self.of_call.trials += forwards

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
