"""Calls of tools as targets of models that answer in tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from interpreto_mllm.calls.rendered import Message, Render, WrittenAnswer
from interpreto_mllm.calls.tool_call import ToolCall, check_offered
from interpreto_mllm.games.targets import TokenTarget
from interpreto_mllm.prompts.conversation import Conversation
from interpreto_mllm.prompts.processing import Processing
from interpreto_mllm.prompts.rendering import Rendering
from interpreto_mllm.prompts.tokens import decoded_offsets
from interpreto_mllm.thoughts.marks import KNOWN


def renderer(given: ToolCall, chat: Conversation | None, processing: Processing) -> Render:
    """Renders a chat with further messages, for this call.

    Raises:
        ValueError: for a prompt that is no chat, or one without such a tool.
    """
    if chat is None:
        raise ValueError(
            f"The prompt is no chat, after which {given} could be written: give a list of messages or a Chat, or the text "
            "of the call as the target."
        )
    check_offered(given, chat.tools)

    def render(more: Sequence[Message], answered: bool) -> str:
        messages = [*chat.messages, *more] if more or not answered else None
        return Rendering(chat.chat(messages), processing, generation_prompt=answered).text

    return render


def opens_thoughts(text: str) -> bool:
    """Whether a prompt ends where a model's thoughts begin."""
    return any(marks.opens(text) for marks in KNOWN)


def written(target: TokenTarget, tokenizer: Any) -> str:
    """The text of the tokens that are scored."""
    return str(tokenizer.decode(_scored(target), clean_up_tokenization_spaces=False))


def within(target: TokenTarget, answer: WrittenAnswer, tokenizer: Any) -> list[int]:
    """The positions of those scored tokens of an answer that its part touches."""
    start, end = answer.span
    offsets = decoded_offsets(_scored(target), answer.text, tokenizer, False)
    spans = zip(target.scored, offsets, strict=True)
    return [position for position, (low, high) in spans if low < end and high > start]


def _scored(target: TokenTarget) -> list[int]:
    return [target.ids[index] for index in target.scored]
