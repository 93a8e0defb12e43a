"""Responders: generated token ids as responses in text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from interpreto_mllm.core.responses import Response
from interpreto_mllm.engine.counter import ForwardCounter
from interpreto_mllm.engine.queries import END_PADDING, Generate, Generator
from interpreto_mllm.engine.turns import in_turns
from interpreto_mllm.prompts.model_input import ModelInput
from interpreto_mllm.prompts.tokens import special_ids


@dataclass(frozen=True, eq=False)
class Reply:
    """A response, and the log-probabilities of the tokens of each answer in `Generate.also_score`, where they came with it."""

    response: Response
    also_scored: tuple[Float[Tensor, "_"], ...] = ()


@runtime_checkable
class Responder(Protocol):
    """Responds to model inputs in text."""

    @property
    def counter(self) -> ForwardCounter: ...

    def respond(self, queries: Sequence[Generate]) -> Iterator[tuple[list[int], list[Reply]]]:
        """Indices of queries and the replies to them, each once, in the order in which they are done."""
        ...


class LocalResponder:
    """A model of transformers that responds.

    Args:
        generator: generates token ids, in turns with other threads on its model.
        model: which it runs.
        tokenizer: decodes them.
    """

    def __init__(self, generator: Generator, model: Any, tokenizer: Any):
        self.generator, self.model, self.tokenizer = generator, model, tokenizer

    @property
    def counter(self) -> ForwardCounter:
        """What the model has cost."""
        return self.generator.counter

    def respond(self, queries: Sequence[Generate]) -> Iterator[tuple[list[int], list[Reply]]]:
        """The replies, batch by batch."""
        special = special_ids(self.tokenizer)
        decoded: dict[tuple[int, ...], Response] = {}
        for indices, generated in in_turns(self.model, self.generator.generate(queries)):
            rows = [tuple(row) for row in generated.ids.tolist()]
            decoded |= {
                row: decode_response(_without_padding(row), self.tokenizer, special) for row in set(rows) - decoded.keys()
            }
            yield indices, [Reply(decoded[row], scored) for row, scored in zip(rows, generated.also_scored, strict=True)]

    def first(self, input: ModelInput) -> tuple[Response, list[int], tuple[int, ...]]:
        """One response, all of its ids, special ones included, and what the decoder was given to start with."""
        [(_, generated)] = in_turns(self.model, self.generator.generate([Generate(input)]))
        ids = _without_padding(generated.ids[0].tolist())
        return decode_response(ids, self.tokenizer), ids, generated.start


def _without_padding(row: Iterable[int]) -> list[int]:
    return [token for token in row if token != END_PADDING]


def decode_response(ids: list[int], tokenizer: Any, special: set[int] | None = None) -> Response:
    """The response that these ids spell, without the special tokens around it (`special`, the tokenizer's by default)."""
    special = special_ids(tokenizer) if special is None else special
    while ids and ids[-1] in special:
        ids = ids[:-1]
    start = next((index for index, token in enumerate(ids) if token not in special), 0)
    text = str(tokenizer.decode(ids[start:], skip_special_tokens=True)) if ids else ""
    return Response(text.strip(), tuple(ids[start:]))
