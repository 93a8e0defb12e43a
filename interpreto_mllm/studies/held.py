"""What a worker keeps from one task to the next: one model, one explainer on it, and the game of one sample."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from interpreto_mllm.games.game import ModelGame
from interpreto_mllm.studies.build import build_explainer, load_model, sample_game
from interpreto_mllm.studies.data import Sample
from interpreto_mllm.studies.spec import RunSpec

T = TypeVar("T")


class Held(Generic[T]):
    """One thing at a time, under a key. What was held is let go before the next is made, so that memory need not hold both.

    Example:
        >>> held = Held()
        >>> held.get("a", lambda: 1), held.get("a", lambda: 2), held.get("b", lambda: 3)
        (1, 1, 3)
    """

    def __init__(self) -> None:
        self._key: Any = None
        self._value: T | None = None

    def get(self, key: Any, make: Callable[[], T]) -> T:
        """What is held under this key; made now where it is another."""
        if self._value is None or self._key != key:
            self._value = None
            self._value = make()
            self._key = key
        return self._value

    def drop(self) -> None:
        """Hold nothing."""
        self._value = None


_MODEL, _EXPLAINER, _GAME = Held[Any](), Held[Any](), Held[Any]()


def held_explainer(run: RunSpec) -> Any:
    """The explainer of a run, on the model that this process holds."""

    def load() -> Any:
        _EXPLAINER.drop()
        _GAME.drop()
        gc.collect()
        return load_model(run.model)

    model = _MODEL.get(run.model, load)
    return _EXPLAINER.get(run, lambda: build_explainer(run, model))


def held_game(run: RunSpec, sample: Sample) -> ModelGame:
    """The game of a sample under the explainer of its run."""
    explainer = held_explainer(run)
    return _GAME.get((run, sample.identity), lambda: sample_game(explainer, sample))
