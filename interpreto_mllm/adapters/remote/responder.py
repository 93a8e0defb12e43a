"""Answers of a model on a server."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from interpreto_mllm.adapters.remote.messages import prompt_arguments
from interpreto_mllm.adapters.remote.model import RemoteModel
from interpreto_mllm.adapters.remote.replies import ResponseBody, answer_text, is_cut
from interpreto_mllm.adapters.remote.requests import RequestPool
from interpreto_mllm.core.responses import Response
from interpreto_mllm.engine.counter import ForwardCounter
from interpreto_mllm.engine.queries import Generate
from interpreto_mllm.engine.responders import Reply
from interpreto_mllm.prompts.model_input import ModelInput

DEFAULT_MAX_NEW_TOKENS = 32
"""The longest answer, in tokens, unless the caller sets `max_new_tokens`."""


@dataclass(frozen=True)
class FirstAnswer:
    """An answer to the whole prompt.

    Args:
        text: with its white space.
        cut: whether it ended because no more tokens were allowed.
        log_probability: of the answer, if the server returns it.
    """

    text: str
    cut: bool
    log_probability: float | None


class RemoteResponder:
    """Answers of a remote model.

    Args:
        remote: the server and its model.
        settings: arguments of each request.
        seed: None for greedy answers, else of the draws, sent with each request.
        pool: sends the requests; one of its own when None.
    """

    def __init__(
        self, remote: RemoteModel, settings: Mapping[str, Any], seed: int | None = None, pool: RequestPool | None = None
    ):
        self.remote, self.settings, self.seed = remote, dict(settings), seed
        self.pool = RequestPool(remote) if pool is None else pool

    @property
    def counter(self) -> ForwardCounter:
        """Requests, and the tokens of prompts and answers."""
        return self.pool.counter

    def respond(self, queries: Sequence[Generate]) -> Iterator[tuple[list[int], list[Reply]]]:
        """The answers in the order of their arrival.

        Raises:
            ImportError: without the openai client.
            RemoteError: when a request fails for good.
        """
        with closing(self.pool.send(queries, self.body)) as bodies:
            for index, body in bodies:
                yield [index], [Reply(Response(self._text(body).strip(), log_probability=_log_probability(body)))]

    def first(self, input: ModelInput) -> FirstAnswer:
        """One answer, and whether it was cut."""
        body = self.pool.one(self.body(Generate(input)))
        return FirstAnswer(self._text(body), is_cut(body), _log_probability(body))

    def _text(self, body: ResponseBody) -> str:
        """The text of an answer.

        Raises:
            ValueError: when all tokens were spent before the text began, on thinking: it is not an empty answer.
        """
        text = answer_text(body)
        if not text.strip() and is_cut(body):
            raise ValueError(
                f"The server cut an answer at {self.settings['max_tokens']} tokens before its text began, as it does while the "
                "model thinks: raise generate={'max_new_tokens': …}, or turn the model's thinking off."
            )
        return text

    def body(self, query: Generate) -> dict[str, Any]:
        """The arguments of the request for an answer."""
        drawn = {}
        if self.seed is not None:
            source = f"{self.seed} {query.draw} ".encode() + query.input.key
            drawn["seed"] = int.from_bytes(hashlib.blake2b(source, digest_size=4).digest()) >> 1
        prompt = prompt_arguments(query.input, self.remote.route, self.remote.stand_in)
        extra = {**prompt.pop("extra_body", {}), **self.settings.get("extra_body", {})}
        return {**prompt, **self.settings, **drawn, **({"extra_body": extra} if extra else {})}


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


def _log_probability(body: ResponseBody) -> float | None:
    """The log-probability of the answer, if the server returns those of its tokens."""
    logprobs = body["choices"][0].get("logprobs") or {}
    each = [token.get("logprob") for token in logprobs.get("content") or ()] or logprobs.get("token_logprobs") or ()
    return float(sum(each)) if each and all(isinstance(one, (int, float)) for one in each) else None
