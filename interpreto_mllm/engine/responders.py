"""Whoever answers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from interpreto_mllm.core.responses import Response
from interpreto_mllm.engine.generation import OVER, Generator
from interpreto_mllm.engine.queries import Engine, Query
from interpreto_mllm.prompts.model_input import ModelInput
from interpreto_mllm.prompts.tokens import special_ids


@runtime_checkable
class Responder(Protocol):
    """Whoever answers: `Query.target` numbers the draw; `forwards` and `tokens` count what it cost."""

    @property
    def forwards(self) -> int:
        """Forward passes, or requests."""
        ...

    @property
    def tokens(self) -> int:
        """Tokens read and said."""
        ...

    def say(self, queries: list[Query]) -> Iterator[tuple[list[int], list[Response]]]:
        """Indices of queries and their answers, in whatever order they come; each query once."""
        ...


class LocalResponder:
    """A model of transformers that answers.

    Args:
        speaker: gives the ids of answers.
        tokenizer: spells them.
        scorer: gives log-probabilities of given answers, where the speaker could not tell them on the way.
    """

    def __init__(self, speaker: Generator, tokenizer: Any, scorer: Engine):
        self.speaker, self.tokenizer, self.scorer = speaker, tokenizer, scorer

    @property
    def forwards(self) -> int:
        """Forwards of the model."""
        return self.speaker.forwards + self.scorer.forwards

    @property
    def tokens(self) -> int:
        """Tokens it has read and said."""
        return self.speaker.tokens + self.scorer.tokens

    def say(self, queries: list[Query]) -> Iterator[tuple[list[int], list[Response]]]:
        """The answers, batch by batch."""
        special = special_ids(self.tokenizer)
        known: dict[tuple[int, ...], Response] = {}
        self.speaker.likelihoods.clear()  # what nobody asked for may be of images that are gone
        for indices, ids in self.speaker.score(queries):
            rows = [tuple(row) for row in ids.tolist()]
            known |= {row: spelled(_said(row), self.tokenizer, special) for row in set(rows) - known.keys()}
            yield indices, [known[row] for row in rows]

    def first(self, reading: ModelInput) -> tuple[Response, list[int]]:
        """One answer, and all of its ids, special ones included."""
        [(_, [row])] = self.speaker.score([Query(reading, (0,))])
        ids = _said(row.tolist())
        return spelled(ids, self.tokenizer), ids

    def likelihoods(self, queries: list[Query]) -> list[Float[Tensor, "_"]]:
        """Log-probabilities of the tokens of each query's target: as told while answering, else by a plain forward."""
        told = {query.key: self.speaker.likelihoods.pop(query.key, None) for query in queries}
        missing = [query for query in {query.key: query for query in queries}.values() if told[query.key] is None]
        for indices, rows in self.scorer.score(missing):
            told |= {missing[index].key: row[: len(missing[index].target)] for index, row in zip(indices, rows, strict=True)}
        return [row for query in queries if (row := told[query.key]) is not None]


def _said(row: Iterable[int]) -> list[int]:
    """An answer without what fills its row."""
    return [token for token in row if token != OVER]


def spelled(ids: list[int], tokenizer: Any, special: set[int] | None = None) -> Response:
    """An answer without the special tokens around it."""
    special = special_ids(tokenizer) if special is None else special
    while ids and ids[-1] in special:
        ids = ids[:-1]
    start = next((index for index, token in enumerate(ids) if token not in special), 0)
    text = str(tokenizer.decode(ids[start:], skip_special_tokens=True)) if ids else ""
    return Response(text.strip(), tuple(ids[start:]))
