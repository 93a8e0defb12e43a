"""Embeddings of responses by the model that gave them: its hidden states."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interpreto_mllm.engine.batches import Batches
from interpreto_mllm.engine.multimodal_inputs import MultimodalInputs
from interpreto_mllm.engine.preserved_state import preserved_state
from interpreto_mllm.engine.queries import pad
from interpreto_mllm.engine.text_submodel import text_submodel
from interpreto_mllm.engine.turns import turn
from interpreto_mllm.engine.whole_prompts import WholePrompts
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
        with turn(self.model), preserved_state(self.model):
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
        prompts = [self._prompt(input) for _, input in responses]
        if not _is_seq2seq(self.model):
            if self.after_prompt and self._processing.modalities:
                return [self._plain_states(input, i) for (_, input), i in zip(responses, ids, strict=True) if input is not None]
            rows = [torch.cat(pair) for pair in zip(prompts, ids, strict=True)]
            hidden = self._hidden(rows, [input for _, input in responses])
            return [row[len(p) : len(p) + len(i)].float().cpu() for row, p, i in zip(hidden, prompts, ids, strict=True)]
        if not self.after_prompt:
            return [row[: len(i)].float().cpu() for row, i in zip(self._encoded(ids), ids, strict=True)]
        hidden = self._decoded([input for _, input in responses if input is not None], ids)
        return [row[1 : 1 + len(i)].float().cpu() for row, i in zip(hidden, ids, strict=True)]

    def _prompt(self, input: ModelInput | None) -> Int[Tensor, "_"]:
        """What comes before the response."""
        if not self.after_prompt:
            begin = getattr(self._processing.tokenizer, "bos_token_id", None)
            return torch.tensor([] if begin is None else [begin], dtype=torch.int64)
        if input is None:
            raise ValueError(
                "Contextual(after_prompt=True) embeds each answer after the prompt it answered, and a result does not keep "
                "prompts: use Contextual() to rescore."
            )
        return torch.from_numpy(input.ids)

    def _plain_states(self, input: ModelInput, ids: Int[Tensor, "l"]) -> Float[Tensor, "l d"]:
        """States after a prompt with images and clips, by one call of the processor and one forward."""
        arguments = MultimodalInputs(self.model, self._processing, batch_size=1).plain_inputs(input, ids.tolist())
        return self.model(**arguments, output_hidden_states=True).hidden_states[-1][0, len(input.ids) :].float().cpu()

    def _hidden(self, rows: list[Int[Tensor, "_"]], inputs: list[ModelInput | None]) -> Float[Tensor, "b l d"]:
        """A causal model never looks to the right, so rows padded there need no mask but that of an occlusion."""
        ids, mask = padded(rows, inputs, self._device)
        if not self.after_prompt:
            beginning = ModelInput(self._prompt(None).numpy())
            types = MultimodalInputs(self.model, self._processing, batch_size=1).types([beginning] * len(rows), ids.shape[1])
            return self.model.base_model(input_ids=ids, **types).last_hidden_state
        prompts = [input for input in inputs if input is not None]
        if all(input.positions is None and (input.seen is None or mask.all()) for input in prompts):
            return self.model.base_model(input_ids=ids).last_hidden_state
        places = [input.places(len(row) - len(input.ids)) for row, input in zip(rows, prompts, strict=True)]
        positions = pad([torch.from_numpy(of_row) for of_row in places]).to(ids.device)
        return self.model.base_model(input_ids=ids, attention_mask=mask, position_ids=positions).last_hidden_state

    def _encoded(self, rows: list[Int[Tensor, "_"]]) -> Float[Tensor, "b l d"]:
        ids, mask = padded(rows, [None] * len(rows), self._device)
        return self.model.get_encoder()(input_ids=ids, attention_mask=mask).last_hidden_state

    def _decoded(self, inputs: list[ModelInput], rows: list[Int[Tensor, "_"]]) -> Float[Tensor, "b l d"]:
        """States of an encoder-decoder's decoder at its start token and at the responses."""
        start = torch.tensor([self.model.config.decoder_start_token_id])
        responses = pad([torch.cat([start, row]) for row in rows]).to(self._device)
        arguments = WholePrompts(self.model, self._processing, self.batch_size).inputs(inputs)
        return self.model(**arguments, decoder_input_ids=responses, output_hidden_states=True).decoder_hidden_states[-1]

    @property
    def _device(self) -> torch.device:
        return self.model.get_input_embeddings().weight.device


def _is_seq2seq(model: Any) -> bool:
    return bool(model.config.is_encoder_decoder)
