"""An explanation that is watched while it is made, and can be stopped."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from queue import Empty, Queue

from jaxtyping import Float
from torch import Tensor

from interpreto_mllm.aggregators.aggregator import Aggregator, Estimate
from interpreto_mllm.attribution import Attribution
from interpreto_mllm.core.callbacks import Callback, Progress
from interpreto_mllm.core.evaluations import Evaluations
from interpreto_mllm.evaluation.stopping import Rule

REFRESH = 0.25
"""Seconds between two looks at what has come."""


@dataclass(frozen=True)
class News:
    """How far an explanation is.

    Args:
        progress: of the call, None before its first batch.
        estimate: the scores so far, of the whole answer where it is one; None before there are any.
        result: at the end.
        stopped: whether the end was asked for.
    """

    progress: Progress | None = None
    estimate: Estimate | None = None
    result: Attribution | None = None
    stopped: bool = False


class Stop(Rule):
    """Ends the sampling once it is asked to, and passes on every estimate on the way.

    Args:
        told: is given each estimate.

    Example:
        >>> import torch
        >>> rule = Stop(print)
        >>> rule.settled(torch.zeros(1, 2), torch.ones(1, 2)), rule.ask(), rule.settled(torch.zeros(1, 2), torch.ones(1, 2))
        (False, None, True)
    """

    def __init__(self, told: Callable[[Estimate], None]):
        self.told, self._asked = told, threading.Event()

    def ask(self) -> None:
        """Stop after the round that is being evaluated."""
        self._asked.set()

    @property
    def asked(self) -> bool:
        """Whether it was asked to stop."""
        return self._asked.is_set()

    def estimate(self, evaluations: Evaluations, aggregator: Aggregator) -> Estimate:
        found = super().estimate(evaluations, aggregator)
        self.told(found)
        return found

    def settled(self, scores: Float[Tensor, "t n"], errors: Float[Tensor, "t n"]) -> bool:
        return self.asked

    def __repr__(self) -> str:
        return "Stop()"


class _Watch(Callback):
    def __init__(self, told: Callable[[Progress], None]):
        self.told = told

    def on_batch(self, progress: Progress) -> None:
        self.told(progress)


@dataclass
class Live:
    """One explanation at a time, in a thread of its own.

    Args:
        explain: makes it, with a rule to end it and a callback to watch it.
    """

    explain: Callable[[Rule, Callback], Attribution]
    _news: Queue[News | BaseException] = field(default_factory=Queue)

    def __post_init__(self) -> None:
        self.stop = Stop(lambda estimate: self._news.put(News(estimate=estimate)))

    def run(self) -> Iterator[News]:
        """All news until the result, the latest of each kind together.

        Raises:
            Exception: what the explanation raised.
        """
        threading.Thread(target=self._work, daemon=True).start()
        latest = News()
        while latest.result is None:
            try:
                news = self._news.get(timeout=REFRESH)
            except Empty:
                yield replace(latest, stopped=self.stop.asked)
                continue
            while True:
                if isinstance(news, BaseException):
                    raise news
                latest = News(news.progress or latest.progress, news.estimate or latest.estimate, news.result, self.stop.asked)
                if latest.result is not None or self._news.empty():
                    break
                news = self._news.get()
            yield latest

    def _work(self) -> None:
        try:
            result = self.explain(self.stop, _Watch(lambda progress: self._news.put(News(progress=progress))))
            told = tuple(note for note in result.notes if repr(self.stop) not in note)
            by_hand = (f"Stopped by hand: {len(result.coalitions):,} evaluations.",) if self.stop.asked else ()
            self._news.put(News(result=replace(result, notes=(*by_hand, *told))))
        except BaseException as error:
            self._news.put(error)
