"""What an explanation cost."""

from __future__ import annotations

from dataclasses import dataclass


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


@dataclass(frozen=True)
class Spent:
    """What a call has cost, all inputs together.

    Args:
        paid: evaluations made.
        forwards: forward passes of the model.
        tokens: tokens processed by the model.
        seconds: wall-clock time.
    """

    paid: int
    forwards: int
    tokens: int
    seconds: float

    def share(self, paid: int, evaluations: int, saved: int) -> Counts:
        """The costs of one input, in proportion to the evaluations made for it.

        Example:
            >>> Spent(40, forwards=8, tokens=400, seconds=2.0).share(10, evaluations=16, saved=0).tokens
            100
        """
        share = paid / max(self.paid, 1)
        forwards, tokens = round(self.forwards * share), round(self.tokens * share)
        return Counts(evaluations, paid, forwards, tokens, self.seconds * share, saved)
