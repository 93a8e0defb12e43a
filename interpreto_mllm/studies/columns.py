"""From a row of data to what is explained: which column holds what, and in which form."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interpreto_mllm.chats.thoughts import THOUGHTS
from interpreto_mllm.core.shown import shown
from interpreto_mllm.studies.names import unknown
from interpreto_mllm.studies.spec import Columns
from interpreto_mllm.studies.tables import Table

USUAL = {
    "chat": ("messages", "conversation", "conversations", "chat"),
    "prompt": ("prompt", "question", "text", "input", "instruction", "sentence"),
    "image": ("image", "images"),
    "audio": ("audio",),
    "video": ("video", "videos"),
}
"""The names under which columns are found that are not named."""

SENDERS = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "system": "system", "tool": "tool"}
"""Roles by what the columns of some data sets call them under "from"."""

MEDIA = ("image", "audio", "video")

BESIDE = ("name", "tool_calls", "tool_call_id", *THOUGHTS)
"""Fields of messages besides role and content that are kept."""

KEYS = {"image": "images", "audio": "audio", "video": "videos"}
"""The keys of a prompt without a chat, by modality."""


@dataclass(frozen=True)
class Reading:
    """Which columns of a table hold what.

    Args:
        columns: their names; None for one that there is not.
        folder: from which relative paths of images and clips start.
    """

    columns: Columns
    folder: Path | None = None

    def text(self, row: Mapping[str, Any]) -> str:
        """The words of the prompt, for its length and for a corpus."""
        if self.columns.chat is None:
            return "" if self.columns.prompt is None else str(row[self.columns.prompt])
        messages, _ = self._messages(row)
        parts = [message["content"] or "" for message in messages]
        return "\n".join(part if isinstance(part, str) else " ".join(map(_words, part)) for part in parts)

    def read(self, row: Mapping[str, Any]) -> tuple[Any, Any]:
        """What is explained, and the target.

        Raises:
            ValueError: for a row without a prompt, or whose chat is none.
        """
        target = None if self.columns.target is None else row[self.columns.target]
        media = {kind: self._media(row, kind) for kind in MEDIA}
        if self.columns.chat is not None:
            messages, answer = self._messages(row)
            return _with_media(messages, media), answer if target is None else target
        given = {KEYS[kind]: found for kind, found in media.items() if found}
        if self.columns.prompt is None:
            return given, target
        prompt = row[self.columns.prompt]
        if not isinstance(prompt, str) or not prompt.strip():
            raise ValueError(f"The column {self.columns.prompt!r} holds no text: {shown(prompt)}.")
        return ({"text": prompt, **given} if given else prompt), target

    def _messages(self, row: Mapping[str, Any]) -> tuple[list[dict[str, Any]], str | None]:
        """The messages of a chat up to the model's answer, and the answer that ends it."""
        messages = [_message(one) for one in _listed_chat(row[str(self.columns.chat)], str(self.columns.chat))]
        last = messages[-1]
        if last["role"] == "assistant" and isinstance(last["content"], str) and not last.get("tool_calls"):
            return messages[:-1], last["content"]
        return messages, None

    def _media(self, row: Mapping[str, Any], kind: str) -> list[Any]:
        name = getattr(self.columns, kind)
        value = None if name is None else row[name]
        values = value if isinstance(value, list) else [value]
        return [self._placed(one) for one in values if one is not None]

    def _placed(self, value: Any) -> Any:
        """With a path from here, where it is one from the data."""
        path = value.get("path") if isinstance(value, Mapping) and value.get("bytes") is None else value
        if not isinstance(path, str) or self.folder is None or not (self.folder / path).is_file():
            return value
        return str(self.folder / path)


def reading_of(table: Table, given: Columns) -> Reading:
    """Which columns hold what: those that are named, and the others by their usual names.

    A text beside an image or a clip is the user's message of a chat, unless it is named as the prompt.

    Raises:
        ValueError: for a column that there is not, or where none holds a prompt.
    """
    for name in Columns.model_fields:
        column = getattr(given, name)
        if column is not None and column not in table.columns:
            raise unknown(f"data.columns.{name}", column, table.columns)
    found = {name: getattr(given, name) or _usual(name, table) for name in MEDIA}
    found |= {"prompt": given.prompt, "chat": given.chat}
    if given.prompt is None and given.chat is None:
        chat, prompt = _usual("chat", table), _usual("prompt", table)
        beside = chat is None and any(found[kind] for kind in MEDIA)
        found |= {"chat": prompt if beside else chat, "prompt": None if beside or chat else prompt}
    if not any(found.values()):
        there = ", ".join(table.columns)
        raise ValueError(f"data.columns: say which column holds the prompt, as in {{prompt: NAME}}; there are {there}.")
    return Reading(given.model_copy(update=found), table.folder)


def _usual(name: str, table: Table) -> str | None:
    return next((column for column in USUAL[name] if column in table.columns), None)


def _listed_chat(value: Any, column: str) -> list[Any]:
    """The messages of a chat; a text that is none in JSON is the message of the user."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = json.loads(value)
        except json.JSONDecodeError:
            value = [{"role": "user", "content": value}]
    if isinstance(value, str) and value.strip():
        value = [{"role": "user", "content": value}]
    if not isinstance(value, list) or not value:
        raise ValueError(f"The column {column!r} holds no chat: {shown(value)}. A chat is a list of messages, or a text.")
    return value


def _message(given: Any) -> dict[str, Any]:
    """A message with a role and content, whatever its keys are called; what a table fills with None is left out."""
    if not isinstance(given, Mapping):
        raise ValueError(f"A message is a mapping with a role and content; got {shown(given)}.")
    if "from" in given and "value" in given:
        role = str(given["from"])
        return {"role": SENDERS.get(role, role), "content": given["value"]}
    beside = {name: given[name] for name in BESIDE if given.get(name)}
    if given.get("role") is None or (given.get("content") is None and not beside):
        raise ValueError(f"A message has a role and content; got {shown(dict(given))}.")
    content = given.get("content")
    parts = [_part(part) for part in content] if isinstance(content, list) else content
    return {"role": given["role"], "content": parts, **beside}


def _part(given: Any) -> Any:
    return {key: value for key, value in given.items() if value is not None} if isinstance(given, Mapping) else given


def _with_media(messages: list[dict[str, Any]], media: dict[str, list[Any]]) -> list[dict[str, Any]]:
    """The messages with images and clips in their places, or before the last message of the user where there are none."""
    left = {kind: [*values] for kind, values in media.items()}
    placed = [{**message, "content": _filled(message["content"], left)} for message in messages]
    parts = [{"type": kind, kind: value} for kind, values in left.items() for value in values]
    if parts:
        last = max((index for index, one in enumerate(placed) if one["role"] == "user"), default=len(placed) - 1)
        content = placed[last]["content"]
        texts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        placed[last] = {**placed[last], "content": [*parts, *texts]}
    return placed


def _filled(content: Any, left: dict[str, list[Any]]) -> Any:
    if content is None or isinstance(content, str):
        return content
    filled = []
    for part in content:
        kind = part.get("type") if isinstance(part, Mapping) else None
        empty = kind in MEDIA and not any(key in part for key in (kind, "url", "path"))
        filled.append({"type": kind, kind: left[kind].pop(0)} if kind in MEDIA and empty and left[kind] else part)
    return filled


def _words(part: Any) -> str:
    return str(part.get("text") or "") if isinstance(part, Mapping) else str(part)
