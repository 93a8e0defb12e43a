"""Chats: rendered by the tokenizer's own template, every message found again in the text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from interpreto_mllm.prompts.granularity import Span

Message = dict[str, Any]


def is_chat(inputs: object) -> bool:
    """Whether this is a list of messages, each a mapping with a role."""
    return isinstance(inputs, list) and bool(inputs) and all(isinstance(m, dict) and "role" in m for m in inputs)


def check_chat(messages: Sequence[Message], tokenizer: Any) -> None:
    """Raise a ValueError where these messages cannot be rendered or explained."""
    if getattr(tokenizer, "chat_template", None) is None:
        raise ValueError("This tokenizer has no chat template: give the prompt as a string, or set tokenizer.chat_template.")
    for index, message in enumerate(messages):
        if not isinstance(message.get("content"), str):
            raise ValueError(
                f"Message {index} needs a text under 'content'; got {message.get('content')!r}. "
                'A message looks like {"role": "user", "content": "Hello"}.'
            )
    if messages[-1]["role"] == "assistant":
        raise ValueError("The chat ends with an assistant message: leave it out and give its text as the target to explain it.")


def render_chat(messages: Sequence[Message], tokenizer: Any) -> tuple[str, list[Span]]:
    """The rendered chat, generation prompt included, and the span of each message's content in it.

    The template is rendered a second time with a marker in place of each content, which tells where contents go even when one
    of them repeats a role's name or another message.

    Raises:
        ValueError: when the template does more to a message than strip it, so that it cannot be found again.
    """
    text = _render(messages, tokenizer)
    markers = [f"\u2983{index}\u2984" for index in range(len(messages))]
    marked = [{**message, "content": marker} for message, marker in zip(messages, markers, strict=True)]
    skeleton = _render(marked, tokenizer)
    spans: list[Span] = []
    position = 0
    for message, marker in zip(messages, markers, strict=True):
        content = message["content"]
        before, found, rest = skeleton.partition(marker)
        if not found:
            spans.append((position, position))
            continue
        start = position + len(before)
        written = next((form for form in (content, content.strip()) if text.startswith(before + form, position)), None)
        if written is None:
            raise ValueError(f"The chat template rewrites the message {content!r}, so its words cannot be found in the prompt.")
        spans.append((start, start + len(written)))
        position, skeleton = start + len(written), rest
    if text[position:] != skeleton:
        raise ValueError("The chat template renders these messages differently from others, so their words cannot be found.")
    return text, spans


def _render(messages: Sequence[Message], tokenizer: Any) -> str:
    return str(tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=True))
