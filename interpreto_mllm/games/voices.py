"""Whoever answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

from interpreto_mllm.engine.generation import OVER
from interpreto_mllm.engine.query import Engine, Query
from interpreto_mllm.prompts.tokens import special_ids
from interpreto_mllm.responses import Response


@runtime_checkable
class Voice(Protocol):
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


class LocalVoice:
    """A model of transformers that answers.

    Args:
        speaker: gives the ids of answers.
        tokenizer: spells them.
    """

    def __init__(self, speaker: Engine, tokenizer: Any):
        self.speaker, self.tokenizer = speaker, tokenizer

    @property
    def forwards(self) -> int:
        """Forwards of the model."""
        return self.speaker.forwards

    @property
    def tokens(self) -> int:
        """Tokens it has read and said."""
        return self.speaker.tokens

    def say(self, queries: list[Query]) -> Iterator[tuple[list[int], list[Response]]]:
        """The answers, batch by batch."""
        special = special_ids(self.tokenizer)
        for indices, ids in self.speaker.score(queries):
            yield indices, [spelled(row, self.tokenizer, special) for row in ids.tolist()]


def spelled(ids: list[int], tokenizer: Any, special: set[int] | None = None) -> Response:
    """An answer without its filling, and without the special tokens around it."""
    special = special_ids(tokenizer) if special is None else special
    ids = [token for token in ids if token != OVER]
    while ids and ids[-1] in special:
        ids.pop()
    start = next((index for index, token in enumerate(ids) if token not in special), 0)
    text = str(tokenizer.decode(ids[start:], skip_special_tokens=True)) if ids else ""
    return Response(text.strip(), tuple(ids[start:]))
