"""Answers of models that see and hear, and of encoder-decoders."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Bool, Int
from torch import Tensor

from interpreto_mllm.engine.decoding import Decoding
from interpreto_mllm.engine.encoder import _WholeReading
from interpreto_mllm.engine.generation import CausalSpeaker, chosen, drawing, ended
from interpreto_mllm.engine.multimodal import MultimodalEngine
from interpreto_mllm.engine.query import Query
from interpreto_mllm.prompts.occlusion import Reading
from interpreto_mllm.prompts.processing import Processing


class MultimodalSpeaker(CausalSpeaker, MultimodalEngine):
    """Answers to prompts with images and clips, each encoded once; by `model.generate` where positions are the model's own."""

    def _merges_exactly(self, query: Query) -> bool:
        placed = any(encoding.placed for encoding in self._encodings(query.reading.media).values())
        return self.decoding.plain and not placed and super()._merges_exactly(query)

    def _outright(self, query: Query) -> Int[Tensor, "1 t"]:
        return self._generated([query])

    def _written(self, reading: Reading) -> Bool[np.ndarray, "l"]:
        return ~np.isin(reading.ids, list(self.processing.soft_ids.values()))

    def _media(self, asked: list[Query], length: int) -> dict[str, Tensor]:
        if not asked[0].reading.media:
            return {}
        return {**self.processing.media([query.reading.media for query in asked]), **self.types(asked, length)}


class Seq2SeqSpeaker(_WholeReading):
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
