"""What an explanation cost."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

Stage = Literal["reading", "model", "aggregation"]


@dataclass(frozen=True)
class Stages:
    """Seconds of a call by what they were spent on.

    Args:
        reading: inputs, targets and the fingerprint; the model's own answer, where it is explained.
        model: values of coalitions.
        aggregation: drawing coalitions, applying stop rules, and turning values into scores.

    Example:
        >>> Stages(reading=0.5, model=2.0).share(0.5)
        Stages(reading=0.25, model=1.0, aggregation=0.0)
    """

    reading: float = 0.0
    model: float = 0.0
    aggregation: float = 0.0

    @property
    def total(self) -> float:
        """Of all stages."""
        return self.reading + self.model + self.aggregation

    def share(self, part: float) -> Stages:
        """A part of each."""
        return Stages(self.reading * part, self.model * part, self.aggregation * part)


class Stopwatch:
    """Seconds by stage; every moment belongs to one, the reading at first.

    Example:
        >>> watch = Stopwatch()
        >>> watch.enter("model")
        >>> watch.stages.aggregation, watch.stages.model > 0
        (0.0, True)
    """

    def __init__(self) -> None:
        self._spent: dict[Stage, float] = {}
        self._stage: Stage = "reading"
        self._since = time.perf_counter()

    def enter(self, stage: Stage) -> None:
        """From now on, time belongs to this stage."""
        now = time.perf_counter()
        self._spent[self._stage] = self._spent.get(self._stage, 0.0) + now - self._since
        self._stage, self._since = stage, now

    @property
    def stages(self) -> Stages:
        """What each stage has taken so far."""
        self.enter(self._stage)
        return Stages(**self._spent)


@dataclass(frozen=True)
class Counts:
    """What an explanation cost.

    Args:
        evaluations: distinct coalitions whose values it uses.
        paid: those evaluated in this call, the others being reused.
        forwards: forward passes of the model.
        tokens: tokens processed by the model.
        seconds: wall-clock time.
        saved: evaluations of the budget that a stop rule made unnecessary.
        answers_reused: answers to earlier turns that the conversation went on from and that were known already, each distinct
            prompt counted once.
        answers_asked: those that were not, and were asked for in this call.
        stages: what the seconds were spent on.
        trials: forward passes beside `forwards` in which the model was tried since the result before, as docs/errors.md says.
        points: points at which a gradient method took gradients.
        backwards: backward passes of the model.

    Example:
        >>> Counts(evaluations=16, paid=10).paid
        10
    """

    evaluations: int = 0
    paid: int = 0
    forwards: int = 0
    tokens: int = 0
    seconds: float = 0.0
    saved: int = 0
    answers_reused: int = 0
    answers_asked: int = 0
    stages: Stages = Stages()
    trials: int = 0
    points: int = 0
    backwards: int = 0

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Counts:
        """Inverse of `asdict`; older files have no stages."""
        return cls(**{**data, "stages": Stages(**data.get("stages", {}))})

    def timed(self, stages: Stages) -> Counts:
        """The same, having taken this long."""
        return replace(self, seconds=stages.total, stages=stages)


@dataclass(frozen=True)
class Spent:
    """What a call has cost, all inputs together.

    Args:
        paid: evaluations made.
        forwards: forward passes of the model.
        tokens: tokens processed by the model.
        trials: forward passes in which the model was tried.
        backwards: backward passes of the model.
    """

    paid: int
    forwards: int
    tokens: int
    trials: int = 0
    backwards: int = 0

    def share(self, paid: int, evaluations: int, saved: int) -> Counts:
        """The costs of one input, in proportion to the evaluations made for it.

        Example:
            >>> Spent(40, forwards=8, tokens=400).share(10, evaluations=16, saved=0).tokens
            100
        """
        share = paid / max(self.paid, 1)
        forwards, tokens = round(self.forwards * share), round(self.tokens * share)
        trials, backwards = round(self.trials * share), round(self.backwards * share)
        return Counts(evaluations, paid, forwards, tokens, saved=saved, trials=trials, backwards=backwards)
