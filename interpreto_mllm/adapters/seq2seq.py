"""Encoder-decoders."""

from __future__ import annotations

from typing import ClassVar

from interpreto_mllm.adapters.base import OwnAnswer
from interpreto_mllm.adapters.generating import GeneratingAdapter
from interpreto_mllm.engine.decoding import Decoding
from interpreto_mllm.engine.encoders import Seq2SeqGenerator, Seq2SeqScorer
from interpreto_mllm.engine.queries import Generator, Mode, Score, Scorer
from interpreto_mllm.engine.whole_prompts import WholePrompts
from interpreto_mllm.games.targets import TokenTarget
from interpreto_mllm.prompts.model_input import ModelInput
from interpreto_mllm.prompts.tokens import special_mask


class Seq2SeqAdapter(GeneratingAdapter):
    """Encoder-decoders. The encoder reads the prompt, absent features dropped by default; the decoder reads the answer."""

    kind: ClassVar[str] = "an encoder-decoder"

    def own_answer(self, input: ModelInput) -> OwnAnswer[TokenTarget]:
        return OwnAnswer((self.target_of_response(self._generate(input)[1:]),))

    def target_of_response(self, ids: list[int]) -> TokenTarget:
        """As a target. The special tokens around an answer, as in training, are read but not scored."""
        if ids and ids[0] == self.model.generation_config.decoder_start_token_id:
            ids = ids[1:]
        special = special_mask(ids, self.tokenizer)
        scored = [index for index in range(len(ids)) if not special[index]]
        return self._token_target(ids[: scored[-1] + 1] if scored else [], scored)

    def positions(self, input: ModelInput, target: TokenTarget) -> int:
        return max(len(input.ids), target.length)

    def positions_to_respond(self, input: ModelInput, tokens: int) -> int:
        return max(len(input.ids), tokens + 1)

    def generator(self, decoding: Decoding) -> Generator:
        rows = self.batching.rows if self.batching.share_prefixes and not decoding.sampled else 1
        return Seq2SeqGenerator(WholePrompts(self.model, self.processing, rows, self.counter), decoding)

    def _text_target(self, given: str, text: str, input: ModelInput) -> TokenTarget:
        return self.target_of_response(list(self.tokenizer(text_target=given)["input_ids"]))

    def _scorer(self, mode: Mode) -> Scorer[Score]:
        return Seq2SeqScorer(WholePrompts(self.model, self.processing, self.batching.rows, self.counter), mode)
