"""The pieces of a chat that were written by someone: texts, images and clips, each with the place that it has in the chat."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

Path = tuple[str | int, ...]
"""Keys and indices that lead to a text in a chat, such as ("messages", 0, "content")."""

NAME_OF_KEY = "\u0000key"
"""The last step of the path to the key of a mapping, after the key itself, rather than to what it holds."""

LISTED = ("tools", "documents")
"""Fields of a chat whose entries can be left out one by one."""

OWN = ("trusted",)
"""Fields of messages, tools and documents that neither templates nor servers are shown."""

TRUSTED = {"system": True, "developer": True, "user": True, "tools": True}
UNTRUSTED = dict.fromkeys(("tool", "function", "ipython", "observation", "documents"), False)


@dataclass(frozen=True)
class Part:
    """A piece of a chat: a text, an image or a clip.

    Args:
        turn: index of the message; None for tools and documents.
        role: of the message; "tools" and "documents" for those.
        kind: "text", "image" or "audio".
        content: the text, or the image or clip as the user gave it.
        path: where it is in the chat.
        source: the id of the tool, document or tool result that it is in, or the name of who wrote the message.
        label: what that is called.
        part: "thoughts" for thoughts, None for all else.
        trusted: whether who wrote it is trusted; None where that is not known.
        entry: the path to the tool, document or call that it is in, None elsewhere.
        member: which of the entry's parameters or arguments it belongs to, None for none.
    """

    turn: int | None
    role: str
    kind: str
    content: Any
    path: Path = ()
    source: str | None = None
    label: str | None = None
    part: str | None = None
    trusted: bool | None = None
    entry: Path | None = None
    member: str | None = None


def trust(role: str, given: Mapping[str, Any]) -> bool | None:
    """Whether what a message, tool or document says is trusted: as it is marked, else by its role.

    Example:
        >>> trust("user", {}), trust("tool", {}), trust("tool", {"trusted": True}), trust("assistant", {})
        (True, False, True, None)
    """
    marked = given.get("trusted")
    return marked if isinstance(marked, bool) else {**TRUSTED, **UNTRUSTED}.get(role)


def rewritten(value: Any, texts: Mapping[Path, str], path: Path = ()) -> Any:
    """A copy of a chat's data with other texts at some paths.

    A key of a mapping is renamed with the names in a `required` list beside the mapping.

    Example:
        >>> rewritten({"a": [{"b": "old"}]}, {("a", 0, "b"): "new", ("a", 0, "b", NAME_OF_KEY): "c"})
        {'a': [{'c': 'new'}]}
    """
    if path in texts:
        return texts[path]
    if isinstance(value, Mapping):
        named = {key: texts.get((*path, key, NAME_OF_KEY), key) for key in value}
        made = {named[key]: rewritten(item, texts, (*path, key)) for key, item in value.items()}
        required, properties = value.get("required"), value.get("properties")
        if isinstance(required, (list, tuple)) and isinstance(properties, Mapping):
            made["required"] = [texts.get((*path, "properties", name, NAME_OF_KEY), name) for name in required]
        return made
    if isinstance(value, (list, tuple)):
        return [rewritten(item, texts, (*path, index)) for index, item in enumerate(value)]
    return value


def without(entries: list[Any] | None, field: str, dropped: Collection[Path]) -> list[Any] | None:
    """The tools or documents of a chat that are left without some; None where none is left."""
    left = [entry for index, entry in enumerate(entries or ()) if (field, index) not in dropped]
    return left or None
