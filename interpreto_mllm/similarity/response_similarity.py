"""The inference mode in which the model answers again."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from interpreto_mllm.core.numbers import is_whole
from interpreto_mllm.core.responses import Response
from interpreto_mllm.core.shown import shown
from interpreto_mllm.similarity.embeddings import Embedding, OwnEmbedding, PromptedResponse, Static
from interpreto_mllm.similarity.measures import Cosine, Measure
from interpreto_mllm.similarity.reducers import Reducer, check_reducer
from interpreto_mllm.similarity.texts import OwnMeasure, TextMeasure


@dataclass(frozen=True)
class ResponseSimilarity:
    """A coalition is worth as much as the model's answer to it resembles the original answer.

    An empty answer resembles nothing: its value is 0 under every measure.

    Args:
        embedding: of the answers: `Static()`, `Contextual()`, `External(...)`, or a callable from texts to one vector each;
            `Static()` unless given. Measures of texts take none.
        reducer: from one vector per token to one per answer: "mean", "max", "min", "sum", "first", "last", or a callable.
        similarity: `Cosine()`, `Euclidean()`, `TokenMatch()`, a measure of texts (`TfIdf()`, `ExactMatch()`, `RougeL()`,
            `Bleu()`), or a callable from the original text and a response's to a number.
        generate: arguments of `model.generate`, over the explainer's own; greedy unless `do_sample=True`.
        repeats: answers drawn for each coalition under `do_sample=True`; its value is their mean, and their spread becomes part
            of the standard errors.
        log_probability: also keep how likely each coalition makes the original answer, read on from the cache that its own
            answer is decoded from; `explanation.rescore(InferenceModes.LOG_SOFTMAX)` then explains that, and asks nothing.

    Raises:
        ValueError: for parts that are unknown or do not fit each other.

    Example:
        >>> from interpreto_mllm import KernelShap
        >>> from interpreto_mllm.similarity import ExactMatch
        >>> from interpreto_mllm.testbed import load_recall
        >>> same = ResponseSimilarity(similarity=ExactMatch(), generate=dict(max_new_tokens=4))
        >>> [explanation] = KernelShap(*load_recall(), inference_mode=same)("the apple is red . what is the apple ?")
        >>> explanation.responses.originals[0].text, explanation.full.item()
        ('red', 1.0)
    """

    embedding: Embedding | Callable[[list[str]], Any] | None = None
    reducer: str | Reducer = "mean"
    similarity: Measure | TextMeasure | Callable[[str, str], float] = field(default_factory=Cosine)
    generate: Mapping[str, Any] = field(default_factory=dict)
    repeats: int = 1
    log_probability: bool = False

    def __post_init__(self) -> None:
        check_reducer(self.reducer)
        for name, part, accepted in (
            ("embedding", self.embedding, "Static(), Contextual(), External(...) or a callable from texts to vectors"),
            (
                "similarity",
                self.similarity,
                "Cosine(), Euclidean(), TokenMatch(), a measure of texts, or a callable of two texts",
            ),
        ):
            if isinstance(part, type) or not ((part is None and name == "embedding") or callable(part)):
                raise ValueError(f"{name} must be {accepted}; got {shown(part)}.")
        if not isinstance(self.similarity, Measure) and self.embedding is not None:
            raise ValueError(f"{_name(self.similarity)} compares texts and needs no embedding: leave `embedding` out.")
        if not is_whole(self.repeats) or self.repeats < 1:
            raise ValueError(f"repeats must be a positive int; got {shown(self.repeats)}.")
        if self.repeats > 1 and not self.generate.get("do_sample"):
            raise ValueError("Greedy answers are all the same: repeats need generate=dict(do_sample=True, ...).")

    @property
    def name(self) -> str:
        """The name of the mode on results."""
        measure = f"similarity: {_name(self.similarity)}"
        if not isinstance(self.similarity, Measure):
            return measure
        reducer = f", {_name(self.reducer)}" if self.similarity.reduced else ""
        embedding = self.embedding or Static()
        return f"{measure} of {embedding.name if isinstance(embedding, Embedding) else _name(embedding)}{reducer}"

    def bound(self, model: Any, tokenizer: Any) -> ResponseSimilarity:
        """This similarity, with the model that answers for an embedding that needs it."""
        if not isinstance(self.similarity, Measure):
            return self
        given = Static() if self.embedding is None else self.embedding
        embedding = given if isinstance(given, Embedding) else OwnEmbedding(given)
        return replace(self, embedding=embedding.bound(model, tokenizer))


class Comparison:
    """Values of responses under a similarity; equal responses are embedded once and compared once."""

    def __init__(self, similarity: ResponseSimilarity):
        self.similarity = similarity
        self._reducer = check_reducer(similarity.reducer)
        self._embedded: dict[Hashable, Tensor] = {}
        self._values: dict[Hashable, float] = {}

    def values(self, original: PromptedResponse, responses: Sequence[PromptedResponse]) -> Float[Tensor, "p"]:
        """The similarity of each response to the original.

        Raises:
            ValueError: when the similarity is not a finite number.
        """
        first = self._key(original)
        keys = [(first, self._key(one)) for one in responses]
        fresh = {key: one for key, one in zip(keys, responses, strict=True) if key not in self._values}
        for key, value in zip(fresh, self._compared(original, list(fresh.values())), strict=True):
            if not math.isfinite(value):
                raise ValueError(
                    f"The similarity of {original[0].text!r} and {fresh[key][0].text!r} is {value}, not a finite number."
                )
            self._values[key] = value
        return torch.tensor([self._values[key] for key in keys], dtype=torch.float64)

    def _compared(self, original: PromptedResponse, responses: list[PromptedResponse]) -> list[float]:
        measure = self.similarity.similarity
        if not isinstance(measure, Measure):
            compare = measure if isinstance(measure, TextMeasure) else OwnMeasure(measure)
            return [0.0 if _empty(r) else compare(original[0].text, r.text) for r, _ in responses]
        self._embed([original, *(one for one in responses if not _empty(one[0]))])
        wanted = self._embedded[self._key(original)]
        return [0.0 if _empty(one[0]) else measure(wanted, self._embedded[self._key(one)]) for one in responses]

    def _embed(self, responses: Sequence[PromptedResponse]) -> None:
        fresh = {key: one for one in responses if (key := self._key(one)) not in self._embedded}
        if not fresh:
            return
        embedding = self.similarity.embedding
        if not isinstance(embedding, Embedding):
            raise TypeError("A similarity must be bound before it is used.")
        for key, states in zip(fresh, embedding(list(fresh.values())), strict=True):
            reduced = isinstance(self.similarity.similarity, Measure) and self.similarity.similarity.reduced
            self._embedded[key] = self._reducer(states)[None] if reduced else states

    def _key(self, one: PromptedResponse) -> Hashable:
        embedding = self.similarity.embedding
        return embedding.key(one) if isinstance(embedding, Embedding) else one[0].text


def _empty(response: Response) -> bool:
    return not response.text.strip()


def _name(part: object) -> str:
    return part if isinstance(part, str) else getattr(part, "__name__", type(part).__name__)
