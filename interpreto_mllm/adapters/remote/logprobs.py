"""How to ask a server for the log-probabilities of a text that it did not generate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from interpreto_mllm.adapters.remote.alignment import TokenLogProbs
from interpreto_mllm.adapters.remote.messages import prompt_arguments
from interpreto_mllm.adapters.remote.replies import ResponseBody
from interpreto_mllm.prompts.model_input import ModelInput


class Shifted(ValueError):
    """Every token came with the log-probability of the next one."""

    def __init__(self) -> None:
        super().__init__(
            "The server does not return the log-probabilities of a given answer: it echoes the prompt, but gives each token "
            "that of the next one, as llama-cpp-python does for a GGUF whose tokenizer writes no BOS token. If the model has "
            "one, set tokenizer.ggml.add_bos_token in the file; else serve it with vLLM, or explain the similarity of its "
            "answers."
        )


@dataclass(frozen=True)
class LogprobProtocol:
    """One way to ask a server for the log-probabilities of a text.

    Args:
        name: what a server must support, for error messages.
        arguments: arguments of the request.
        extra: further entries of its body.
        parse: from the reply and the number of characters sent to the tokens, or None when the reply has none.
    """

    name: str
    arguments: Mapping[str, Any]
    extra: Mapping[str, Any]
    parse: Callable[[ResponseBody, int], TokenLogProbs | None]


def _of_prompt(reply: ResponseBody, length: int) -> TokenLogProbs | None:
    """From the `prompt_logprobs` of vLLM: an entry per token, from its id to its text and log-probability."""
    entries = reply.get("prompt_logprobs") or reply["choices"][0].get("prompt_logprobs")
    if not entries:
        return None
    tokens = [next(iter((entry or {}).values()), {}) for entry in entries]
    return [(token.get("decoded_token") or "", token.get("logprob")) for token in tokens]


def _of_echo(reply: ResponseBody, length: int) -> TokenLogProbs | None:
    """From the `logprobs` of a completion that echoes its prompt, without the token generated after it.

    Tokens that are bytes of a character may have no text; their offset shows which character it is.

    Raises:
        Shifted: where the server generates a token and lists no value for it, because it lists those of the next one for each.
    """
    logprobs = reply["choices"][0].get("logprobs") or {}
    generated = (reply.get("usage") or {}).get("completion_tokens")
    text, starts = reply["choices"][0].get("text") or "", logprobs.get("text_offset") or []
    if not starts or starts[0] >= length:
        return None
    if generated and starts[-1] < length:
        raise Shifted
    spans = zip(logprobs["tokens"], starts, [*starts[1:], length], logprobs["token_logprobs"], strict=True)
    return [(token or text[start : min(end, length)], value) for token, start, end, value in spans if start < length]


_PROMPT = LogprobProtocol("prompt log-probabilities (vLLM's prompt_logprobs)", {}, {"prompt_logprobs": 0}, _of_prompt)
_ECHO = LogprobProtocol(
    "completions that echo their prompt with log-probabilities", {"echo": True, "logprobs": 1}, {}, _of_echo
)
PROTOCOLS = {"chat": [_PROMPT], "completion": [_PROMPT, _ECHO]}
"""Those that each route may support, in the order in which they are tried."""


def arguments_with_answer(model_input: ModelInput, answer: str, route: str, stand_in: str | None) -> dict[str, Any]:
    """The arguments of a request whose prompt ends with the answer."""
    prompt = prompt_arguments(model_input, route, stand_in)
    if route == "completion":
        return {"prompt": prompt["prompt"] + answer}
    extra, messages = prompt.pop("extra_body", {}), prompt.pop("messages")
    continued = messages[-1] if extra.get("continue_final_message") else {"role": "assistant", "content": ""}
    before = messages[:-1] if continued is messages[-1] else messages
    body = {**extra, "add_generation_prompt": False, "continue_final_message": True}
    return {**prompt, "messages": [*before, _longer(continued, answer)], "extra_body": body}


def _longer(message: dict[str, Any], answer: str) -> dict[str, Any]:
    """A message that goes on with an answer."""
    content = message["content"]
    if isinstance(content, list):
        return {**message, "content": [*content, {"type": "text", "text": answer}]}
    return {**message, "content": (content or "") + answer}
