"""Embeddings of responses, by the model itself or by another encoder."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from interpreto_mllm.core.responses import Response
from interpreto_mllm.engine.batches import Batches
from interpreto_mllm.engine.preserved_state import preserved_state
from interpreto_mllm.engine.queries import pad
from interpreto_mllm.engine.text_submodel import text_submodel
from interpreto_mllm.engine.turns import turn
from interpreto_mllm.prompts.model_input import ModelInput
from interpreto_mllm.prompts.processing import Processing

PromptedResponse = tuple[Response, ModelInput | None]
"""A response and the prompt that it answers, if that is known."""


class Embedding(ABC):
    """Vectors of responses, in batches. Those of one response do not depend on the others."""

    @property
    def name(self) -> str:
        """Its name on results."""
        return type(self).__name__

    def key(self, one: PromptedResponse) -> Hashable:
        """Equal for responses with equal vectors, which are embedded once: by default those of equal texts."""
        return one[0].text

    def bound(self, model: Any, tokenizer: Any) -> Embedding:
        """This embedding with the model that answers, unless it has a model already."""
        return self

    @abstractmethod
    def __call__(self, responses: Sequence[PromptedResponse]) -> list[Float[Tensor, "_ d"]]:
        """One row per token of each response, or a single row for all of it, on the CPU. No response is empty."""


@dataclass(frozen=True)
class Static(Embedding):
    """The input embeddings of the response's tokens, without context. Costs no forward.

    Args:
        model, tokenizer: the model that answers unless given, and its tokenizer or processor; a result read from a file needs
            them.

    Example:
        >>> from interpreto_mllm.testbed import load_recall
        >>> [states] = Static(*load_recall())([(Response("red apple"), None)])
        >>> states.shape
        torch.Size([2, 96])
    """

    model: Any = None
    tokenizer: Any = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "model", text_submodel(self.model))

    def bound(self, model: Any, tokenizer: Any) -> Static:
        return self if self.model is not None else replace(self, model=model, tokenizer=tokenizer)

    def key(self, one: PromptedResponse) -> Hashable:
        return one[0]

    def __call__(self, responses: Sequence[PromptedResponse]) -> list[Float[Tensor, "_ d"]]:
        check_bound(self)
        table = self.model.get_input_embeddings()
        words = Processing(self.tokenizer, self.model).tokenizer
        rows = [ids_of(response, words) for response, _ in responses]
        with preserved_state(self.model):
            states = table(torch.cat(rows).to(table.weight.device)).float().cpu()
        return list(states.split([len(row) for row in rows]))


@dataclass(frozen=True)
class External(Embedding):
    """The embedding of another encoder.

    Args:
        model: a `SentenceTransformer` (anything with `encode`), an encoder of transformers, or the name or folder of one.
        tokenizer: the encoder's own, needed with a model of transformers alone.
        batch_size: texts per forward.

    A `SentenceTransformer` pools as it was trained to. An encoder of transformers gives a vector per token, special tokens
    included, and the reducer pools: `"mean"` for the all-MiniLM and E5 kinds, `"first"` for those trained on [CLS].

    Raises:
        ValueError: for an encoder without a tokenizer.
    """

    model: Any
    tokenizer: Any = None
    batch_size: int = 32

    def __post_init__(self) -> None:
        if isinstance(self.model, str) or hasattr(self.model, "__fspath__"):
            from transformers import AutoModel, AutoTokenizer

            object.__setattr__(self, "tokenizer", self.tokenizer or AutoTokenizer.from_pretrained(self.model))
            object.__setattr__(self, "model", AutoModel.from_pretrained(self.model).eval())
        elif self.tokenizer is None and not hasattr(self.model, "encode"):
            raise ValueError(
                f"External({type(self.model).__name__}) needs the encoder's tokenizer too: External(model, tokenizer)."
            )

    def __call__(self, responses: Sequence[PromptedResponse]) -> list[Float[Tensor, "_ d"]]:
        texts = [response.text for response, _ in responses]
        if hasattr(self.model, "encode"):
            with turn(self.model):
                vectors = self.model.encode(texts, batch_size=self.batch_size, show_progress_bar=False)
            return _rows(vectors, len(texts))
        states: list[Tensor] = [torch.empty(0)] * len(texts)
        with turn(self.model), preserved_state(self.model, self.tokenizer):
            work = Batches(self.batch_size).run(
                range(len(texts)), lambda batch: self._batch([texts[index] for index in batch]), lambda i: len(texts[i])
            )
            for batch, embedded in work:
                for index, one in zip(batch, embedded, strict=True):
                    states[index] = one
        return states

    def _batch(self, texts: list[str]) -> list[Float[Tensor, "_ d"]]:
        rows = [torch.tensor(self.tokenizer(text, truncation=True)["input_ids"]) for text in texts]
        ids, mask = padded(rows, [None] * len(rows), self.model.get_input_embeddings().weight.device)
        hidden = self.model(input_ids=ids, attention_mask=mask).last_hidden_state.float().cpu()
        return [row[: len(own)] for row, own in zip(hidden, rows, strict=True)]


@dataclass(frozen=True)
class OwnEmbedding(Embedding):
    """A user's callable, from a list of texts to one vector each."""

    function: Callable[[list[str]], Any]

    @property
    def name(self) -> str:
        return getattr(self.function, "__name__", type(self.function).__name__)

    def __call__(self, responses: Sequence[PromptedResponse]) -> list[Float[Tensor, "_ d"]]:
        texts = [response.text for response, _ in responses]
        return _rows(self.function(texts), len(texts))


def _rows(vectors: Any, count: int) -> list[Float[Tensor, "1 d"]]:
    """What an encoder returned for a list of texts, one row each."""
    stacked = torch.as_tensor(np.asarray(vectors.detach().cpu() if isinstance(vectors, Tensor) else vectors))
    if stacked.ndim != 2 or len(stacked) != count:
        raise ValueError(f"An embedding must give one vector per text, {count} here; got shape {tuple(stacked.shape)}.")
    return list(stacked.float()[:, None].unbind(0))


def check_bound(embedding: Any) -> None:
    """Raise a ValueError if an embedding by the model that answers has no model."""
    if embedding.model is None:
        name = type(embedding).__name__
        raise ValueError(f"{name}() embeds by the model that answers, and there is none here: give {name}(model, tokenizer).")


def ids_of(response: Response, tokenizer: Any) -> Int[Tensor, "_"]:
    """A response's ids, or those of its text if it has none."""
    ids = response.ids or tokenizer.encode(response.text, add_special_tokens=False)
    return torch.tensor(ids, dtype=torch.int64)


def padded(
    rows: list[Int[Tensor, "_"]], inputs: Sequence[ModelInput | None], device: torch.device
) -> tuple[Int[Tensor, "b l"], Int[Tensor, "b l"]]:
    """Rows padded on the right, and their attention mask; each may begin with a model input that hides tokens."""
    ids = pad(rows)
    mask = torch.zeros_like(ids)
    for index, (row, input) in enumerate(zip(rows, inputs, strict=True)):
        mask[index, : len(row)] = 1
        if input is not None and input.seen is not None:
            mask[index, : len(input.seen)] = torch.from_numpy(input.seen).long()
    return ids.to(device), mask.to(device)
