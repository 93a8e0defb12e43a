"""The chat behind an explanation, from which the conversation can go on."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from interpreto_mllm.media.state import Medium
from interpreto_mllm.prompts.chat import MEDIA_KEYS, Message


@dataclass(frozen=True, eq=False)
class Conversation:
    """A chat that was explained.

    Args:
        messages: as the model read all of them; images and clips are the pictures and clips that they were cut into.
        answered: indices of the assistant's messages that are no fixed history, but what the model answers to each coalition;
            `messages` holds what it answered with everything present.

    Example:
        >>> chat = Conversation(({"role": "user", "content": "what is the sky ?"},))
        >>> longer = chat.continued("blue", [{"role": "user", "content": "why ?"}])
        >>> [message["content"] for message in longer.messages], longer.answered
        (['what is the sky ?', 'blue', 'why ?'], (1,))
        >>> [message["content"] for message in longer.told(["grey"])]
        ['what is the sky ?', 'grey', 'why ?']
    """

    messages: tuple[Message, ...]
    answered: tuple[int, ...] = ()

    @classmethod
    def of(cls, messages: Sequence[Message], media: Sequence[Medium]) -> Conversation:
        """A copy of these messages with the images and clips as they were read."""
        found = iter(media)

        def read(part: dict[str, Any]) -> dict[str, Any]:
            kind = part["type"]
            kept = {name: value for name, value in part.items() if name not in (*MEDIA_KEYS[kind], "sampling_rate")}
            return {**kept, kind: next(found)}

        return cls(tuple(_changed(messages, read)))

    def continued(self, answer: str, turn: Sequence[Message]) -> Conversation:
        """The longer chat: what the model answered to all of this one, and what follows."""
        spoken = {"role": "assistant", "content": answer}
        return Conversation((*self.messages, spoken, *turn), (*self.answered, len(self.messages)))

    def told(self, said: Sequence[str]) -> list[Message]:
        """The messages up to the answer that comes after these, which stand in place of those given with everything present."""
        end = [*self.answered, len(self.messages)][len(said)]
        spoken = dict(zip(self.answered, said, strict=False))
        return [
            {**message, "content": spoken[index]} if index in spoken else message
            for index, message in enumerate(self.messages[:end])
        ]

    def to_data(self, media: Sequence[Medium]) -> dict[str, Any] | None:
        """As JSON can hold it, images and clips by their indices in `media`; None where messages hold what JSON cannot."""
        messages = _changed(self.messages, lambda part: {**part, part["type"]: media.index(part[part["type"]])})
        try:
            json.dumps(messages, allow_nan=False)
        except (TypeError, ValueError):
            return None
        return {"messages": messages, "answered": list(self.answered)}

    @classmethod
    def from_data(cls, data: dict[str, Any] | None, media: Sequence[Medium]) -> Conversation | None:
        """What `to_data` wrote."""
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
