"""The most that an explanation can cost, before anything is spent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from interpreto_mllm.adapters.base import ModelAdapter
from interpreto_mllm.evaluation.budget import budget_of_trials
from interpreto_mllm.explainers.reasoning import Planned


@dataclass(frozen=True)
class Plan:
    """The most that explaining some inputs can cost; coalitions without some features are shorter, so the real cost is lower.

    Args:
        evaluations: distinct coalitions.
        requests: model calls, each drawn answer counted.
        prompt_tokens: tokens read; estimated for a remote model as a quarter of the characters, one per 28 × 28 pixels
            of images and 25 per second of audio.
        answer_tokens: tokens generated; 0 where the model generates no answers.
        thought_tokens: tokens of thoughts, generated before answers where each coalition thinks anew, or once where the model's
            own response is asked about.

    Example:
        >>> Plan(evaluations=100, requests=100, prompt_tokens=50_000, answer_tokens=3_200).cost(prompt=2.0, answer=8.0)
        0.1256
    """

    evaluations: int
    requests: int
    prompt_tokens: int
    answer_tokens: int
    thought_tokens: int = 0

    def cost(self, *, prompt: float, answer: float) -> float:
        """The price, given prices per million tokens read and generated."""
        return round((self.prompt_tokens * prompt + (self.answer_tokens + self.thought_tokens) * answer) / 1e6, 6)


def planned(adapter: ModelAdapter[Any], asked: Sequence[Planned], budgets: Sequence[int], trials: int = 1) -> Plan:
    """The most that these prompts can cost under these budgets, of each trial."""
    budgets = [budget_of_trials(budget, len(one.prompt.features), trials) for one, budget in zip(asked, budgets, strict=True)]
    requests, read, generated, thought = 0, 0, 0, 0
    for one, budget in zip(asked, budgets, strict=True):
        [inputs] = one.prompt.inputs_for(torch.ones(1, len(one.prompt.features), dtype=torch.bool))
        longest = max(adapter.prompt_tokens(input) for input in inputs)
        thoughts = budget * len(inputs) * one.repeats if one.anew else 0
        times = budget * len(inputs) * max(one.repeats, 1) * adapter.draws
        requests += times + thoughts + one.own
        read += times * (longest + (one.most if thoughts else 0)) + (thoughts + one.own) * longest
        generated += times * adapter.answer_tokens
        thought += (thoughts + one.own + (times if one.within else 0)) * one.most
    return Plan(sum(budgets), requests, read, generated, thought)
