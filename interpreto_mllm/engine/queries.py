"""What is asked of a model: a reading, and the answer to score after it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interpreto_mllm.prompts.model_input import ModelInput

Mode = Callable[[Float[Tensor, "*rows v"], Int[Tensor, "*rows"]], Float[Tensor, "*rows"]]
"""An inference mode: from logits over the vocabulary and the target ids to values."""


@dataclass(frozen=True)
class Query:
    """One reading and the ids whose values are asked after it: answer tokens, or class indices for a classifier.

    `asides` are answers whose log-probabilities a model that answers by itself tells on the way, where it can.
    """

    reading: ModelInput
    target: tuple[int, ...]
    asides: tuple[tuple[int, ...], ...] = ()

    @property
    def key(self) -> tuple[bytes, tuple[int, ...]]:
        """Equal exactly for equal queries, whatever is asked aside."""
        return self.reading.key, self.target

    @property
    def length(self) -> int:
        """Positions that the reading and the answer take; the answer's last token is not read."""
        return len(self.reading.ids) + len(self.target) - 1


Scored = tuple[list[int], Float[Tensor, "b t"] | Int[Tensor, "b t"]]
"""Indices of queries, and their values (padded to the longest target of the batch), or the ids of answers."""


@runtime_checkable
class Engine(Protocol):
    """Scores queries in batches of its own making; `forwards` and `tokens` count what it cost."""

    @property
    def forwards(self) -> int:
        """Forward passes so far."""
        ...

    @property
    def tokens(self) -> int:
        """Tokens processed so far."""
        ...

    def score(self, queries: list[Query]) -> Iterator[Scored]:
        """Values of all queries, in whatever order the batches fall; each query once."""
        ...


def pad(rows: Iterable[Int[Tensor, "_"]] | list[list[int]], fill: int = 0) -> Int[Tensor, "b l"]:
    """Rows of ids as one tensor, padded on the right.

    Example:
        >>> pad([[5, 6], [7]]).tolist()
        [[5, 6], [7, 0]]
    """
    tensors = [torch.as_tensor(row, dtype=torch.int64) for row in rows]
    return torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True, padding_value=fill)
