"""Prompts for servers as ids, one per character, because the server's tokens are not known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from interpreto_mllm.adapters.remote.entries import FIELD, MESSAGE, REQUEST, decode_entry, with_call_ids
from interpreto_mllm.adapters.remote.media import encoded
from interpreto_mllm.prompts.chat import Message
from interpreto_mllm.prompts.model_input import ModelInput

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


def prompt_arguments(model_input: ModelInput, route: str, stand_in: str | None = None) -> dict[str, Any]:
    """The arguments of a request that hold the prompt; `stand_in` is sent where there is no text of it, or of a message.

    What the protocol has no field for is in its `extra_body`: documents, arguments of the template, a message to continue.
    """
    if route == "chat":
        messages, fields = decode_chat(model_input)
        filled = [
            each if each.get("tool_calls") else {**each, "content": each["content"] or stand_in or ""} for each in messages
        ]
        tools = {"tools": tools} if (tools := fields.pop("tools", None)) else {}
        return {"messages": filled, **tools, **({"extra_body": fields} if fields else {})}
    text = Characters().decode(model_input.ids.tolist())
    return {"prompt": stand_in if stand_in and not text.strip() else text}


def decode_chat(model_input: ModelInput) -> tuple[list[Message], dict[str, Any]]:
    """The messages that ids stand for, and what else is sent beside them; text without a role is a message of the user.

    In a message of parts, empty texts are left out; a message without parts is empty.
    """
    messages: list[Message] = []
    fields: dict[str, Any] = {}
    states, role = iter(model_input.media), ""
    ids = iter(model_input.ids.tolist())
    for index in ids:
        if index == FIELD:
            name, entry = decode_entry(ids)
            if name == MESSAGE:
                messages[-1] |= entry or {}
            elif name == REQUEST:
                fields |= entry or {}
            elif entry is not None:
                fields.setdefault(name, []).append(entry)
        elif index >= TEXT:
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
    return with_call_ids([{**each, "content": _without_empty_texts(each["content"])} for each in messages]), fields


def _append(message: Message, character: str) -> None:
    if not isinstance(message["content"], list):
        message["content"] = (message["content"] or "") + character
    else:
        message["content"][-1]["text"] += character


def _without_empty_texts(content: str | list[dict[str, Any]] | None) -> str | list[dict[str, Any]] | None:
    """The content without empty text parts."""
    return (
        content if content is None or isinstance(content, str) else [part for part in content if part.get("text") != ""] or ""
    )
