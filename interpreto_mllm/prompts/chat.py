"""Chats, rendered by the template of the tokenizer or processor, with the place of every part in the text."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

from interpreto_mllm.core.shown import shown
from interpreto_mllm.prompts.granularity import Span
from interpreto_mllm.prompts.processing import Processing

Message = dict[str, Any]

MEDIA_KEYS = {"image": ("image", "url", "path"), "audio": ("audio", "url", "path")}
"""The keys that may hold the content of a part, by type."""


@dataclass(frozen=True)
class Part:
    """A piece of a message: a text, an image or a clip.

    Args:
        turn: index of the message.
        role: of the message.
        kind: "text", "image" or "audio".
        content: the text, or the image or clip as the user gave it.
    """

    turn: int
    role: str
    kind: str
    content: Any


def is_chat(inputs: object) -> TypeGuard[list[Message]]:
    """Whether this is a list of messages, each a mapping with a role."""
    return isinstance(inputs, list) and bool(inputs) and all(isinstance(m, dict) and "role" in m for m in inputs)


ENDS_WITH_ASSISTANT = "The chat ends with an assistant message: leave it out and give its text as the target to explain it."


def check_chat(messages: Sequence[Message], processing: Processing, may_be_answered: bool = False) -> None:
    """Raise a ValueError if these messages cannot be rendered or explained.

    Args:
        messages: the chat.
        processing: the tokenizer or processor with the chat template.
        may_be_answered: whether the chat may end with a message of the assistant.
    """
    if processing.templater is None:
        raise ValueError("This tokenizer has no chat template: give the prompt as a string, or set tokenizer.chat_template.")
    for index, message in enumerate(messages):
        content = message.get("content")
        if not (isinstance(content, str) or (isinstance(content, list) and content and all(map(_kind, content)))):
            raise ValueError(
                f"Message {index} needs a text under 'content', or a list of parts; got {shown(content)}. "
                'A message looks like {"role": "user", "content": "Hello"}, or {"role": "user", "content": [{"type": "image", '
                '"image": picture}, {"type": "text", "text": "Hello"}]}; parts are of the type text, image or audio.'
            )
    if not may_be_answered and ends_with_assistant(messages):
        raise ValueError(ENDS_WITH_ASSISTANT)


def ends_with_assistant(messages: Sequence[Message]) -> bool:
    """Whether the last message is the assistant's."""
    return messages[-1]["role"] == "assistant"


def parts_of(messages: Sequence[Message]) -> list[Part]:
    """All parts of all messages in order."""
    parts = []
    for turn, message in enumerate(messages):
        content = message["content"]
        for part in content if isinstance(content, list) else [content]:
            kind = "text" if isinstance(part, str) else str(_kind(part))
            parts.append(Part(turn, message["role"], kind, part if isinstance(part, str) else _content(part, kind)))
    return parts


def render_chat(
    messages: Sequence[Message],
    processing: Processing,
    dropped: Collection[int] = (),
    fixed: Collection[int] = (),
    generation_prompt: bool = True,
) -> tuple[str, list[Span]]:
    """The rendered chat, and the span of each text part in it.

    The template is rendered a second time with a marker in place of each text. Its markers show where the texts are, even if a
    text repeats a role's name or another message.

    Args:
        messages: the chat.
        processing: the tokenizer or processor with the chat template.
        dropped: indices, among the images and clips, of those to leave out.
        fixed: indices of messages that the template may rewrite; the spans of their texts are empty.
        generation_prompt: whether the text goes on to where the model's answer begins.

    Raises:
        ValueError: when the template changes a text other than by stripping it.
    """
    parts = [part for part in parts_of(messages) if part.kind == "text"]
    texts = [part.content for part in parts]
    text = _render(messages, processing, texts, dropped, generation_prompt)
    markers = [part.content if part.turn in fixed else f"\u2983{index}\u2984" for index, part in enumerate(parts)]
    skeleton = _render(messages, processing, markers, dropped, generation_prompt)
    spans: list[Span] = []
    position = 0
    for part, content, marker in zip(parts, texts, markers, strict=True):
        before, found, rest = ("", "", "") if part.turn in fixed else skeleton.partition(marker)
        if not found:
            spans.append((position, position))
            continue
        start = position + len(before)
        written = next((form for form in (content, content.strip()) if text.startswith(before + form, position)), None)
        if written is None:
            raise ValueError(
                f"The chat template rewrites the message {shown(content)}, so its words cannot be found in the prompt."
            )
        spans.append((start, start + len(written)))
        position, skeleton = start + len(written), rest
    if text[position:] != skeleton:
        raise ValueError("The chat template renders these messages differently from others, so their words cannot be found.")
    return text, spans


def _render(
    messages: Sequence[Message],
    processing: Processing,
    texts: Sequence[str],
    dropped: Collection[int],
    generation_prompt: bool,
) -> str:
    """The chat with these texts in place of its own; images and clips as parts, or as placeholders for a plain template."""
    words, count, in_parts = iter(texts), 0, processing.takes_parts
    filled = []
    for message in messages:
        parts = []
        for part in message["content"] if isinstance(message["content"], list) else [message["content"]]:
            kind = "text" if isinstance(part, str) else _kind(part)
            if kind == "text":
                parts.append({"type": "text", "text": next(words)})
                continue
            if count not in dropped:
                parts.append(part if in_parts else {"text": processing.placeholder(str(kind))})
            count += 1
        content = parts if in_parts else "".join(part["text"] for part in parts)
        filled.append({**message, "content": content})
    return processing.chat(filled, generation_prompt)


def _kind(part: Any) -> str | None:
    """The type of a part, None if it is not a part."""
    if not isinstance(part, dict):
        return None
    kind = part.get("type")
    if kind == "text":
        return kind if isinstance(part.get("text"), str) else None
    return kind if kind in MEDIA_KEYS and any(key in part for key in MEDIA_KEYS[kind]) else None


def _content(part: dict[str, Any], kind: str) -> Any:
    if kind == "text":
        return part["text"]
    given = next(part[key] for key in MEDIA_KEYS[kind] if key in part)
    rate = part.get("sampling_rate")
    bare = kind == "audio" and rate is not None and not isinstance(given, dict)
    return {"array": given, "sampling_rate": rate} if bare else given
