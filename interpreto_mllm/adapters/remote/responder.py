"""Answers of a model on a server."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from interpreto_mllm.adapters.remote.messages import prompt_arguments
from interpreto_mllm.adapters.remote.model import RemoteModel
from interpreto_mllm.adapters.remote.requests import RequestPool, ResponseBody
from interpreto_mllm.core.responses import Response
from interpreto_mllm.engine.queries import Query
from interpreto_mllm.prompts.model_input import ModelInput

DEFAULT_MAX_NEW_TOKENS = 32
"""The longest answer, in tokens, unless the caller sets `max_new_tokens`."""


class RemoteResponder:
    """Answers of a remote model; `Query.target` numbers the draw.

    Args:
        remote: the server and its model.
        settings: arguments of each request.
        seed: None for greedy answers, else of the draws, sent with each request.
    """

    def __init__(self, remote: RemoteModel, settings: Mapping[str, Any], seed: int | None = None):
        self.remote, self.settings, self.seed = remote, dict(settings), seed
        self.pool = RequestPool(remote)

    @property
    def forwards(self) -> int:
        """Requests."""
        return self.pool.requests

    @property
    def tokens(self) -> int:
        """Tokens of prompts and answers."""
        return self.pool.tokens

    def say(self, queries: list[Query]) -> Iterator[tuple[list[int], list[Response]]]:
        """The answers in the order of their arrival.

        Raises:
            ImportError: without the openai client.
            RemoteError: when a request fails for good.
        """
        for index, reply in self.pool.send(queries, self._body):
            yield [index], [Response(answer_text(reply).strip(), log_probability=_log_probability(reply))]

    def first(self, reading: ModelInput) -> str:
        """One answer, with its white space."""
        return answer_text(self.pool.one(self._body(Query(reading, (0,)))))

    def _body(self, query: Query) -> dict[str, Any]:
        drawn = {}
        if self.seed is not None:
            source = f"{self.seed} {query.target[0]} ".encode() + query.reading.key
            drawn["seed"] = int.from_bytes(hashlib.blake2b(source, digest_size=4).digest()) >> 1
        return {**prompt_arguments(query.reading, self.remote.route), **self.settings, **drawn}


def arguments(settings: Mapping[str, Any], route: str) -> dict[str, Any]:
    """The arguments of requests, from those of generation.

    Example:
        >>> arguments({"max_new_tokens": 4, "temperature": 0.5, "logprobs": True}, "completion")
        {'max_tokens': 4, 'temperature': 0.0, 'logprobs': 0}
    """
    kept = {name: settings[name] for name in ("top_p", "stop", "extra_body") if name in settings}
    temperature = settings.get("temperature", 1.0) if settings.get("do_sample") else 0.0
    logprobs = {"logprobs": True if route == "chat" else 0} if settings.get("logprobs") else {}
    return {
        "max_tokens": int(settings.get("max_new_tokens", DEFAULT_MAX_NEW_TOKENS)),
        "temperature": temperature,
        **kept,
        **logprobs,
    }


def answer_text(reply: ResponseBody) -> str:
    """The text that a server answered with, on either route."""
    choice = reply["choices"][0]
    return (choice["message"]["content"] if "message" in choice else choice["text"]) or ""


def _log_probability(reply: ResponseBody) -> float | None:
    """The log-probability of the answer, if the server returns those of its tokens."""
    logprobs = reply["choices"][0].get("logprobs") or {}
    each = [token["logprob"] for token in logprobs.get("content") or ()] or logprobs.get("token_logprobs")
    return float(sum(each)) if each else None
