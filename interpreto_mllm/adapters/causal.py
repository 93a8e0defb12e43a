"""Decoder-only language models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from interpreto_mllm.adapters.generating import GeneratingAdapter
from interpreto_mllm.engine.multimodal import MultimodalRunner, MultimodalScorer
from interpreto_mllm.engine.packed import PackedScorer
from interpreto_mllm.engine.queries import Mode, Score, Scorer
from interpreto_mllm.engine.runner import CausalRunner
from interpreto_mllm.games.targets import TokenTarget, is_ids
from interpreto_mllm.prompts.model_input import ModelInput
from interpreto_mllm.prompts.occlusion import Attend, TextOcclusion
from interpreto_mllm.prompts.tokens import Tokens, special_mask


class CausalAdapter(GeneratingAdapter):
    """Decoder-only language models. An absent part is dropped by default, as if it had not been written."""

    tells_positions = True

    def scorer(self, mode: Mode, batch_size: int, share_prefixes: bool) -> Scorer[Score]:
        if self.processing.modalities:
            runner = MultimodalRunner(self.model, self.processing, batch_size, share_prefixes, self.counter)
            return MultimodalScorer(runner, mode)
        return PackedScorer(CausalRunner(self.model, batch_size, share_prefixes, self.counter), mode)

    def answer(self, target: Any, text: str, reading: ModelInput) -> TokenTarget:
        if is_ids(target):
            ids = self._ids(target)
        elif isinstance(target, str):
            ids = self._continuation(target, text, reading)
        else:
            raise TypeError(f"A target of a language model is a text, token ids, a Contrast or None; got {target!r}.")
        return self._answer(ids, list(range(len(ids))))

    def own_answer(self, reading: ModelInput, generate: Mapping[str, Any]) -> TokenTarget:
        return self.spoken(self._generate(reading, generate)[len(reading.ids) :])

    def spoken(self, ids: list[int]) -> TokenTarget:
        ids = self._without_ending(ids)
        return self._answer(ids, list(range(len(ids))))

    def check_occlusion(self, occlusion: TextOcclusion) -> None:
        config = self.model.config.get_text_config()
        kinds = set(getattr(config, "layer_types", None) or ())
        recurrent = bool(kinds - {"full_attention", "sliding_attention", "chunked_attention"})
        stateful = getattr(self.model, "_is_stateful", False)
        if isinstance(occlusion, Attend) and (recurrent or stateful):
            raise ValueError(
                f"{type(self.model).__name__} has layers without attention, which read a token whatever the attention mask "
                "says: use Drop() or Replace(...)."
            )
        super().check_occlusion(occlusion)

    def _continuation(self, target: str, text: str, reading: ModelInput) -> list[int]:
        """The target's ids as they continue the prompt: tokenised with it where that leaves the prompt's ids as they are."""
        for special in (False, True):
            joint = Tokens.of_text(text + target, self.tokenizer, add_special_tokens=special).ids
            if len(joint) > len(reading.ids) and (joint[: len(reading.ids)] == reading.ids).all():
                tail = joint[len(reading.ids) :].tolist()
                if not special_mask(tail, self.tokenizer).any():
                    return tail
        return self.tokenizer.encode(target, add_special_tokens=False)
