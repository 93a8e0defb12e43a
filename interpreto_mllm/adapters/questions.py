"""What is asked about a prompt, checked against what the model can read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from interpreto_mllm.adapters.base import ModelAdapter
from interpreto_mllm.games.targets import Question, Target, pose
from interpreto_mllm.prompts.prompt import Prompt


def build_question(
    kind: ModelAdapter, prompt: Prompt, given: list[Any] | None, generate: Mapping[str, Any], product: bool
) -> Question[Target]:
    """The question that targets pose about a prompt.

    Args:
        kind: the model's.
        prompt: what it reads.
        given: the targets; None for the model's own answer.
        generate: arguments for that answer.
        product: whether the value of a span is the product of its tokens' values.

    Raises:
        ValueError: when a prompt or a target is longer than the model reads.
    """
    n = len(prompt.features)
    [[empty, *_], [full, *_]] = prompt.inputs_for(torch.tensor([[False] * n, [True] * n]))
    kind.check_ids(full)
    room = kind.room()
    longest = max(empty, full, key=lambda reading: len(reading.ids))
    if room is not None and len(longest.ids) > room:
        raise ValueError(
            f"The prompt has {len(longest.ids)} tokens, the model reads {room}: shorten it (nothing is truncated)."
        )

    def make(target: Any) -> Target:
        return kind.answer(target, prompt.text, full)

    if given is None:
        question = Question((kind.own_answer(full, generate),), (0,), kind.unit, product)
    else:
        question = pose(given, make, kind.unit, product)
    for target in question.targets:
        length = kind.length(longest, target)
        if room is not None and length > room:
            raise ValueError(
                f"The prompt ({len(longest.ids)} tokens) and the target ({target.length}) need {length} positions, "
                f"the model has {room}: shorten one of them (nothing is truncated)."
            )
    return question
