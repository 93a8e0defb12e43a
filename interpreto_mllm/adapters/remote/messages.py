"""Prompts for servers as ids, one per character, because the server's tokens are not known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from interpreto_mllm.adapters.remote.media import encoded
from interpreto_mllm.prompts.chat import Message, parts_of
from interpreto_mllm.prompts.granularity import Span
from interpreto_mllm.prompts.model_input import ModelInput
from interpreto_mllm.prompts.tokens import Tokens

ROLE = 0x200000
"""Added to the code points of a role; this id itself ends the role."""

TEXT = 0x400000
"""Starts a text part of a message that is a list of parts."""

MEDIUM = 0x400001
"""The first image or clip of the prompt; the next ones count up from here."""


class Characters:
    """A tokenizer whose ids are code points; it has no special tokens.

    Args:
        empty: stands where no text is left; None where nothing can.

    Example:
        >>> Characters().encode("héo"), Characters().decode([104, 233])
        ([104, 233, 111], 'hé')
    """

    is_fast = True
    all_special_ids: tuple[int, ...] = ()
    bos_token = eos_token = None
    eos_token_id = pad_token_id = unk_token_id = mask_token_id = None

    def __init__(self, empty: int | None = None):
        self.bos_token_id = empty

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


def encode_chat(messages: Sequence[Message], headed: bool = True) -> tuple[Tokens, list[Span]]:
    """A chat as ids for roles, parts and characters, and the span of each text in the text of the whole.

    Args:
        messages: with texts or lists of parts as their content.
        headed: whether the text shows roles before their messages.
    """
    text, spans, media = "", [], 0
    ids: list[int] = []
    offsets: list[Span] = []
    for message in messages:
        ids += [ROLE + ord(character) for character in message["role"]] + [ROLE]
        text += f"{message['role']}: " if headed else ""
        for number, part in enumerate(parts_of([message])):
            if part.kind != "text":
                ids.append(MEDIUM + media)
                media += 1
                continue
            ids += [TEXT] if isinstance(message["content"], list) else []
            text += "\n" if number and text[-1:] not in ("", "\n") else ""
            offsets += [(0, 0)] * (len(ids) - len(offsets))
            spans.append((len(text), len(text) + len(part.content)))
            offsets += [(index, index + 1) for index in range(*spans[-1])]
            ids += Characters().encode(part.content)
            text += part.content
        text += "\n" if headed else ""
    offsets += [(0, 0)] * (len(ids) - len(offsets))
    numbers = np.asarray(ids, dtype=np.int64)
    return Tokens(text, numbers, tuple(offsets), numbers >= ROLE), spans


def prompt_arguments(model_input: ModelInput, route: str, stand_in: str | None = None) -> dict[str, Any]:
    """The arguments of a request that hold the prompt; `stand_in` is sent where there is no text of it, or of a message."""
    if route == "chat":
        messages = decode_chat(model_input)
        return {"messages": [{**each, "content": each["content"] or stand_in or ""} for each in messages]}
    text = Characters().decode(model_input.ids.tolist())
    return {"prompt": stand_in if stand_in and not text.strip() else text}


def decode_chat(model_input: ModelInput) -> list[Message]:
    """Inverse of `encode_chat`; text without a role becomes a message of the user.

    In a message of parts, empty texts are left out; a message without parts is empty.

    Example:
        >>> tokens, _ = encode_chat([{"role": "system", "content": "a"}, {"role": "user", "content": ""}])
        >>> decode_chat(ModelInput(tokens.ids))
        [{'role': 'system', 'content': 'a'}, {'role': 'user', 'content': ''}]
    """
    messages: list[Message] = []
    states, role = iter(model_input.media), ""
    for index in model_input.ids.tolist():
        if index >= TEXT:
            part = {"type": "text", "text": ""} if index == TEXT else encoded(next(states))
            messages[-1]["content"] = [*messages[-1]["content"], part]
        elif index > ROLE:
            role += chr(index - ROLE)
        elif index == ROLE:
            messages.append({"role": role, "content": ""})
            role = ""
        else:
            messages += [] if messages else [{"role": "user", "content": ""}]
            _append(messages[-1], chr(index))
    return [{**message, "content": _without_empty_texts(message["content"])} for message in messages]


def _append(message: Message, character: str) -> None:
    if isinstance(message["content"], str):
        message["content"] += character
    else:
        message["content"][-1]["text"] += character


def _without_empty_texts(content: str | list[dict[str, Any]]) -> str | list[dict[str, Any]]:
    """The content without empty text parts."""
    return content if isinstance(content, str) else [part for part in content if part.get("text") != ""] or ""
