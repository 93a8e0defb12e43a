"""What a server says, without the user's secrets and without characters that act on a terminal."""

from __future__ import annotations

import base64
import os

from interpreto_mllm.adapters.remote.model import RemoteModel

SHORTEST = 8
"""Shorter secrets are not looked for in answers, where they may be words."""


def api_key_of(remote: RemoteModel) -> str | None:
    """The key of requests: the one given, or else that of the environment, as the openai client takes it."""
    return remote.api_key or os.environ.get("OPENAI_API_KEY")


def basic_authorization(credentials: str) -> str:
    """The header of basic authentication.

    Example:
        >>> basic_authorization("me:secret")
        'Basic bWU6c2VjcmV0'
    """
    return f"Basic {base64.b64encode(credentials.encode()).decode()}"


def without_secrets(text: str, remote: RemoteModel, shortest: int = 1) -> str:
    """The text without keys and passwords, which the server may repeat.

    Example:
        >>> without_secrets("no, Bearer sk-123", RemoteModel("http://localhost/v1", "m", api_key="sk-123"))
        'no, Bearer …'
    """
    found = [api_key_of(remote)]
    if remote.credentials:
        found += [basic_authorization(remote.credentials).partition(" ")[2], remote.credentials.partition(":")[2]]
    for secret in found:
        if secret and len(secret) >= shortest:
            text = text.replace(secret, "…")
    return text


def harmless(text: str) -> str:
    r"""The text on one line, with control characters spelled out.

    Example:
        >>> harmless("a\x1b[31m b\n c")
        'a\\x1b[31m b c'
    """
    line = " ".join(text.split())
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in line)
