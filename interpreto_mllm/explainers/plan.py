"""What an explanation will cost at most, told before anything is spent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from interpreto_mllm.adapters.base import ModelAdapter
from interpreto_mllm.prompts.prompt import Prompt


@dataclass(frozen=True)
class Plan:
    """The most that an explanation of some inputs can cost; what is left out of a coalition is not read, so it costs less.

    Args:
        evaluations: distinct coalitions.
        requests: times that the model is asked, drawn answers counted each.
        prompt_tokens: tokens read; of a remote model, whose tokens are unknown, a quarter of the characters, one per 28 × 28
            pixels and 25 per second.
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


def planned(kind: ModelAdapter, prompts: Sequence[Prompt], budgets: Sequence[int]) -> Plan:
    """What these prompts cost at most under these budgets."""
    requests, read, said = 0, 0, 0
    for prompt, budget in zip(prompts, budgets, strict=True):
        [readings] = prompt.inputs_for(torch.ones(1, len(prompt.features), dtype=torch.bool))
        times = budget * len(readings) * kind.draws
        requests += times
        read += times * max(kind.read_tokens(reading) for reading in readings)
        said += times * kind.answer_tokens
    return Plan(sum(budgets), requests, read, said)
