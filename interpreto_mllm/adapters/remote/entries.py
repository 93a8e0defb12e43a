"""Tools, documents and fields of messages as ids: what is fixed of them as JSON, then what is present of their texts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int

from interpreto_mllm.chats import documents, tools
from interpreto_mllm.chats.parts import NAME_OF_KEY, Part, Path, rewritten
from interpreto_mllm.prompts.chat import Message, texts_beside

FIELD = 0x600000
"""Begins and ends an entry; added to the code points of what is fixed of it."""

NEXT = FIELD + 0x110000
"""Begins the next text of an entry."""

TOOLS, DOCUMENTS, MESSAGE, REQUEST = "tools", "documents", "message", "request"
"""The kinds of entries: a tool, a document, the fields of a message beside its content, and what else a request holds."""


def texts_in(kind: str, entry: dict[str, Any]) -> list[Part]:
    """The texts of an entry, in order. A call's name is none: a server takes no call without one."""
    if kind == TOOLS:
        return list(tools.texts_of([entry]))
    if kind == DOCUMENTS:
        return list(documents.texts_of([entry]))
    if kind == MESSAGE:
        return [part for part in texts_beside(entry, 0) if part.entry is None or part.member is not None]
    return []


def head(kind: str, entry: dict[str, Any]) -> list[int]:
    """The ids of what is fixed of an entry, up to its first text."""
    return [FIELD, *(FIELD + ord(character) for character in f"{kind} {json.dumps(entry, ensure_ascii=False)}")]


def characters_of(ids: Int[np.ndarray, "l"]) -> int:
    """About how many characters are sent: the texts of an entry are in what is fixed of it.

    Example:
        >>> characters_of(np.array([97, 98, *head(DOCUMENTS, {"text": "c"}), NEXT, 99, FIELD])) - len('ab {"text": "c"}')
        12
    """
    inside = np.cumsum(ids == FIELD) % 2 == 1
    return int(len(ids) - (inside & (ids < FIELD)).sum())


def decode_entry(ids: Iterator[int]) -> tuple[str, dict[str, Any] | None]:
    """The kind of an entry, and what is present of it, from the ids after its first; None where nothing is.

    A parameter, or an argument of a call, of which nothing is present is left out. What names something is there where
    anything of it is.
    """
    fixed, present = "", []
    for index in ids:
        if index == FIELD:
            break
        if index == NEXT:
            present.append("")
        elif index > FIELD:
            fixed += chr(index - FIELD)
        else:
            present[-1] += chr(index)
    kind, _, written = fixed.partition(" ")
    entry = json.loads(written)
    parts = texts_in(kind, entry)
    decided = deciding(parts)
    there = [parts[index] for index in decided if present[index]]
    if kind in (TOOLS, DOCUMENTS) and not there:
        return kind, None
    held = {(part.entry, part.member) for part in there}
    gone = {part.path for part in parts if part.member is not None and (part.entry, part.member) not in held}
    texts = {part.path: text for part, text in zip(parts, present, strict=True) if not _names(part)}
    prefix: Path = ("messages", 0) if kind == MESSAGE else (kind, 0)
    left = without_members(rewritten(entry, texts, prefix), gone, prefix)
    if kind == MESSAGE:
        thoughts = [part.path[-1] for part, text in zip(parts, present, strict=True) if part.part == "thoughts" and not text]
        left = {name: value for name, value in left.items() if name not in thoughts}
    return kind, left


def deciding(parts: Sequence[Part]) -> list[int]:
    """The texts by which a tool, a parameter or an argument is there: all but names, or the name where there is no other."""
    found = []
    for index, part in enumerate(parts):
        group = [
            one for one in parts if part.entry is not None and one.entry == part.entry and part.member in (None, one.member)
        ]
        if not _names(part) or (all(map(_names, group)) and (part.member is not None or len(group) == 1)):
            found.append(index)
    return found


def without_members(value: Any, gone: Iterable[Path], path: Path = ()) -> Any:
    """A copy without the keys at these paths, and without their names in the `required` list beside a mapping."""
    keys = {one[:-1] for one in gone if one[-1] == NAME_OF_KEY}
    if isinstance(value, dict):
        made = {key: without_members(item, gone, (*path, key)) for key, item in value.items() if (*path, key) not in keys}
        if isinstance(value.get("required"), list):
            made["required"] = [name for name in value["required"] if (*path, "properties", name) not in keys]
        return made
    if isinstance(value, list):
        return [without_members(item, gone, (*path, index)) for index, item in enumerate(value)]
    return value


def with_call_ids(messages: Sequence[Message]) -> list[Message]:
    """The messages with calls as the protocol has them: of a type, with an id that results name, and arguments as text."""
    made, asked, answered = [], [], 0
    for message in messages:
        calls = []
        for call in message.get("tool_calls") or ():
            function, inside = tools.function_of(call)
            spelled = {**function, "arguments": json.dumps(function.get("arguments", {}), ensure_ascii=False)}
            calls.append({"id": f"call_{len(asked)}", "type": "function", **(call if inside else {}), "function": spelled})
            asked.append(calls[-1]["id"])
        if message["role"] == "tool":
            known = {"tool_call_id": asked[answered]} if answered < len(asked) else {}
            message, answered = {**known, **message}, answered + 1
        made.append({**message, "tool_calls": calls} if calls else message)
    return made


def _names(part: Part) -> bool:
    """Whether a text names a tool, a parameter or an argument."""
    return part.path[-1] == NAME_OF_KEY or (part.entry is not None and part.member is None and part.path[-1] == "name")
