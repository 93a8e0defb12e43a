"""A server that scores given answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from interpreto_mllm.adapters.remote.alignment import TokenLogProbs, align, merge
from interpreto_mllm.adapters.remote.logprobs import PROTOCOLS, LogprobProtocol, arguments_with_answer
from interpreto_mllm.adapters.remote.model import RemoteModel
from interpreto_mllm.adapters.remote.requests import RemoteError, RequestPool
from interpreto_mllm.engine.queries import Query, Scored
from interpreto_mllm.prompts.model_input import ModelInput

REFUSED = (400, 404, 405, 415, 422, 500, 501)
"""What servers answer to arguments that they do not take."""


class RemoteScorer:
    """Log-probabilities of given answers; `Query.target` holds the index of the answer, once for each of its tokens.

    If the tokens where prompt and answer meet differ between coalitions, their values are merged, so that every column means
    the same characters of the answer.

    Args:
        remote: the server and its model.
        extra: what else is in the body of each request.
        probability: whether values are probabilities.
    """

    def __init__(self, remote: RemoteModel, extra: Mapping[str, Any], probability: bool):
        self.pool = RequestPool(remote)
        self.remote, self.extra, self.probability = remote, dict(extra), probability
        self._protocol: LogprobProtocol | None = None
        self.forget()

    @property
    def forwards(self) -> int:
        """Requests."""
        return self.pool.requests

    @property
    def tokens(self) -> int:
        """Tokens of prompts and answers."""
        return self.pool.tokens

    def forget(self) -> None:
        """Forget the answers and their known values."""
        self._answers: list[tuple[str, list[int]]] = []
        self._known: dict[tuple[bytes, int], Float[Tensor, "1 t"]] = {}

    def add(self, answer: str, reading: ModelInput) -> tuple[int, list[str]]:
        """A further answer: its index, and the texts of its tokens where it follows the whole prompt.

        Raises:
            ValueError: when the server scores no given answers, or its tokens do not spell this one.
            RemoteError: when the server fails.
        """
        same = [index for index, (text, _) in enumerate(self._answers) if text == answer]
        number = next((index for index in same if (reading.key, index) in self._known), None)
        if number is None:
            values = align(self._probed(reading, answer), answer)
            ends = [end for end, _ in values]
            number = len(self._answers)
            self._answers.append((answer, ends))
            self._known[reading.key, number] = self._values(values, ends)
        return number, [answer[start:end] for start, end in pairwise([0, *self._answers[number][1]])]

    def score(self, queries: list[Query]) -> Iterator[Scored]:
        """The values of each query's answer, in the order in which they arrive."""
        known = [self._known.get((query.reading.key, query.target[0])) for query in queries]
        for index, values in enumerate(known):
            if values is not None:
                yield [index], values
        waiting = [index for index, values in enumerate(known) if values is None]
        jobs = [(queries[index].reading, *self._answers[queries[index].target[0]]) for index in waiting]
        protocol = self._protocol or PROTOCOLS[self.remote.route][0]
        with closing(self.pool.send(jobs, lambda job: self._body(protocol, *job[:2]))) as replies:
            for place, reply in replies:
                reading, answer, ends = jobs[place]
                tokens = protocol.parse(reply, len(reading.ids) + len(answer))
                if tokens is None:
                    raise RemoteError(
                        f"{self.remote.model} at {self.remote.base_url} returned no log-probabilities for one prompt."
                    )
                yield [waiting[place]], self._values(align(tokens, answer), ends)

    def _probed(self, reading: ModelInput, answer: str) -> TokenLogProbs:
        """The tokens of the prompt and the answer, by the first protocol that the server supports, which is remembered."""
        protocols, message = [self._protocol] if self._protocol else PROTOCOLS[self.remote.route], ""
        for protocol in protocols:
            try:
                reply = self.pool.one(self._body(protocol, reading, answer))
                tokens = protocol.parse(reply, len(reading.ids) + len(answer))
            except RemoteError as error:
                if error.status not in REFUSED:
                    raise
                tokens, message = None, f" It said: {error}"
            if tokens is not None:
                self._protocol = protocol
                return tokens
        missing = " and ".join(protocol.name for protocol in protocols)
        hint = "" if self.remote.route == "completion" else "; on route='completion' echoed log-probabilities would do as well"
        raise ValueError(
            f"{self.remote.model} at {self.remote.base_url} does not return the log-probabilities of a given answer: it lacks "
            f"{missing}{hint}. Similarities work with any server: ResponseSimilarity(similarity=TfIdf()).{message}"
        )

    def _body(self, protocol: LogprobProtocol, reading: ModelInput, answer: str) -> dict[str, Any]:
        given = arguments_with_answer(reading, answer, self.remote.route)
        extra = {**given.pop("extra_body", {}), **self.extra, **protocol.extra}
        return {**given, **protocol.arguments, "extra_body": extra, "max_tokens": 1, "temperature": 0.0}

    def _values(self, values: list[tuple[int, float]], ends: list[int]) -> Float[Tensor, "1 t"]:
        merged = torch.tensor([merge(values, ends)], dtype=torch.float64)
        return merged.exp() if self.probability else merged
