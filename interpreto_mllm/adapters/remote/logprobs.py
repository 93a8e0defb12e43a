"""The ways in which servers tell log-probabilities of a text that they did not say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from interpreto_mllm.adapters.remote.alignment import Told
from interpreto_mllm.adapters.remote.messages import asked
from interpreto_mllm.adapters.remote.requests import Reply
from interpreto_mllm.prompts.model_input import ModelInput


@dataclass(frozen=True)
class Way:
    """A way to ask for the log-probabilities of a text.

    Args:
        lacking: what a server lacks that cannot be asked like this.
        arguments: of the request.
        extra: what else is in its body.
        read: from the reply, and the characters sent, to the tokens; None where they are not told.
    """

    lacking: str
    arguments: Mapping[str, Any]
    extra: Mapping[str, Any]
    read: Callable[[Reply, int], Told | None]


def _of_prompt(reply: Reply, length: int) -> Told | None:
    """From the `prompt_logprobs` of vLLM: an entry per token, under its id what is told of it."""
    entries = reply.get("prompt_logprobs") or reply["choices"][0].get("prompt_logprobs")
    if not entries:
        return None
    tokens = [next(iter((entry or {}).values()), {}) for entry in entries]
    return [(token.get("decoded_token") or "", token.get("logprob")) for token in tokens]


def _of_echo(reply: Reply, length: int) -> Told | None:
    """From the `logprobs` of a completion that repeats its prompt, without the token that was said after it.

    Tokens that are bytes of a character may have no name; where they begin tells which character it is. A server that says a
    token and lists no value for it has shifted the others, as llama-cpp-python does where texts begin without a token of their
    own; such values are not read.
    """
    told, said = reply["choices"][0].get("logprobs") or {}, (reply.get("usage") or {}).get("completion_tokens")
    text, starts = reply["choices"][0].get("text") or "", told.get("text_offset") or []
    if not starts or starts[0] >= length or (said and starts[-1] < length):
        return None
    spans = zip(told["tokens"], starts, [*starts[1:], length], told["token_logprobs"], strict=True)
    return [(token or text[start : min(end, length)], value) for token, start, end, value in spans if start < length]


_PROMPT = Way("prompt log-probabilities (vLLM's prompt_logprobs)", {}, {"prompt_logprobs": 0}, _of_prompt)
_ECHO = Way("completions that echo their prompt with log-probabilities", {"echo": True, "logprobs": 1}, {}, _of_echo)
WAYS = {"chat": [_PROMPT], "completion": [_PROMPT, _ECHO]}
"""Those that each route has, likeliest first."""


def continued(reading: ModelInput, answer: str, route: str) -> dict[str, Any]:
    """The arguments of a request for a text that ends with the answer."""
    given = asked(reading, route)
    if route == "completion":
        return {"prompt": given["prompt"] + answer}
    body = {"add_generation_prompt": False, "continue_final_message": True}
    return {"messages": [*given["messages"], {"role": "assistant", "content": answer}], "extra_body": body}
