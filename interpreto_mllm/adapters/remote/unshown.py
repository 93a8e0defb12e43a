"""Parts of a chat that a server takes and does not show to the model, told by how many tokens the prompt has without them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from interpreto_mllm.adapters.remote.requests import RequestPool
from interpreto_mllm.chats.thoughts import THOUGHTS
from interpreto_mllm.core.feature import Feature

Arguments = dict[str, Any]

UNSHOWN = {
    "tools": "its tools",
    "documents": "its documents",
    "thoughts": "the thoughts in its history",
    "continue_final_message": "that its last message is to be continued",
}
"""What may not be shown, and what it is called."""


def check_shown(pool: RequestPool, given: Arguments, features: Sequence[Feature]) -> None:
    """See that the model is shown a chat's tools and documents, its thoughts where they are explained, and what it continues.

    Each is left out once: where the prompt has as many tokens without it, it was not read. A server that counts no tokens is
    believed, and nothing is asked about what is not there.

    Args:
        pool: sends the requests, which count as trials.
        given: the arguments of a request with the whole prompt.
        features: of the prompt.

    Raises:
        ValueError: when something is not shown.
        RemoteError: when the server refuses it.
    """
    extra = given.get("extra_body", {})
    ways: dict[str, Callable[[Arguments], Arguments]] = {}
    if "tools" in given:
        ways["tools"] = lambda whole: {name: value for name, value in whole.items() if name != "tools"}
    for name, gone in (("documents", ("documents",)), ("continue_final_message", tuple(CONTINUING))):
        if name in extra:
            ways[name] = lambda whole, gone=gone: _without_extra(whole, gone)
    told = any(name in message for message in given["messages"] for name in THOUGHTS)
    if told and any(feature.part == "thoughts" for feature in features):
        ways["thoughts"] = _without_thoughts
    with pool.counter.trying():
        whole = _prompt_tokens(pool, given) if ways else None
        if whole is None:
            return
        for name, less in ways.items():
            if _prompt_tokens(pool, less(given)) == whole:
                raise ValueError(
                    f"{pool.remote.model} at {pool.remote.base_url} takes this chat and does not show the model "
                    f"{UNSHOWN[name]}: the prompt has {whole:,} tokens with and without. Its chat template may not write them, "
                    "or the server may not read that field of requests, as vLLM and SGLang do: give it another chat template, "
                    "or write them into a message."
                )


CONTINUING = ("continue_final_message", "add_generation_prompt")
"""Fields of a request that let the last message be continued."""


def _without_extra(given: Arguments, names: Sequence[str]) -> Arguments:
    return {**given, "extra_body": {name: value for name, value in given["extra_body"].items() if name not in names}}


def _without_thoughts(given: Arguments) -> Arguments:
    messages = [{name: value for name, value in one.items() if name not in THOUGHTS} for one in given["messages"]]
    return {**given, "messages": messages}


def _prompt_tokens(pool: RequestPool, given: Arguments) -> int | None:
    """As the server counts them; None where it does not."""
    usage = pool.one({**given, "max_tokens": 1, "temperature": 0.0}).get("usage")
    count = usage.get("prompt_tokens") if isinstance(usage, dict) else None
    return count if isinstance(count, int) else None
