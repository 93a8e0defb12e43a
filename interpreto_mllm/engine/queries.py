"""What a model is asked, one type for each kind of question, and who answers which."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interpreto_mllm.engine.counter import ForwardCounter
from interpreto_mllm.prompts.model_input import ModelInput

Mode = Callable[[Float[Tensor, "*rows v"], Int[Tensor, "*rows"]], Float[Tensor, "*rows"]]
"""An inference mode: from logits over the vocabulary (or the classes) and the target ids to values."""

Scored = tuple[list[int], Float[Tensor, "b t"]]
"""Indices of queries and their values, padded to the longest target of the batch."""


@runtime_checkable
class Query(Protocol):
    """A question about one model input; equal questions have equal keys."""

    @property
    def input(self) -> ModelInput: ...

    @property
    def key(self) -> Hashable: ...


@runtime_checkable
class Row(Protocol):
    """What a forward of a causal model reads: an input, and the tokens of an answer after it."""

    @property
    def input(self) -> ModelInput: ...

    @property
    def continuation(self) -> tuple[int, ...]: ...


def kind_of(queries: Iterable[Query]) -> frozenset[str]:
    """The modalities of their images and clips: what is found of a model with one kind says nothing about another."""
    return frozenset(state.medium.modality for query in queries for state in query.input.media)


@dataclass(frozen=True)
class Score:
    """What are the values of these token ids, as the answer to the input?

    Args:
        input: the prompt.
        target: the answer.
        start: the token with which an encoder-decoder starts the answer, where it is not the model's own.
    """

    input: ModelInput
    target: tuple[int, ...]
    start: int | None = None

    @property
    def key(self) -> Hashable:
        return self.input.key, self.target, self.start

    @property
    def continuation(self) -> tuple[int, ...]:
        """The tokens read after the input: the last one of the target only has to be predicted."""
        return self.target[:-1]

    @property
    def length(self) -> int:
        """Number of tokens that are read."""
        return len(self.input.ids) + len(self.target) - 1


@dataclass(frozen=True)
class Classify:
    """What are the values of these class indices?"""

    input: ModelInput
    classes: tuple[int, ...]

    @property
    def key(self) -> Hashable:
        return self.input.key, self.classes


@dataclass(frozen=True)
class ClassifyAt:
    """What is the value of a class at each of these positions?

    Args:
        input: the text.
        positions: rows of the model's logits.
        classes: a class for each.
    """

    input: ModelInput
    positions: tuple[int, ...]
    classes: tuple[int, ...]

    @property
    def key(self) -> Hashable:
        return self.input.key, self.positions, self.classes


@dataclass(frozen=True)
class ScoreText:
    """How likely is this answer to the input, on a server whose token ids are unknown?

    Args:
        input: the prompt.
        answer: the text of the answer.
        ends: for each value, where the stretch of the answer that it belongs to ends, in characters.
        known: the values, where they were learnt together with `ends`.
    """

    input: ModelInput
    answer: str
    ends: tuple[int, ...]
    known: tuple[float, ...] | None = None

    @property
    def key(self) -> Hashable:
        return self.input.key, self.answer, self.ends


@dataclass(frozen=True)
class Generate:
    """What does the model answer to the input?

    Args:
        input: the prompt.
        draw: the number of the draw, where responses are sampled.
        also_score: answers whose log-probabilities are wanted too, where the model can compute them while it generates.
    """

    input: ModelInput
    draw: int = 0
    also_score: tuple[tuple[int, ...], ...] = ()

    @property
    def key(self) -> Hashable:
        return self.input.key, self.draw

    @property
    def continuation(self) -> tuple[int, ...]:
        return ()


@dataclass(frozen=True, eq=False)
class Generated:
    """Token ids of a batch of responses.

    Args:
        ids: a row for each response, filled up with `END_PADDING` after its end.
        also_scored: for each response the log-probabilities of the tokens of each answer in `Generate.also_score`, or none
            where the model could not compute them while it generated.
        start: what the decoder of an encoder-decoder was given to start with; it is no part of `ids`.
    """

    ids: Int[Tensor, "b l"]
    also_scored: list[tuple[Float[Tensor, "_"], ...]]
    start: tuple[int, ...] = ()


END_PADDING = -1
"""Fills up the rows of responses that are shorter than others; no token has this id."""

Asked = TypeVar("Asked", contravariant=True)


@runtime_checkable
class Scorer(Protocol[Asked]):
    """Gives values for one type of query, in batches of its own making."""

    @property
    def counter(self) -> ForwardCounter: ...

    def score(self, queries: Sequence[Asked]) -> Iterator[Scored]:
        """The values of all queries, each once, in the order in which batches are done."""
        ...


@runtime_checkable
class Generator(Protocol):
    """Generates token ids, in batches of its own making."""

    @property
    def counter(self) -> ForwardCounter: ...

    def generate(self, queries: Sequence[Generate]) -> Iterator[tuple[list[int], Generated]]:
        """Indices of queries and their responses, each once, in the order in which batches are done."""
        ...


def pad(rows: Iterable[Int[Tensor, "_"]] | Iterable[Sequence[int]], fill: int = 0) -> Int[Tensor, "b l"]:
    """Rows of ids as one tensor, padded on the right.

    Example:
        >>> pad([[5, 6], [7]]).tolist()
        [[5, 6], [7, 0]]
    """
    tensors = [torch.as_tensor(row, dtype=torch.int64) for row in rows]
    return torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True, padding_value=fill)
