"""Parts of messages as other libraries and servers' protocols write them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

ALIASES = {
    "input_text": "text",
    "image_url": "image",
    "input_image": "image",
    "input_audio": "audio",
    "audio_url": "audio",
    "video_url": "video",
}
"""Types of parts in the protocols of servers, and what they are called here."""


def plain(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The messages with the parts of servers' protocols as this library writes them.

    Example:
        >>> plain([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "cat.png"}}]}])
        [{'role': 'user', 'content': [{'type': 'image', 'image': {'url': 'cat.png'}}]}]
    """
    return [
        {**message, "content": [_plain(part) for part in message["content"]]}
        if isinstance(message.get("content"), (list, tuple))
        else dict(message)
        for message in messages
    ]


def _plain(part: Any) -> Any:
    """A part without the names of a protocol; anything else as it is."""
    kind = part.get("type") if isinstance(part, Mapping) else None
    if kind not in ALIASES:
        return part
    key = kind if kind in part else ALIASES[kind] if ALIASES[kind] in part else "text"
    kept = {name: value for name, value in part.items() if name not in (kind, key, "type", "detail")}
    return {**kept, "type": ALIASES[kind], **({ALIASES[kind]: part[key]} if key in part else {})}
