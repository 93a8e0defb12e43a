"""The chat behind an explanation, which further turns can extend."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

from interpreto_mllm.media.state import Medium
from interpreto_mllm.prompts.chat import MEDIA_KEYS, SETTINGS, Chat, Message


@dataclass(frozen=True, eq=False)
class Conversation:
    """A chat that was explained.

    Args:
        messages: all messages of the prompt, with images, clips and videos as `Picture`, `Clip` and `Video`.
        answered: indices of the assistant's messages that the model answers again for each coalition; `messages` holds its
            answers with everything present.
        tools: JSON schemas of its tools.
        documents: its documents.
        template: arguments of the chat template.
        continued_message: whether its last message is one that the answer goes on from.

    Example:
        >>> chat = Conversation(({"role": "user", "content": "what is the sky ?"},))
        >>> longer = chat.continued("blue", [{"role": "user", "content": "why ?"}])
        >>> [message["content"] for message in longer.messages], longer.answered
        (['what is the sky ?', 'blue', 'why ?'], (1,))
        >>> [message["content"] for message in longer.messages_with(["grey"])]
        ['what is the sky ?', 'grey', 'why ?']
    """

    messages: tuple[Message, ...]
    answered: tuple[int, ...] = ()
    tools: tuple[dict[str, Any], ...] = ()
    documents: tuple[dict[str, Any], ...] = ()
    template: Mapping[str, Any] = field(default_factory=dict)
    continued_message: bool = False

    @classmethod
    def of(cls, chat: Chat, media: Sequence[Medium]) -> Conversation:
        """A copy of a chat with these media in place of the images and clips."""
        found = iter(media)

        def with_medium(part: dict[str, Any]) -> dict[str, Any]:
            kind = part["type"]
            kept = {name: value for name, value in part.items() if name not in (*MEDIA_KEYS[kind], *SETTINGS, "sampling_rate")}
            return {**kept, kind: next(found)}

        return cls(
            tuple(_changed(chat.messages, with_medium)),
            tools=tuple(chat.tools or ()),
            documents=tuple(chat.documents or ()),
            template=dict(chat.template or {}),
            continued_message=chat.continue_final_message,
        )

    def chat(self, messages: Sequence[Message] | None = None) -> Chat:
        """The chat, with other messages where there are some; its answer goes on from none of these."""
        own = self.continued_message and messages is None
        given = self.messages if messages is None else messages
        return Chat(list(given), list(self.tools), list(self.documents), self.template, own)

    def continued(self, answer: str, turn: Sequence[Message]) -> Conversation:
        """This chat with the model's answer to all of it, and the messages that follow."""
        reply = {"role": "assistant", "content": answer}
        messages = (*self.messages, reply, *turn)
        return replace(self, messages=messages, answered=(*self.answered, len(self.messages)), continued_message=False)

    def messages_with(self, answers: Sequence[str]) -> list[Message]:
        """The messages before the answer that follows these, with these in place of the answers to the whole prompt."""
        end = [*self.answered, len(self.messages)][len(answers)]
        replaced = dict(zip(self.answered, answers, strict=False))
        return [
            {**message, "content": replaced[index]} if index in replaced else message
            for index, message in enumerate(self.messages[:end])
        ]

    def to_data(self) -> dict[str, Any] | None:
        """As JSON, with images and clips as their places among all of them; None if a message cannot be written as JSON."""
        places = count()
        messages = _changed(self.messages, lambda part: {**part, part["type"]: next(places)})
        data: dict[str, Any] = {"messages": messages, "answered": list(self.answered)}
        further = {"tools": list(self.tools), "documents": list(self.documents), "template": dict(self.template)}
        data |= {name: given for name, given in {**further, "continued_message": self.continued_message}.items() if given}
        try:
            json.dumps(data, allow_nan=False)
        except (TypeError, ValueError):
            return None
        return data

    @classmethod
    def from_data(cls, data: dict[str, Any] | None, media: Sequence[Medium]) -> Conversation | None:
        """Inverse of `to_data`."""
        if data is None:
            return None
        messages = _changed(data["messages"], lambda part: {**part, part["type"]: media[part[part["type"]]]})
        listed = {name: tuple(data.get(name, ())) for name in ("tools", "documents")}
        continued = bool(data.get("continued_message", False))
        return cls(
            tuple(messages), tuple(data["answered"]), **listed, template=data.get("template", {}), continued_message=continued
        )


def _changed(messages: Sequence[Message], change: Callable[[dict[str, Any]], dict[str, Any]]) -> list[Message]:
    """A copy of the messages with every image and clip changed."""
    copied = []
    for message in messages:
        content = message.get("content")
        if isinstance(content, list):
            content = [dict(part) if part["type"] == "text" else change(part) for part in content]
        copied.append({**message, "content": content} if "content" in message else dict(message))
    return copied
