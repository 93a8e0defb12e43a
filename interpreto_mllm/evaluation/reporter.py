"""Tells callbacks how far a call is."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType

from interpreto_mllm.core.callbacks import Callback, Progress, ProgressBar
from interpreto_mllm.core.counts import Stages, Stopwatch
from interpreto_mllm.engine.counter import ForwardCounter


class Reporter:
    """Counts what a call has done and tells its callbacks; they are told of its end when the context ends, whatever ends it.

    Args:
        callbacks: who is told.
        watch: keeps the time by stage.
        budget: the most evaluations.
        counter: of the model's forwards; without one there are none.
        progress: whether a bar is shown too.
        unit: what the budget counts: evaluations, or points at which gradients are taken.
        said: what the call may spend, written before the bar.
    """

    def __init__(
        self,
        callbacks: Sequence[Callback],
        watch: Stopwatch,
        budget: int,
        counter: ForwardCounter | None = None,
        progress: bool = False,
        unit: str = "evaluation",
        said: str = "",
    ):
        self.callbacks = [*([ProgressBar(said)] if progress else []), *callbacks]
        self.watch, self.budget, self.unit = watch, budget, unit
        self._spent = (ForwardCounter() if counter is None else counter).of_call
        self._before = self._spent.forwards, self._spent.tokens
        self._evaluations = self._rounds = self._coalitions = 0

    def __enter__(self) -> Reporter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        for callback in self.callbacks:
            callback.on_done(self._progress(finished=kind is None))

    def drawn(self, coalitions: int) -> None:
        """A round of coalitions was drawn."""
        self._rounds, self._coalitions = self._rounds + 1, coalitions
        for callback in self.callbacks:
            callback.on_round(self._progress())

    def evaluated(self, coalitions: int) -> None:
        """The values of some of them have come; of points, those that count as part of the budget."""
        self._evaluations += coalitions
        for callback in self.callbacks:
            callback.on_batch(self._progress())

    @property
    def stages(self) -> Stages:
        """Seconds by stage so far."""
        return self.watch.stages

    def _progress(self, finished: bool = False) -> Progress:
        forwards, tokens = self._spent.forwards - self._before[0], self._spent.tokens - self._before[1]
        counts = (self._evaluations, self.budget, self._rounds, self._coalitions, forwards, tokens)
        return Progress(*counts, stages=self.watch.stages, finished=finished, unit=self.unit)
