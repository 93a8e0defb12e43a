"""Encoder-decoders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from interpreto_mllm.adapters.generating import GeneratingAdapter
from interpreto_mllm.engine.encoders import Seq2SeqScorer
from interpreto_mllm.engine.queries import Mode, Score, Scorer
from interpreto_mllm.engine.whole_prompts import WholePrompts
from interpreto_mllm.games.targets import Target, TokenTarget, is_ids
from interpreto_mllm.prompts.model_input import ModelInput
from interpreto_mllm.prompts.tokens import special_mask


class Seq2SeqAdapter(GeneratingAdapter):
    """Encoder-decoders. The encoder reads the prompt, absent parts dropped by default; the decoder is fed the answer."""

    def scorer(self, mode: Mode, batch_size: int, share_prefixes: bool) -> Scorer[Score]:
        return Seq2SeqScorer(WholePrompts(self.model, self.processing, batch_size, self.counter), mode)

    def answer(self, target: Any, text: str, reading: ModelInput) -> TokenTarget:
        if is_ids(target):
            ids = self._ids(target)
            return self._answer(ids, list(range(len(ids))))
        if not isinstance(target, str):
            raise TypeError(f"A target of an encoder-decoder is a text, token ids, a Contrast or None; got {target!r}.")
        return self.spoken(list(self.tokenizer(text_target=target)["input_ids"]))

    def own_answer(self, reading: ModelInput, generate: Mapping[str, Any]) -> TokenTarget:
        return self.spoken(self._generate(reading, generate)[1:])

    def length(self, reading: ModelInput, target: Target) -> int:
        return max(len(reading.ids), target.length)

    def spoken(self, ids: list[int]) -> TokenTarget:
        """The special tokens that the model was trained to say around an answer are read, not scored."""
        if ids and ids[0] == self.model.generation_config.decoder_start_token_id:
            ids = ids[1:]
        special = special_mask(ids, self.tokenizer)
        scored = [index for index in range(len(ids)) if not special[index]]
        return self._answer(ids[: scored[-1] + 1] if scored else [], scored)
