"""What an explanation will cost at most, told before anything is spent."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """The most that an explanation of some inputs can cost; what is left out of a coalition is not read, so it costs less.

    Args:
        evaluations: distinct coalitions.
        requests: times that the model is asked, drawn answers counted each.
        prompt_tokens: tokens read; of a remote model, whose tokens are unknown, a quarter of the characters.
        answer_tokens: tokens said; none where the model does not answer.

    Example:
        >>> Plan(evaluations=100, requests=100, prompt_tokens=50_000, answer_tokens=3_200).cost(prompt=2.0, answer=8.0)
        0.1256
    """

    evaluations: int
    requests: int
    prompt_tokens: int
    answer_tokens: int

    def cost(self, *, prompt: float, answer: float) -> float:
        """The money, at prices per million tokens read and said."""
        return round((self.prompt_tokens * prompt + self.answer_tokens * answer) / 1e6, 6)
