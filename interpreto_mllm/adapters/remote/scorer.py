"""A server that scores given answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from interpreto_mllm.adapters.remote.alignment import TokenLogProbs, align, merge
from interpreto_mllm.adapters.remote.hints import TOO_LONG
from interpreto_mllm.adapters.remote.logprobs import PROTOCOLS, LogprobProtocol, arguments_with_answer
from interpreto_mllm.adapters.remote.model import RemoteModel
from interpreto_mllm.adapters.remote.requests import RemoteError, RequestPool
from interpreto_mllm.engine.counter import ForwardCounter
from interpreto_mllm.engine.queries import Scored, ScoreText
from interpreto_mllm.games.text_target import TextTarget
from interpreto_mllm.prompts.model_input import ModelInput

REFUSING_STATUSES = (400, 404, 405, 415, 422, 500, 501)
"""The HTTP statuses by which servers refuse arguments that they do not take."""


NOTED_APART, REFUSED_APART = 1e-3, 1.0
"""Differences between the log-probabilities of one prompt that is sent twice, from which on they are noted, or refused."""


class Unscored(ValueError):
    """The server does not return the log-probabilities of what it reads.

    Args:
        remote: the server and its model.
        protocols: those that it was asked by.
        told: in which words it refused, with white space after them; empty where it just returned none.
    """

    def __init__(self, remote: RemoteModel, protocols: Sequence[LogprobProtocol], told: str):
        missing = " and ".join(protocol.name for protocol in protocols)
        hint = "" if remote.route == "completion" else "; on route='completion' echoed log-probabilities would do as well"
        super().__init__(
            f"{told}{remote.model} at {remote.base_url} does not return the log-probabilities of a given answer: it lacks "
            f"{missing}{hint}. Similarities work with any server: ResponseSimilarity(similarity=TfIdf())."
        )
        self.told = told


class RemoteScorer:
    """Log-probabilities of given answers.

    If the tokens where prompt and answer meet differ between coalitions, their values are merged, so that every column means
    the same characters of the answer.

    Args:
        remote: the server and its model.
        extra: what else is in the body of each request.
        value: of log-probabilities.
        pool: sends the requests; one of its own when None.
    """

    def __init__(
        self,
        remote: RemoteModel,
        extra: Mapping[str, Any],
        value: Callable[[Tensor], Tensor],
        pool: RequestPool | None = None,
    ):
        self.pool = RequestPool(remote) if pool is None else pool
        self.remote, self.extra, self.value = remote, dict(extra), value
        self._protocol: LogprobProtocol | None = None
        self._apart: float | None = None

    @property
    def counter(self) -> ForwardCounter:
        """Requests, and the tokens of prompts and answers."""
        return self.pool.counter

    def target(self, answer: str, input: ModelInput) -> TextTarget:
        """An answer as a target: the server is asked for its tokens after the whole prompt.

        Raises:
            ValueError: when the server scores no given answers, or its tokens do not spell this one.
            RemoteError: when the server fails.
        """
        first = self._first_tokens(input, answer)
        if self._apart is None:
            self._apart = _apart(first, self._first_tokens(input, answer))
        if self._apart > REFUSED_APART:
            raise ValueError(
                f"{self.remote.model} at {self.remote.base_url} gave log-probabilities {self._apart:.3g} apart when it was "
                "asked for one prompt twice, as vLLM may under prefix caching, so its values mean nothing: start it with "
                "--no-enable-prefix-caching."
            )
        tokens = align(first, answer, self._last(input))
        ends = tuple(end for end, _ in tokens)
        return TextTarget(answer, ends, input, tuple(merge(tokens, list(ends))))

    def score(self, queries: Sequence[ScoreText]) -> Iterator[Scored]:
        """The values of each query, in the order in which they arrive."""
        if self._apart is not None and self._apart > NOTED_APART:
            self.counter.note(
                f"Asked for one prompt twice, the server gave log-probabilities up to {self._apart:.2g} apart, as under prefix "
                "caching or in low precision: differences of that size between values mean nothing."
            )
        unknown: list[int] = []
        for index, query in enumerate(queries):
            if query.known is None:
                unknown.append(index)
            else:
                yield [index], self._values(query.known)
        protocol = self._protocol or PROTOCOLS[self.remote.route][0]
        asked = [queries[index] for index in unknown]
        with closing(
            self.pool.send(asked, lambda query: self._body(protocol, self._given(query.input, query.answer)))
        ) as replies:
            for place, reply in replies:
                query = asked[place]
                tokens = protocol.parse(reply, len(query.input.ids) + len(query.answer))
                if tokens is None:
                    raise RemoteError(
                        f"{self.remote.model} at {self.remote.base_url} returned no log-probabilities for one prompt."
                    )
                yield (
                    [unknown[place]],
                    self._values(merge(align(tokens, query.answer, self._last(query.input)), list(query.ends))),
                )

    def _last(self, input: ModelInput) -> str:
        """The character before the answer; a chat template puts markup there, which is ASCII."""
        return chr(int(input.ids[-1])) if self.remote.route == "completion" and len(input.ids) else ""

    def _first_tokens(self, input: ModelInput, answer: str) -> TokenLogProbs:
        """The tokens of the prompt and the answer."""
        return self.tokens_of(self._given(input, answer), len(input.ids) + len(answer))

    def tokens_of(self, given: Mapping[str, Any], length: int) -> TokenLogProbs:
        """The tokens that the server reads of a request, by the first protocol that it supports, which is remembered.

        Args:
            given: arguments of the request.
            length: characters of the text, where it is one.

        Raises:
            Unscored: when the server scores no given answers.
            ValueError: for a prompt that is longer than what it reads.
            RemoteError: when the server fails.
        """
        protocols, told = [self._protocol] if self._protocol else PROTOCOLS[self.remote.route], ""
        for protocol in protocols:
            try:
                reply = self.pool.one(self._body(protocol, given))
                tokens = protocol.parse(reply, length)
            except RemoteError as error:
                if TOO_LONG in str(error):
                    raise ValueError(str(error)) from error
                if error.status not in REFUSING_STATUSES:
                    raise
                tokens, told = None, f"{error} "
            if tokens is not None:
                self._protocol = protocol
                return tokens
        raise Unscored(self.remote, protocols, told)

    def _given(self, input: ModelInput, answer: str) -> dict[str, Any]:
        return arguments_with_answer(input, answer, self.remote.route, self.remote.stand_in)

    def _body(self, protocol: LogprobProtocol, given: Mapping[str, Any]) -> dict[str, Any]:
        extra = {**given.get("extra_body", {}), **self.extra, **protocol.extra}
        return {**given, **protocol.arguments, "extra_body": extra, "max_tokens": 1, "temperature": 0.0}

    def _values(self, log_probabilities: Sequence[float]) -> Float[Tensor, "1 t"]:
        return self.value(torch.tensor([log_probabilities], dtype=torch.float64))


def _apart(one: TokenLogProbs, other: TokenLogProbs) -> float:
    """The largest difference between the log-probabilities of the same tokens; infinite where they are others.

    Example:
        >>> _apart([("a", None), ("b", -1.0)], [("a", None), ("b", -1.5)])
        0.5
    """
    if [token for token, _ in one] != [token for token, _ in other]:
        return float("inf")
    pairs = [(a, b) for (_, a), (_, b) in zip(one, other, strict=True) if a is not None and b is not None]
    return max((abs(a - b) for a, b in pairs), default=0.0)
