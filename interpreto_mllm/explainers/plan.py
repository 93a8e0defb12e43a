"""The most that an explanation can cost, before anything is spent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from interpreto_mllm.adapters.base import ModelAdapter
from interpreto_mllm.engine.memory import PeakMemory
from interpreto_mllm.evaluation.budget import budget_of_trials
from interpreto_mllm.evaluation.run import Run
from interpreto_mllm.explainers.planned import Planned
from interpreto_mllm.games.game import ModelGame

COUNTS = ("evaluations", "requests", "prompt_tokens", "answer_tokens", "thought_tokens")
"""What of plans adds up."""

ANNOUNCED_TOKENS = 100_000
"""Tokens from which on a call says what it may spend before it begins."""


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

        memory: the bytes that it takes at most, None where that is not known.

    Example:
        >>> Plan(evaluations=100, requests=100, prompt_tokens=50_000, answer_tokens=3_200).cost(prompt=2.0, answer=8.0)
        0.1256
    """

    evaluations: int
    requests: int
    prompt_tokens: int
    answer_tokens: int
    thought_tokens: int = 0
    memory: PeakMemory | None = field(default=None, compare=False)

    def cost(self, *, prompt: float, answer: float) -> float:
        """The price, given prices per million tokens read and generated."""
        return round((self.prompt_tokens * prompt + (self.answer_tokens + self.thought_tokens) * answer) / 1e6, 6)


def planned(adapter: ModelAdapter[Any], asked: Sequence[Planned], budgets: Sequence[int], trials: int = 1) -> Plan:
    """The most that these prompts can cost under these budgets, of each trial."""
    budgets = [budget_of_trials(budget, len(one.prompt.features), trials) for one, budget in zip(asked, budgets, strict=True)]
    requests, read, generated, thought = 0, 0, 0, 0
    memory: list[PeakMemory | None] = []
    for one, budget in zip(asked, budgets, strict=True):
        [inputs] = one.prompt.inputs_for(torch.ones(1, len(one.prompt.features), dtype=torch.bool))
        memory += [adapter.peak_memory(input) for input in inputs]
        longest = max(adapter.prompt_tokens(input) for input in inputs)
        thoughts = budget * len(inputs) * one.repeats if one.anew else 0
        times = budget * len(inputs) * max(one.repeats, 1) * adapter.draws
        requests += times + thoughts + one.own
        read += times * (longest + (one.most if thoughts else 0)) + (thoughts + one.own) * longest
        generated += times * adapter.answer_tokens
        thought += (thoughts + one.own + (times if one.within else 0)) * one.most
    return Plan(sum(budgets), requests, read, generated, thought, _most(memory))


def announced(adapter: ModelAdapter[Any], runs: Sequence[Run[ModelGame]]) -> str:
    """What these runs are about to spend, in words; nothing where that is little."""
    asked = [Planned.of(run.game.prompt) for run in runs]
    return in_words(planned(adapter, asked, [run.session.budget for run in runs]), max(run.game.n for run in runs))


def in_words(plan: Plan, features: int) -> str:
    """What a call is about to spend; nothing where that is little.

    Example:
        >>> in_words(Plan(evaluations=400, requests=400, prompt_tokens=669_600, answer_tokens=0), 80).split(". ")[0]
        '80 features: at most 400 evaluations, 669,600 tokens'
        >>> in_words(Plan(64, 128, 90_000, 0, thought_tokens=16_384), 6).split(". ")[0]
        '6 features: at most 64 evaluations, 90,000 tokens and 16,384 of thoughts'
    """
    if plan.prompt_tokens + plan.thought_tokens < ANNOUNCED_TOKENS:
        return ""
    thoughts = f" and {plan.thought_tokens:,} of thoughts" if plan.thought_tokens else ""
    memory = "" if plan.memory is None else f", {plan.memory.total / 1e9:.1f} GB of memory"
    return (
        f"{features} features: at most {plan.evaluations:,} evaluations, {plan.prompt_tokens:,} tokens{thoughts}{memory}. "
        "A smaller budget, until=TopK(3) or a coarser granularity costs less."
    )


def _most(memory: Sequence[PeakMemory | None]) -> PeakMemory | None:
    known = [one for one in memory if one is not None]
    return max(known, key=lambda one: one.total, default=None)
