"""Prompts for servers: every character is a token, since the server's own are unknown here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from interpreto_mllm.prompts.chat import Message, is_chat
from interpreto_mllm.prompts.occlusion import Reading
from interpreto_mllm.prompts.prompt import Prompt
from interpreto_mllm.prompts.reader import PromptReader
from interpreto_mllm.prompts.ready import Row
from interpreto_mllm.prompts.splitter import Region
from interpreto_mllm.prompts.tokens import Tokens

ROLE = 0x200000
"""Ids from here on spell the role of a message, its characters above this; the bare number ends the role."""


class Characters:
    """A tokenizer whose ids are code points; it has no special tokens.

    Example:
        >>> Characters().encode("héo"), Characters().decode([104, 233])
        ([104, 233, 111], 'hé')
    """

    is_fast = True
    all_special_ids: tuple[int, ...] = ()
    bos_token_id = eos_token_id = pad_token_id = unk_token_id = mask_token_id = None

    def __len__(self) -> int:
        return 0x110000

    def __call__(self, text: str, **options: Any) -> dict[str, list]:
        spans = [(index, index + 1) for index in range(len(text))]
        return {"input_ids": [ord(character) for character in text], "offset_mapping": spans}

    def encode(self, text: str, add_special_tokens: bool = True) -> list[int]:
        """Code points."""
        return [ord(character) for character in text]

    def convert_ids_to_tokens(self, index: int) -> str:
        """The character of a code point."""
        return chr(index)

    def decode(self, ids: Sequence[int], **options: Any) -> str:
        """The characters of these code points."""
        return "".join(chr(index) for index in ids)


@dataclass(frozen=True)
class CharacterReader(PromptReader):
    """Reads texts and chats for a server; roles are kept apart from what can be left out.

    Args:
        bare: whether a plain text stands for itself (completions) rather than for a message of the user.
    """

    bare: bool = False

    def _one(self, one: Any) -> Prompt:
        if isinstance(one, str) and not self.bare:
            if not one.strip():
                raise ValueError("The prompt is empty: there is nothing to explain.")
            tokens, [(start, end)] = _spelled([{"role": "user", "content": one}], headed=False)
            return self._cut(tokens, [Region((start, end))])
        if is_chat(one) and self.bare:
            raise TypeError("The completion route takes texts; use RemoteModel(..., route='chat') for chats.")
        return super()._one(one)

    def _encoded(self, row: Row) -> Prompt:
        raise TypeError("A remote model takes texts and chats: only the server knows its token ids.")

    def _chat(self, messages: list[Message]) -> Prompt:
        for index, message in enumerate(messages):
            if not isinstance(message.get("content"), str):
                raise ValueError(f"Message {index} needs a text under 'content'; got {message.get('content')!r}.")
        if messages[-1]["role"] == "assistant":
            raise ValueError("The chat ends with an assistant message: leave it out and give its text as the target.")
        present = {message["role"] for message in messages}
        if not present & set(self.roles):
            raise ValueError(f"No message has a role to explain: roles={sorted(self.roles)}, the chat has {sorted(present)}.")
        tokens, spans = _spelled(messages, headed=True)
        regions = [
            Region(span, message["role"], turn)
            for turn, (message, span) in enumerate(zip(messages, spans, strict=True))
            if message["role"] in self.roles and span[0] < span[1]
        ]
        if not regions:
            raise ValueError("The messages to explain are empty: there is nothing to explain.")
        return self._cut(tokens, regions)


def messages_of(reading: Reading) -> list[Message]:
    """The chat that a reading spells; what has no role is a message of the user.

    Example:
        >>> tokens, _ = _spelled([{"role": "system", "content": "a"}, {"role": "user", "content": ""}], headed=True)
        >>> messages_of(Reading(tokens.ids))
        [{'role': 'system', 'content': 'a'}, {'role': 'user', 'content': ''}]
    """
    messages: list[Message] = []
    role = ""
    for index in reading.ids.tolist():
        if index > ROLE:
            role += chr(index - ROLE)
        elif index == ROLE:
            messages.append({"role": role, "content": ""})
            role = ""
        else:
            if not messages:
                messages.append({"role": "user", "content": ""})
            messages[-1]["content"] += chr(index)
    return messages


def _spelled(messages: Sequence[Message], headed: bool) -> tuple[Tokens, list[tuple[int, int]]]:
    """A chat as characters, and the span of each content; roles are shown before their messages where `headed`."""
    text, ids, offsets, special, spans = "", [], [], [], []
    for message in messages:
        role = [ROLE + ord(character) for character in message["role"]] + [ROLE]
        ids += role
        offsets += [(0, 0)] * len(role)
        special += [True] * len(role)
        text += f"{message['role']}: " if headed else ""
        content = message["content"]
        spans.append((len(text), len(text) + len(content)))
        ids += [ord(character) for character in content]
        offsets += [(len(text) + index, len(text) + index + 1) for index in range(len(content))]
        special += [False] * len(content)
        text += content + ("\n" if headed else "")
    return Tokens(text, np.asarray(ids, dtype=np.int64), tuple(offsets), np.asarray(special, dtype=bool)), spans
