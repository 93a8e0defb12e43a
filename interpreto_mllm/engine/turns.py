"""Several threads on one model: each step of the work has the model to itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from threading import Lock, RLock
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from torch import nn

from interpreto_mllm.engine.counter import ForwardCounter
from interpreto_mllm.engine.queries import Scored, Scorer

Step = TypeVar("Step")

_LOCKS: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()
_GUARD = Lock()


def turn(model: Any) -> AbstractContextManager[Any]:
    """A context that one thread at a time is in, for each model; wrappers of a model share its turns.

    Threads take turns batch by batch, so that a long call does not keep a short one waiting for its end. A turn may be taken
    again within itself. Within the turn of one model none of another is taken, so that no two threads wait for each other.

    Example:
        >>> import torch
        >>> model = torch.nn.Linear(2, 2)
        >>> with turn(model), turn(torch.nn.Sequential(model)):
        ...     pass
    """
    modules = model.modules() if isinstance(model, nn.Module) else ()
    owner = next((module for module in modules if next(module.parameters(recurse=False), None) is not None), model)
    with _GUARD:
        return _LOCKS.setdefault(owner, RLock())


def in_turns(model: Any, steps: Iterator[Step]) -> Iterator[Step]:
    """These steps, each computed in a turn of its own."""
    mine = turn(model)
    while True:
        with mine:
            try:
                step = next(steps)
            except StopIteration:
                return
        yield step


class TurnTakingScorer:
    """A scorer whose batches are computed in turns with other threads on its model.

    Args:
        scorer: gives the values.
        model: which it runs.
    """

    def __init__(self, scorer: Scorer[Any], model: Any):
        self.scorer, self.model = scorer, model

    @property
    def counter(self) -> ForwardCounter:
        """What the model has cost."""
        return self.scorer.counter

    def score(self, queries: Sequence[Any]) -> Iterator[Scored]:
        """Values of each query, batch by batch."""
        yield from in_turns(self.model, self.scorer.score(queries))
