"""Decoder-only language models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from interpreto_mllm.adapters.base import OwnAnswer
from interpreto_mllm.adapters.generating import GeneratingAdapter
from interpreto_mllm.engine.decoding import Decoding
from interpreto_mllm.engine.device import input_device
from interpreto_mllm.engine.generation import CausalGenerator
from interpreto_mllm.engine.memory import Memory, PeakMemory
from interpreto_mllm.engine.multimodal import MultimodalRunner, MultimodalScorer
from interpreto_mllm.engine.multimodal_generation import MultimodalGenerator
from interpreto_mllm.engine.packed import PackedScorer
from interpreto_mllm.engine.queries import Generator, Mode, Score, Scorer
from interpreto_mllm.engine.reading import CausalReading
from interpreto_mllm.engine.runner import CausalRunner
from interpreto_mllm.games.targets import TokenTarget
from interpreto_mllm.prompts.model_input import ModelInput
from interpreto_mllm.prompts.occlusion import Attend, TextOcclusion
from interpreto_mllm.prompts.tokens import Tokens, special_mask

ATTENTION_LAYERS = {"full_attention", "sliding_attention", "chunked_attention"}
"""Layer types of configs that obey the attention mask."""


class CausalAdapter(GeneratingAdapter):
    """Decoder-only language models. An absent feature is dropped by default, as if it had not been written."""

    kind: ClassVar[str] = "a language model"
    positions_given: ClassVar[bool] = True

    def own_answer(self, input: ModelInput) -> OwnAnswer[TokenTarget]:
        answer = self._generate(input)
        return OwnAnswer((self.target_of_response(answer.ids),), answer.notes)

    def target_of_response(self, ids: list[int], start: Sequence[int] = ()) -> TokenTarget:
        special = special_mask(ids, self.tokenizer)
        while ids and special[len(ids) - 1]:
            ids = ids[:-1]
        if not ids:
            raise ValueError("The model answered nothing to this prompt: give a target to explain.")
        return self._token_target(ids, list(range(len(ids))))

    def positions(self, input: ModelInput, target: TokenTarget) -> int:
        return len(input.ids) + target.length

    def positions_to_respond(self, input: ModelInput, tokens: int) -> int:
        return len(input.ids) + tokens

    def generator(self, decoding: Decoding) -> Generator:
        if self.processing.modalities:
            return MultimodalGenerator(self._multimodal_runner(), decoding)
        return CausalGenerator(self._runner(), decoding)

    def peak_memory(self, input: ModelInput) -> PeakMemory:
        batching, device = self.batching, input_device(self.model)
        return Memory.of(self.model).peak(batching.rows, len(input.ids), device, batching.share_prefixes)

    def check_occlusion(self, occlusion: TextOcclusion) -> None:
        layers = set(getattr(self.model.config.get_text_config(), "layer_types", None) or ()) - ATTENTION_LAYERS
        if isinstance(occlusion, Attend) and (layers or getattr(self.model, "_is_stateful", False)):
            other = sorted(kind for kind in layers if "attention" in kind)
            kinds = f"attention of a kind ({', '.join(other)})" if other else "layers without attention"
            raise ValueError(
                f"{type(self.model).__name__} has {kinds} that may read tokens which the attention mask hides, or "
                "choose by them what is read: use Drop() or Replace(...)."
            )
        super().check_occlusion(occlusion)

    def _scorer(self, mode: Mode) -> Scorer[Score]:
        if self.processing.modalities:
            return MultimodalScorer(self._multimodal_runner(), mode)
        return PackedScorer(self._runner(), mode)

    def reading(self, scorer: Scorer[Any]) -> CausalReading:
        assert isinstance(scorer, (PackedScorer, MultimodalScorer))
        runner = scorer.runner
        return CausalReading(runner.causal if isinstance(runner, MultimodalRunner) else runner, scorer.mode)

    def _runner(self) -> CausalRunner:
        return CausalRunner(self.model, self.batching.rows, self.batching.share_prefixes, self.counter)

    def _multimodal_runner(self) -> MultimodalRunner:
        batching = self.batching
        return MultimodalRunner(self.model, self.processing, batching.rows, batching.share_prefixes, self.counter)

    def _text_target(self, given: str, text: str, input: ModelInput) -> TokenTarget:
        ids = self._continuation(given, text, input)
        return self._token_target(ids, list(range(len(ids))))

    def _continuation(self, given: str, text: str, input: ModelInput) -> list[int]:
        """The target's ids as they continue the prompt: tokenised with it where that leaves the prompt's ids as they are."""
        for special in (False, True):
            joint = Tokens.of_text(text + given, self.tokenizer, add_special_tokens=special).ids
            if len(joint) > len(input.ids) and (joint[: len(input.ids)] == input.ids).all():
                tail = joint[len(input.ids) :].tolist()
                if not special_mask(tail, self.tokenizer).any():
                    return tail
        return self.tokenizer.encode(given, add_special_tokens=False)
