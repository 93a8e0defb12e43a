"""What an explanation cost."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Counts:
    """What an explanation cost.

    Args:
        evaluations: distinct coalitions it rests on.
        paid: those evaluated in this call, the others being reused.
        forwards: forward passes of the model.
        tokens: tokens processed by the model.
        seconds: wall-clock time.
        saved: evaluations of the budget that a rule to stop early made needless.

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
