"""What a refused request held that some servers do not take, said beside the server's own words."""

from __future__ import annotations

import re
from typing import Any

WINDOW = re.compile(
    r"context (length|window|size)|maximum (context|model) len|n_ctx|max_model_len|(prompt|input) is too long", re.I
)
"""How servers say that a prompt is longer than what the model reads."""

TOO_LONG = (
    "Nothing is ever cut off a prompt: shorten it, or start the server with a longer window (vLLM: --max-model-len, llama.cpp: "
    "--n_ctx or -c)."
)
EMPTY_MESSAGE = (
    "The message was empty, as it is where every feature is absent: pin a feature, or let RemoteModel(..., stand_in='…') say "
    "what is sent instead."
)
ONLY_SOME = {
    "video_url": "The message holds a video as a part of the type video_url, which only some servers and models take: give its "
    "frames as images, or leave it out.",
    "input_audio": "The message holds a clip as a part of the type input_audio, which only some servers and models take.",
    "image_url": "The message holds an image, which only some servers and models take.",
    "documents": "The chat has documents, which vLLM and SGLang take: leave them out, or write them into a message.",
    "tools": "The chat has tools, which this server or its model may not take: leave them out, or write them into a message.",
    "chat_template_kwargs": "The chat has arguments of its template, which vLLM, SGLang and llama-server take: leave them out.",
    "continue_final_message": "The last message is to be continued, which vLLM and SGLang do: leave that out, or use "
    "RemoteModel(..., route='completion') with the chat rendered by you.",
}
"""What to do where a server refuses something, by its name in the protocol."""


def hint_on(arguments: dict[str, Any], words: str) -> str:
    """What may have been the matter with a request that was refused in these words; nothing where it is not known.

    What the server names comes first, then parts of messages, then an empty message.

    Example:
        >>> hint_on({"extra_body": {"documents": [{"text": "a"}]}}, "Unexpected keys in the request: {'documents'}")[:23]
        ' The chat has documents'
    """
    if WINDOW.search(words):
        return f" {TOO_LONG}"
    sent = _sent(arguments)
    named = [name for name in sent if name in words]
    parts = [name for name in ("video_url",) if name in sent]
    if named:
        return f" {ONLY_SOME[named[0]]}"
    if _has_empty_message(arguments):
        return f" {EMPTY_MESSAGE}"
    return f" {ONLY_SOME[parts[0]]}" if parts else ""


def _sent(arguments: dict[str, Any]) -> list[str]:
    """What the request holds of `ONLY_SOME`."""
    contents = [message["content"] for message in arguments.get("messages", ())]
    parts = {part.get("type") for content in contents if isinstance(content, list) for part in content}
    return [name for name in ONLY_SOME if name in parts or name in arguments or name in arguments.get("extra_body", {})]


def _has_empty_message(arguments: dict[str, Any]) -> bool:
    messages = arguments.get("messages", ())
    return arguments.get("prompt") == "" or any(not one["content"] and not one.get("tool_calls") for one in messages)
