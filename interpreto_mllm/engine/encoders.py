"""Models that read the whole prompt before they speak: sequence classifiers and encoder-decoders."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from interpreto_mllm.engine.batches import Batches
from interpreto_mllm.engine.device import input_device
from interpreto_mllm.engine.queries import Mode, Query, Scored, pad
from interpreto_mllm.prompts.model_input import ModelInput
from interpreto_mllm.prompts.processing import Processing

logger = logging.getLogger(__name__)


class _WholeReading:
    """Batches of like length, padded on the right and masked; what the model is asked is the subclass's.

    Images and clips go together only where they have one size, so that no padding can change what is seen or heard.
    """

    def __init__(self, model: Any, processing: Processing, mode: Mode, batch_size: int):
        self.model, self.processing, self.mode = model, processing, mode
        self.batches = Batches(batch_size)
        self.forwards = self.tokens = 0
        self._device = input_device(model)
        padding = getattr(model.config, "pad_token_id", None)
        self._padding = 0 if padding is None else int(padding)
        self._segments = "token_type_ids" in inspect.signature(model.forward).parameters

    def score(self, queries: list[Query]) -> Iterator[Scored]:
        """Values of each query, batch by batch."""
        alike: dict[tuple, list[int]] = {}
        for index, query in enumerate(queries):
            alike.setdefault(tuple(state.size for state in query.reading.media), []).append(index)
        for group in alike.values():
            yield from self.batches.run(
                group,
                lambda batch: self._answer([queries[index] for index in batch]),
                order=lambda index: len(queries[index].reading.ids),
            )

    def _answer(self, asked: list[Query]) -> Float[Tensor, "b t"]:
        raise NotImplementedError

    def inputs(self, readings: list[ModelInput]) -> dict[str, Shaped[Tensor, "..."]]:
        """What the model is given for these readings."""
        self.forwards += 1
        if readings[0].media:
            return self.processing.media([reading.media for reading in readings])
        ids = pad([torch.from_numpy(reading.ids) for reading in readings], self._padding)
        mask = torch.zeros_like(ids)
        for row, reading in enumerate(readings):
            mask[row, : len(reading.ids)] = 1 if reading.seen is None else torch.from_numpy(reading.seen)
        inputs = {"input_ids": ids, "attention_mask": mask}
        if self._segments and any(reading.segments is not None for reading in readings):
            zeros = [torch.zeros(len(reading.ids), dtype=torch.int64) for reading in readings]
            rows = [z if r.segments is None else torch.from_numpy(r.segments) for z, r in zip(zeros, readings, strict=True)]
            inputs["token_type_ids"] = pad(rows)
        self.tokens += ids.numel()
        return {name: tensor.to(self._device) for name, tensor in inputs.items()}


class ClassifierEngine(_WholeReading):
    """Scores classes under a sequence classifier; `Query.target` holds class indices.

    A classifier that has no padding token and pools the last token can only be run on rows of equal length.
    """

    def __init__(self, model: Any, processing: Processing, mode: Mode, batch_size: int):
        super().__init__(model, processing, mode, batch_size)
        pools_last = getattr(model.config, "pad_token_id", None) is None and not getattr(model.config, "cls_token_id", None)
        if pools_last and "last_non_pad_token" in inspect.getsource(type(model).forward) and batch_size > 1:
            logger.info("%s has no padding token: scoring one row at a time.", type(model).__name__)
            self.batches = Batches(1)

    def _answer(self, asked: list[Query]) -> Float[Tensor, "b t"]:
        logits = self.model(**self.inputs([query.reading for query in asked])).logits.float()
        classes = pad([list(query.target) for query in asked]).to(logits.device)
        repeated = logits[:, None, :].expand(-1, classes.shape[1], -1)
        return self.mode(repeated, classes).float().cpu()


class Seq2SeqEngine(_WholeReading):
    """Scores answers under an encoder-decoder; the answer's own beginning is fed to the decoder, shifted by its start token."""

    def __init__(self, model: Any, processing: Processing, mode: Mode, batch_size: int):
        super().__init__(model, processing, mode, batch_size)
        start = getattr(model.config, "decoder_start_token_id", None)
        if start is None:
            start = getattr(model.generation_config, "decoder_start_token_id", None)
        if start is None:
            raise ValueError("The model's config has no decoder_start_token_id, so its decoder cannot be started.")
        self._start = int(start)

    def _answer(self, asked: list[Query]) -> Float[Tensor, "b t"]:
        decoder = pad([[self._start, *query.target[:-1]] for query in asked], self._padding).to(self._device)
        self.tokens += decoder.numel()
        logits = self.model(**self.inputs([query.reading for query in asked]), decoder_input_ids=decoder).logits.float()
        return self.mode(logits, pad([list(query.target) for query in asked]).to(logits.device)).float().cpu()
