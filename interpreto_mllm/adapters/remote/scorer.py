"""A server that scores given answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from interpreto_mllm.adapters.remote.alignment import Told, aligned, joined
from interpreto_mllm.adapters.remote.logprobs import WAYS, Way, continued
from interpreto_mllm.adapters.remote.model import RemoteModel
from interpreto_mllm.adapters.remote.requests import RemoteError, RequestPool
from interpreto_mllm.engine.queries import Query, Scored
from interpreto_mllm.prompts.model_input import ModelInput

REFUSED = (400, 404, 405, 415, 422, 500, 501)
"""What servers answer to arguments that they do not take."""


class RemoteScorer:
    """Log-probabilities of given answers; `Query.target` holds the index of the answer, once for each of its tokens.

    Where the tokens around the seam of prompt and answer differ between coalitions, their values are joined, so that every
    column means the same characters of the answer.

    Args:
        remote: the server and its model.
        extra: what else is in the body of each request.
        probability: whether values are probabilities.
    """

    def __init__(self, remote: RemoteModel, extra: Mapping[str, Any], probability: bool):
        self.flight = RequestPool(remote)
        self.remote, self.extra, self.probability = remote, dict(extra), probability
        self._way: Way | None = None
        self.forget()

    @property
    def forwards(self) -> int:
        """Requests."""
        return self.flight.requests

    @property
    def tokens(self) -> int:
        """Tokens read and said."""
        return self.flight.tokens

    def forget(self) -> None:
        """Forget the answers and what was told of them."""
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
            told = aligned(self._probed(reading, answer), answer)
            ends = [end for end, _ in told]
            number = len(self._answers)
            self._answers.append((answer, ends))
            self._known[reading.key, number] = self._values(told, ends)
        return number, [answer[start:end] for start, end in pairwise([0, *self._answers[number][1]])]

    def score(self, queries: list[Query]) -> Iterator[Scored]:
        """The values of each query's answer, in the order in which they arrive."""
        known = [self._known.get((query.reading.key, query.target[0])) for query in queries]
        for index, values in enumerate(known):
            if values is not None:
                yield [index], values
        waiting = [index for index, values in enumerate(known) if values is None]
        jobs = [(queries[index].reading, *self._answers[queries[index].target[0]]) for index in waiting]
        way = self._way or WAYS[self.remote.route][0]
        with closing(self.flight.send(jobs, lambda job: self._body(way, *job[:2]))) as replies:
            for place, reply in replies:
                reading, answer, ends = jobs[place]
                told = way.read(reply, len(reading.ids) + len(answer))
                if told is None:
                    raise RemoteError(f"{self.remote.model} at {self.remote.base_url} told no log-probabilities of one prompt.")
                yield [waiting[place]], self._values(aligned(told, answer), ends)

    def _probed(self, reading: ModelInput, answer: str) -> Told:
        """The tokens of the prompt and the answer, asked for in the first way that the server takes, which is remembered."""
        ways, heard = [self._way] if self._way else WAYS[self.remote.route], ""
        for way in ways:
            try:
                reply = self.flight.one(self._body(way, reading, answer))
                told = way.read(reply, len(reading.ids) + len(answer))
            except RemoteError as error:
                if error.status not in REFUSED:
                    raise
                told, heard = None, f" It said: {error}"
            if told is not None:
                self._way = way
                return told
        lacking = " and ".join(way.lacking for way in ways)
        hint = "" if self.remote.route == "completion" else "; on route='completion' echoed log-probabilities would do as well"
        raise ValueError(
            f"{self.remote.model} at {self.remote.base_url} does not tell how likely a given answer is: it lacks "
            f"{lacking}{hint}. SIMILARITY works with any server: inference_mode=ResponseSimilarity(similarity=TfIdf()).{heard}"
        )

    def _body(self, way: Way, reading: ModelInput, answer: str) -> dict[str, Any]:
        given = continued(reading, answer, self.remote.route)
        extra = {**given.pop("extra_body", {}), **self.extra, **way.extra}
        return {**given, **way.arguments, "extra_body": extra, "max_tokens": 1, "temperature": 0.0}

    def _values(self, told: list[tuple[int, float]], ends: list[int]) -> Float[Tensor, "1 t"]:
        values = torch.tensor([joined(told, ends)], dtype=torch.float64)
        return values.exp() if self.probability else values
