"""Embeddings of responses by the model that gave them: its hidden states."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interpreto_mllm.engine.batches import Batches
from interpreto_mllm.engine.encoders import Seq2SeqEngine
from interpreto_mllm.engine.multimodal import MultimodalEngine
from interpreto_mllm.engine.preserved_state import preserved_state
from interpreto_mllm.engine.queries import Query, pad
from interpreto_mllm.engine.text_submodel import text_submodel
from interpreto_mllm.prompts.model_input import ModelInput
from interpreto_mllm.prompts.processing import Processing
from interpreto_mllm.similarity.embeddings import Embedding, PromptedResponse, check_bound, ids_of, padded


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
        object.__setattr__(self, "model", text_submodel(self.model))

    @property
    def name(self) -> str:
        return "Contextual after the prompt" if self.after_prompt else "Contextual"

    def key(self, one: PromptedResponse) -> Hashable:
        return (one[0], one[1].key) if self.after_prompt and one[1] is not None else one[0]

    def bound(self, model: Any, tokenizer: Any) -> Contextual:
        bound = self if self.model is not None else replace(self, model=model, tokenizer=tokenizer)
        known, name = bound.model is not None and bound.tokenizer is not None, type(bound.model).__name__
        if known and not self.after_prompt and _is_seq2seq(bound.model) and not bound._processing.reads_text:
            raise ValueError(
                f"Contextual() lets the encoder read each answer, and that of {name} reads no text: use "
                "Contextual(after_prompt=True), Static() or External(...)."
            )
        return bound

    @property
    def _processing(self) -> Processing:
        return Processing(self.tokenizer, self.model)

    def __call__(self, responses: Sequence[PromptedResponse]) -> list[Float[Tensor, "_ d"]]:
        check_bound(self)
        states: list[Tensor] = [torch.empty(0)] * len(responses)
        alone = self.after_prompt and bool(self._processing.modalities)
        with preserved_state(self.model):
            work = Batches(1 if alone else self.batch_size).run(
                range(len(responses)),
                lambda batch: self._batch([responses[index] for index in batch]),
                lambda i: self._length(responses[i]),
            )
            for batch, embedded in work:
                for index, one in zip(batch, embedded, strict=True):
                    states[index] = one
        return states

    def _length(self, one: PromptedResponse) -> int:
        return len(one[0].ids) + len(one[0].text) + (0 if one[1] is None else len(one[1].ids))

    def _batch(self, responses: list[PromptedResponse]) -> list[Float[Tensor, "_ d"]]:
        words = self._processing.tokenizer
        ids = [ids_of(response, words) for response, _ in responses]
        prompts = [self._prompt(reading) for _, reading in responses]
        if not _is_seq2seq(self.model):
            if self.after_prompt and self._processing.modalities:
                return [
                    self._outright(reading, i) for (_, reading), i in zip(responses, ids, strict=True) if reading is not None
                ]
            hidden = self._hidden([torch.cat(pair) for pair in zip(prompts, ids, strict=True)], [r for _, r in responses])
            return [row[len(p) : len(p) + len(i)].float().cpu() for row, p, i in zip(hidden, prompts, ids, strict=True)]
        if not self.after_prompt:
            return [row[: len(i)].float().cpu() for row, i in zip(self._encoded(ids), ids, strict=True)]
        start = torch.tensor([self.model.config.decoder_start_token_id])
        spoken = pad([torch.cat([start, one]) for one in ids]).to(self._device)
        engine = Seq2SeqEngine(self.model, self._processing, _no_mode, self.batch_size)
        inputs = engine.inputs([reading for _, reading in responses if reading is not None])
        hidden = self.model(**inputs, decoder_input_ids=spoken, output_hidden_states=True).decoder_hidden_states[-1]
        return [row[1 : 1 + len(i)].float().cpu() for row, i in zip(hidden, ids, strict=True)]

    def _prompt(self, reading: ModelInput | None) -> Int[Tensor, "_"]:
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

    def _outright(self, reading: ModelInput, ids: Int[Tensor, "k"]) -> Float[Tensor, "k d"]:
        """States after a prompt with images and clips, by one call of the processor and one forward."""
        engine = MultimodalEngine(self.model, _no_mode, 1, processing=self._processing)
        arguments = engine.outright(Query(reading, (*ids.tolist(), 0)))
        return self.model(**arguments, output_hidden_states=True).hidden_states[-1][0, len(reading.ids) :].float().cpu()

    def _hidden(self, rows: list[Int[Tensor, "_"]], readings: list[ModelInput | None]) -> Float[Tensor, "b l d"]:
        """A causal model never looks to the right, so rows padded there need no mask but that of an occlusion."""
        ids, mask = padded(rows, readings, self._device)
        if not self.after_prompt:
            engine = MultimodalEngine(self.model, _no_mode, 1, processing=self._processing)
            types = engine.types([Query(ModelInput(self._prompt(None).numpy()), (0,))] * len(rows), ids.shape[1])
            return self.model.base_model(input_ids=ids, **types).last_hidden_state
        if mask.all() or not any(reading is not None and reading.seen is not None for reading in readings):
            return self.model.base_model(input_ids=ids).last_hidden_state
        positions = torch.arange(ids.shape[1], device=ids.device)[None].expand(len(ids), -1)
        return self.model.base_model(input_ids=ids, attention_mask=mask, position_ids=positions).last_hidden_state

    def _encoded(self, rows: list[Int[Tensor, "_"]]) -> Float[Tensor, "b l d"]:
        ids, mask = padded(rows, [None] * len(rows), self._device)
        return self.model.get_encoder()(input_ids=ids, attention_mask=mask).last_hidden_state

    @property
    def _device(self) -> torch.device:
        return self.model.get_input_embeddings().weight.device


def _is_seq2seq(model: Any) -> bool:
    return bool(model.config.is_encoder_decoder)


def _no_mode(logits: Float[Tensor, "*rows v"], targets: Int[Tensor, "*rows"]) -> Float[Tensor, "*rows"]:
    """Stands for the inference mode where hidden states are all that is wanted."""
    return logits[..., 0]
