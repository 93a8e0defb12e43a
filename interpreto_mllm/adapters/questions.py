"""The question about a prompt, checked against what the model can read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from interpreto_mllm.adapters.base import ModelAdapter, T
from interpreto_mllm.calls.tool_call import ToolCall
from interpreto_mllm.core.which import about
from interpreto_mllm.games.answer_span import AnswerSpan
from interpreto_mllm.games.modes import Joint
from interpreto_mllm.games.targets import Question, pose
from interpreto_mllm.prompts.model_input import ModelInput
from interpreto_mllm.prompts.occlusion import Attend
from interpreto_mllm.prompts.prompt import Prompt


def build_questions(
    adapter: ModelAdapter[T], prompts: Sequence[Prompt], given: Sequence[Sequence[Any] | None], joint: Joint
) -> list[Question[T]]:
    """The question about each prompt; an error says about which it is."""
    questions = []
    for index, (prompt, wanted) in enumerate(zip(prompts, given, strict=True)):
        with about("inputs", index, len(prompts)):
            questions.append(build_question(adapter, prompt, wanted, joint))
    return questions


def build_question(adapter: ModelAdapter[T], prompt: Prompt, given: Sequence[Any] | None, joint: Joint) -> Question[T]:
    """The question that targets ask about a prompt.

    Args:
        adapter: of the model.
        prompt: what the model reads.
        given: the targets; None for the model's own answer.
        joint: what the values of the tokens of a span are worth together.

    Raises:
        TypeError, ValueError: for targets that the model cannot score, or a prompt or target that is longer than it reads.
    """
    n = len(prompt.features)
    [[empty, *_], [full, *_]] = prompt.inputs_for(torch.tensor([[False] * n, [True] * n]))
    longest = max(empty, full, key=lambda input: len(input.ids))
    adapter.check_ids(full)
    if full.seen is not None:
        adapter.check_occlusion(Attend())
    adapter.check_room(longest)
    adapter.check_shown(prompt, full)
    if given is None:
        adapter.check_answerable(prompt.conversation)
        answer = adapter.own_answer(full)
        question = Question(answer.targets, tuple(range(len(answer.targets))), adapter.unit, joint, answer.notes)
    else:
        question = pose(given, lambda target: _target(adapter, target, prompt, full), adapter.unit, joint)
    if joint is Joint.LOGIT:
        question = replace(question, whole=joint, unit="response" if question.unit == "token" else question.unit)
    question = replace(question, notes=(*adapter.notes, *question.notes))
    for target in question.targets:
        adapter.check_room(longest, target)
    return question


def _target(adapter: ModelAdapter[T], given: Any, prompt: Prompt, full: ModelInput) -> T:
    """One target; the call of a tool is one that follows the chat.

    Raises:
        TypeError: for a call or a part of an answer, of a model that gives none.
        ValueError: for a call after a prompt that is no chat, or of a tool that the chat does not have; for a part that is not
            in the answer.
    """
    if isinstance(given, AnswerSpan):
        return adapter.span_target(given, prompt.text, full)
    if not isinstance(given, ToolCall):
        return adapter.target(given, prompt.text, full)
    return adapter.call_target(given, prompt.conversation, prompt.text, full)
