"""The chat behind an explanation, which further turns can extend."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from interpreto_mllm.media.state import Medium
from interpreto_mllm.prompts.chat import MEDIA_KEYS, Message


@dataclass(frozen=True, eq=False)
class Conversation:
    """A chat that was explained.

    Args:
        messages: all messages of the prompt, with images and clips as `Picture` and `Clip`.
        answered: indices of the assistant's messages that the model answers again for each coalition; `messages` holds its
            answers with everything present.

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

    @classmethod
    def of(cls, messages: Sequence[Message], media: Sequence[Medium]) -> Conversation:
        """A copy of these messages with these media in place of the images and clips."""
        found = iter(media)

        def with_medium(part: dict[str, Any]) -> dict[str, Any]:
            kind = part["type"]
            kept = {name: value for name, value in part.items() if name not in (*MEDIA_KEYS[kind], "sampling_rate")}
            return {**kept, kind: next(found)}

        return cls(tuple(_changed(messages, with_medium)))

    def continued(self, answer: str, turn: Sequence[Message]) -> Conversation:
        """This chat with the model's answer to all of it, and the messages that follow."""
        reply = {"role": "assistant", "content": answer}
        return Conversation((*self.messages, reply, *turn), (*self.answered, len(self.messages)))

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
        try:
            json.dumps(messages, allow_nan=False)
        except (TypeError, ValueError):
            return None
        return {"messages": messages, "answered": list(self.answered)}

    @classmethod
    def from_data(cls, data: dict[str, Any] | None, media: Sequence[Medium]) -> Conversation | None:
        """Inverse of `to_data`."""
        if data is None:
            return None
        messages = _changed(data["messages"], lambda part: {**part, part["type"]: media[part[part["type"]]]})
        return cls(tuple(messages), tuple(data["answered"]))


def _changed(messages: Sequence[Message], change: Callable[[dict[str, Any]], dict[str, Any]]) -> list[Message]:
    """A copy of the messages with every image and clip changed."""
    copied = []
    for message in messages:
        content = message["content"]
        if isinstance(content, list):
            content = [dict(part) if part["type"] == "text" else change(part) for part in content]
        copied.append({**message, "content": content})
    return copied
