"""Embeddings of responses: the model's own, or another encoder's."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from interpreto_mllm.engine.batches import Batches
from interpreto_mllm.engine.encoder import Seq2SeqEngine
from interpreto_mllm.engine.multimodal import MultimodalEngine
from interpreto_mllm.engine.query import Query, pad
from interpreto_mllm.engine.writer import writer
from interpreto_mllm.games.borrowed import borrowed
from interpreto_mllm.prompts.occlusion import Reading
from interpreto_mllm.prompts.processing import Processing
from interpreto_mllm.responses import Response

Said = tuple[Response, Reading | None]
"""A response, and the prompt it answered where that is known."""


class Embedding(ABC):
    """Vectors for responses, batched; a response's vectors do not depend on the others."""

    @property
    def name(self) -> str:
        """How it is called on results."""
        return type(self).__name__

    def key(self, one: Said) -> Hashable:
        """Equal for what has equal vectors and need be embedded only once: equal texts, unless it reads more than these."""
        return one[0].text

    def bound(self, model: Any, tokenizer: Any) -> Embedding:
        """This embedding with the model that answers, where it was made without one."""
        return self

    @abstractmethod
    def __call__(self, said: Sequence[Said]) -> list[Float[Tensor, "_ d"]]:
        """One row per token of each response, on the CPU, or a single row for the whole of it. No response is empty."""


@dataclass(frozen=True)
class Static(Embedding):
    """The input embeddings of the response's tokens. Costs no forward, and knows no context.

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
        object.__setattr__(self, "model", writer(self.model))

    def bound(self, model: Any, tokenizer: Any) -> Static:
        return self if self.model is not None else replace(self, model=model, tokenizer=tokenizer)

    def key(self, one: Said) -> Hashable:
        return one[0]

    def __call__(self, said: Sequence[Said]) -> list[Float[Tensor, "_ d"]]:
        _check_bound(self)
        table = self.model.get_input_embeddings()
        words = Processing(self.tokenizer, self.model).tokenizer
        rows = [_ids(response, words) for response, _ in said]
        with borrowed(self.model):
            states = table(torch.cat(rows).to(table.weight.device)).float().cpu()
        return list(states.split([len(row) for row in rows]))


@dataclass(frozen=True)
class Contextual(Embedding):
    """The model's last hidden states at the response's tokens, each of which has read those before it.

    Args:
        model, tokenizer: the model that answers unless given, and its tokenizer or processor; a result read from a file needs
            them.
        after_prompt: False embeds the response alone (after the tokenizer's BOS token, if it has one), so that equal responses
            are equal. True embeds it after the prompt it answered, images and clips included: two equal answers to different
            prompts then differ, and values can only be had while the model answers, since results do not keep prompts.
        batch_size: rows in a forward; a model that sees or hears reads prompts one by one.

    Raises:
        ValueError: for a response alone where the model's encoder reads no text.
    """

    model: Any = None
    tokenizer: Any = None
    after_prompt: bool = False
    batch_size: int = 32

    def __post_init__(self) -> None:
        object.__setattr__(self, "model", writer(self.model))

    @property
    def name(self) -> str:
        return "Contextual after the prompt" if self.after_prompt else "Contextual"

    def key(self, one: Said) -> Hashable:
        return (one[0], one[1].key) if self.after_prompt and one[1] is not None else one[0]

    def bound(self, model: Any, tokenizer: Any) -> Contextual:
        bound = self if self.model is not None else replace(self, model=model, tokenizer=tokenizer)
        known = bound.model is not None and bound.tokenizer is not None
        if known and not self.after_prompt and bound.model.config.is_encoder_decoder and not bound._processing.reads_text:
            raise ValueError(
                f"Contextual() lets the encoder read each answer, and that of {type(bound.model).__name__} reads no text: use "
                "Contextual(after_prompt=True), Static() or External(...)."
            )
        return bound

    @property
    def _processing(self) -> Processing:
        return Processing(self.tokenizer, self.model)

    def __call__(self, said: Sequence[Said]) -> list[Float[Tensor, "_ d"]]:
        _check_bound(self)
        states: list[Tensor] = [torch.empty(0)] * len(said)
        alone = self.after_prompt and bool(self._processing.modalities)
        with borrowed(self.model):
            work = Batches(1 if alone else self.batch_size).run(
                range(len(said)), lambda batch: self._batch([said[index] for index in batch]), lambda i: self._length(said[i])
            )
            for batch, embedded in work:
                for index, one in zip(batch, embedded, strict=True):
                    states[index] = one
        return states

    def _length(self, one: Said) -> int:
        return len(one[0].ids) + len(one[0].text) + (0 if one[1] is None else len(one[1].ids))

    def _batch(self, said: list[Said]) -> list[Float[Tensor, "_ d"]]:
        words = self._processing.tokenizer
        ids = [_ids(response, words) for response, _ in said]
        prompts = [self._prompt(reading) for _, reading in said]
        if not self.model.config.is_encoder_decoder:
            if self.after_prompt and self._processing.modalities:
                return [self._outright(reading, i) for (_, reading), i in zip(said, ids, strict=True) if reading is not None]
            hidden = self._hidden([torch.cat(pair) for pair in zip(prompts, ids, strict=True)], [r for _, r in said])
            return [row[len(p) : len(p) + len(i)].float().cpu() for row, p, i in zip(hidden, prompts, ids, strict=True)]
        if not self.after_prompt:
            return [row[: len(i)].float().cpu() for row, i in zip(self._encoded(ids), ids, strict=True)]
        start = torch.tensor([self.model.config.decoder_start_token_id])
        spoken = pad([torch.cat([start, one]) for one in ids]).to(self._device)
        engine = Seq2SeqEngine(self.model, self._processing, _no_mode, self.batch_size)
        inputs = engine.inputs([reading for _, reading in said if reading is not None])
        hidden = self.model(**inputs, decoder_input_ids=spoken, output_hidden_states=True).decoder_hidden_states[-1]
        return [row[1 : 1 + len(i)].float().cpu() for row, i in zip(hidden, ids, strict=True)]

    def _prompt(self, reading: Reading | None) -> Int[Tensor, "_"]:
        """What comes before the response."""
        if not self.after_prompt:
            begin = getattr(self._processing.tokenizer, "bos_token_id", None)
            return torch.tensor([] if begin is None else [begin], dtype=torch.int64)
        if reading is None:
            raise ValueError(
                "Contextual(after_prompt=True) embeds each answer after the prompt it answered, and a result does not keep "
                "prompts: use Contextual() to rescore."
            )
        return torch.from_numpy(reading.ids)

    def _outright(self, reading: Reading, ids: Int[Tensor, "k"]) -> Float[Tensor, "k d"]:
        """States after a prompt with images and clips, by one call of the processor and one forward."""
        engine = MultimodalEngine(self.model, _no_mode, 1, processing=self._processing)
        arguments = engine.outright(Query(reading, (*ids.tolist(), 0)))
        return self.model(**arguments, output_hidden_states=True).hidden_states[-1][0, len(reading.ids) :].float().cpu()

    def _hidden(self, rows: list[Int[Tensor, "_"]], readings: list[Reading | None]) -> Float[Tensor, "b l d"]:
        """A causal model never looks to the right, so rows padded there need no mask but that of an occlusion."""
        ids, mask = _padded(rows, readings, self._device)
        if not self.after_prompt:
            engine = MultimodalEngine(self.model, _no_mode, 1, processing=self._processing)
            types = engine.types([Query(Reading(self._prompt(None).numpy()), (0,))] * len(rows), ids.shape[1])
            return self.model.base_model(input_ids=ids, **types).last_hidden_state
        if mask.all() or not any(reading is not None and reading.seen is not None for reading in readings):
            return self.model.base_model(input_ids=ids).last_hidden_state
        positions = torch.arange(ids.shape[1], device=ids.device)[None].expand(len(ids), -1)
        return self.model.base_model(input_ids=ids, attention_mask=mask, position_ids=positions).last_hidden_state

    def _encoded(self, rows: list[Int[Tensor, "_"]]) -> Float[Tensor, "b l d"]:
        ids, mask = _padded(rows, [None] * len(rows), self._device)
        return self.model.get_encoder()(input_ids=ids, attention_mask=mask).last_hidden_state

    @property
    def _device(self) -> torch.device:
        return self.model.get_input_embeddings().weight.device


@dataclass(frozen=True)
class External(Embedding):
    """The embedding of another encoder.

    Args:
        model: a `SentenceTransformer` (anything with `encode`), an encoder of transformers, or the name or folder of one.
        tokenizer: the encoder's own, needed with a model of transformers alone.
        batch_size: texts in a forward.

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

    def __call__(self, said: Sequence[Said]) -> list[Float[Tensor, "_ d"]]:
        texts = [response.text for response, _ in said]
        if hasattr(self.model, "encode"):
            return _rows(self.model.encode(texts, batch_size=self.batch_size, show_progress_bar=False), len(texts))
        states: list[Tensor] = [torch.empty(0)] * len(texts)
        with borrowed(self.model, self.tokenizer):
            work = Batches(self.batch_size).run(
                range(len(texts)), lambda batch: self._batch([texts[index] for index in batch]), lambda i: len(texts[i])
            )
            for batch, embedded in work:
                for index, one in zip(batch, embedded, strict=True):
                    states[index] = one
        return states

    def _batch(self, texts: list[str]) -> list[Float[Tensor, "_ d"]]:
        rows = [torch.tensor(self.tokenizer(text, truncation=True)["input_ids"]) for text in texts]
        ids, mask = _padded(rows, [None] * len(rows), self.model.get_input_embeddings().weight.device)
        hidden = self.model(input_ids=ids, attention_mask=mask).last_hidden_state.float().cpu()
        return [row[: len(own)] for row, own in zip(hidden, rows, strict=True)]


@dataclass(frozen=True)
class OwnEmbedding(Embedding):
    """A callable of the user's, from a list of texts to one vector each."""

    function: Callable[[list[str]], Any]

    @property
    def name(self) -> str:
        return getattr(self.function, "__name__", type(self.function).__name__)

    def __call__(self, said: Sequence[Said]) -> list[Float[Tensor, "_ d"]]:
        texts = [response.text for response, _ in said]
        return _rows(self.function(texts), len(texts))


def _no_mode(logits: Float[Tensor, "*rows v"], targets: Int[Tensor, "*rows"]) -> Float[Tensor, "*rows"]:
    """Stands for the inference mode where hidden states are all that is wanted."""
    return logits[..., 0]


def _rows(vectors: Any, count: int) -> list[Float[Tensor, "1 d"]]:
    """What an encoder returned for a list of texts, one row each."""
    stacked = torch.as_tensor(np.asarray(vectors.detach().cpu() if isinstance(vectors, Tensor) else vectors))
    if stacked.ndim != 2 or len(stacked) != count:
        raise ValueError(f"An embedding must give one vector per text, {count} here; got shape {tuple(stacked.shape)}.")
    return list(stacked.float()[:, None].unbind(0))


def _check_bound(embedding: Static | Contextual) -> None:
    if embedding.model is None:
        name = type(embedding).__name__
        raise ValueError(f"{name}() embeds by the model that answers, and none is at hand here: give {name}(model, tokenizer).")


def _ids(response: Response, tokenizer: Any) -> Int[Tensor, "_"]:
    """A response's ids; of one that is known as a text alone, those of the text."""
    ids = response.ids or tokenizer.encode(response.text, add_special_tokens=False)
    return torch.tensor(ids, dtype=torch.int64)


def _padded(
    rows: list[Int[Tensor, "_"]], readings: Sequence[Reading | None], device: torch.device
) -> tuple[Int[Tensor, "b l"], Int[Tensor, "b l"]]:
    """Rows padded on the right, and what may be seen of them."""
    ids = pad(rows)
    mask = torch.zeros_like(ids)
    for index, (row, reading) in enumerate(zip(rows, readings, strict=True)):
        mask[index, : len(row)] = 1
        if reading is not None and reading.seen is not None:
            mask[index, : len(reading.seen)] = torch.from_numpy(reading.seen).long()
    return ids.to(device), mask.to(device)
