"""Answers of models that see and hear, and of encoder-decoders."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from interpreto_mllm.engine.decoding import Decoding
from interpreto_mllm.engine.encoders import _WholeReading
from interpreto_mllm.engine.generation import CausalGenerator, chosen, drawing, ended
from interpreto_mllm.engine.multimodal import MultimodalEngine
from interpreto_mllm.engine.queries import Query
from interpreto_mllm.prompts.model_input import ModelInput
from interpreto_mllm.prompts.processing import Processing


class MultimodalGenerator(CausalGenerator, MultimodalEngine):
    """Answers to prompts with images and clips, each encoded once where the loop of `CausalSpeaker` obeys the settings."""

    def _merges_exactly(self, query: Query) -> bool:
        return self.decoding.plain and super()._merges_exactly(query)

    def _following(self, asked: list[Query]) -> Int[Tensor, "*axes b"]:
        lengths = super()._following(asked)
        found = self._encodings(state for query in asked for state in query.reading.media)
        encodings = [[found[state.key] for state in query.reading.media] for query in asked]
        positions = self._positions(asked, encodings, 0, int(lengths.max()))
        if positions is None:
            return lengths
        return positions[..., torch.arange(len(asked), device=self._device), lengths - 1] + 1

    def _outright(self, query: Query) -> Int[Tensor, "1 t"]:
        return self._generated([query])

    def _written(self, reading: ModelInput) -> Bool[np.ndarray, "l"]:
        return ~np.isin(reading.ids, list(self.processing.soft_ids.values()))

    def _media(self, asked: list[Query], ids: Int[Tensor, "b l"]) -> dict[str, Tensor]:
        if not asked[0].reading.media:
            return {}
        media = {**self.processing.media([query.reading.media for query in asked]), **self.types(asked, ids.shape[1])}
        if any(query.reading.seen is not None for query in asked):
            media |= self._kept_positions({"input_ids": ids, "attention_mask": torch.ones_like(ids), **media})
        return media


class Seq2SeqGenerator(_WholeReading):
    """Answers under an encoder-decoder by `model.generate`, prompts of like length together; see `Speaker`."""

    def __init__(self, model: Any, decoding: Decoding, batch_size: int, share_prefixes: bool = True, *, processing: Processing):
        super().__init__(model, processing, chosen, batch_size if share_prefixes and not decoding.sampled else 1)
        self.decoding = decoding
        self.likelihoods: dict[tuple[bytes, tuple[int, ...]], Tensor] = {}

    def _answer(self, asked: list[Query]) -> Int[Tensor, "b t"]:
        with drawing(self.decoding, asked[0], self._device):
            whole = self.model.generate(**self.inputs([query.reading for query in asked]), **self.decoding.arguments)
        self.forwards += whole.shape[1] - 1
        self.tokens += whole[:, 1:].numel()
        return ended(whole[:, 1:], self.decoding)
