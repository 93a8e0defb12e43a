"""Chats: their messages checked, and the texts, images and clips in them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from interpreto_mllm.chats import documents, tools
from interpreto_mllm.chats.chat import Chat, Message, is_chat
from interpreto_mllm.chats.parts import Part, trust
from interpreto_mllm.chats.thoughts import THOUGHTS
from interpreto_mllm.core.shown import shown
from interpreto_mllm.prompts.processing import Processing

__all__ = [
    "Chat",
    "Message",
    "Part",
    "check_chat",
    "check_template",
    "ends_with_assistant",
    "is_chat",
    "parts_of",
    "texts_beside",
    "texts_of",
]

MEDIA_KEYS = {kind: (kind, "url", "path") for kind in ("image", "audio", "video")}
"""The keys that may hold the content of a part, by type."""

SETTINGS = {"fps": "fps", "num_frames": "num_frames", "nframes": "num_frames", "times": "times"}
"""Further keys of a video, and what they are called here."""

RESULTS = ("tool", "function", "ipython", "observation")
"""The roles of messages that hold what a tool returned."""

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
        if content is None and (message.get("tool_calls") or any(message.get(name) for name in THOUGHTS)):
            continue
        if not (isinstance(content, str) or (isinstance(content, list) and content and all(map(_kind, content)))):
            raise ValueError(
                f"Message {index} needs a text under 'content', or a list of parts; got {shown(content)}. "
                'A message looks like {"role": "user", "content": "Hello"}, or {"role": "user", "content": [{"type": "image", '
                '"image": picture}, {"type": "text", "text": "Hello"}]}; parts are of the type text, image, audio or video.'
            )
    if not may_be_answered and ends_with_assistant(messages):
        raise ValueError(ENDS_WITH_ASSISTANT)


def check_template(chat: Chat, processing: Processing) -> None:
    """Raise a ValueError for an argument of the template that it does not read, or a message to continue that is none."""
    last = chat.messages[-1]
    if chat.continue_final_message and not (ends_with_assistant(chat.messages) and last.get("content")):
        raise ValueError(
            "continue_final_message goes on from what the assistant has begun to say, but the last message is "
            f"{shown(last.get('content'))} of {last['role']!r}: end the chat with a message of the assistant."
        )
    given = getattr(processing.templater, "chat_template", None)
    template = " ".join(given.values()) if isinstance(given, dict) else str(given or "")
    for name in chat.template or ():
        if name != "chat_template" and not re.search(rf"(?<!\w){re.escape(name)}(?!\w)", template):
            raise ValueError(
                f"template holds {name!r}, which the chat template does not read, so it would change nothing: leave it out, or "
                "look for its name in tokenizer.chat_template."
            )


def ends_with_assistant(messages: Sequence[Message]) -> bool:
    """Whether the last message is the assistant's."""
    return messages[-1]["role"] == "assistant"


def parts_of(messages: Sequence[Message]) -> list[Part]:
    """All parts of the contents of all messages in order."""
    parts = []
    for turn, message in enumerate(messages):
        source, label = _named(messages, turn)
        told: dict[str, Any] = {"source": source, "label": label}
        content = message.get("content")
        several = isinstance(content, list)
        for index, part in enumerate(content if several else [] if content is None else [content]):
            kind = "text" if isinstance(part, str) else str(_kind(part))
            given = part if isinstance(part, str) else _content(part, kind)
            path = ("messages", turn, "content", *((index,) if several else ()))
            trusted = trust(message["role"], message if isinstance(part, str) else {**message, **part})
            parts.append(Part(turn, message["role"], kind, given, path, trusted=trusted, **told))
    return parts


def texts_of(chat: Chat) -> list[Part]:
    """All texts of a chat: those of its messages, their thoughts and calls, of tools and of documents."""
    found = [part for part in parts_of(chat.messages) if part.kind == "text"]
    for turn, message in enumerate(chat.messages):
        source, label = _named(chat.messages, turn)
        found += [
            replace(part, source=part.source or source, label=part.label or label) for part in texts_beside(message, turn)
        ]
    return [*found, *tools.texts_of(chat.tools or ()), *documents.texts_of(chat.documents or ())]


def texts_beside(message: Message, turn: int) -> list[Part]:
    """The texts of a message beside its content: its thoughts, and its calls."""
    thoughts = [(name, message[name]) for name in THOUGHTS if isinstance(message.get(name), str)]
    told: dict[str, Any] = {"part": "thoughts", "trusted": trust(message["role"], message)}
    path = ("messages", turn)
    found = [Part(turn, message["role"], "text", text, (*path, name), **told) for name, text in thoughts]
    return [*found, *tools.calls_of(message, turn)]


def _named(messages: Sequence[Message], turn: int) -> tuple[str | None, str | None]:
    """The source of a message, and what it is called: the tool whose result it holds, or who wrote it."""
    message = messages[turn]
    if message["role"] not in RESULTS:
        name = message.get("name")
        return (name, name) if isinstance(name, str) else (None, None)
    called = message.get("tool_call_id")
    calls = [call for earlier in messages[:turn] for call in earlier.get("tool_calls") or ()]
    asked = [call for call in calls if called is not None and call.get("id") == called]
    if not asked and message.get("name") is None:  # results come in the order of the calls
        before = sum(one["role"] in RESULTS for one in messages[:turn])
        asked = calls[before : before + 1]
    name = message.get("name") or (tools.name_of(asked[0]) if asked else None)
    source = called if called is not None else name
    return (None if source is None else str(source)), f"tool result: {name}" if name else "tool result"


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
    if kind == "video":
        settings = {SETTINGS[key]: value for key, value in part.items() if key in SETTINGS}
        return {**(given if isinstance(given, dict) else {"video": given}), **settings} if settings else given
    rate = part.get("sampling_rate")
    bare = kind == "audio" and rate is not None and not isinstance(given, dict)
    return {"array": given, "sampling_rate": rate} if bare else given
