"""Encoder-decoders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from interpreto_mllm.adapters.base import OwnAnswer
from interpreto_mllm.adapters.generating import GeneratingAdapter
from interpreto_mllm.engine.decoding import Decoding
from interpreto_mllm.engine.encoders import Seq2SeqGenerator, Seq2SeqScorer, decoder_start
from interpreto_mllm.engine.queries import Generator, Mode, Score, Scorer
from interpreto_mllm.engine.whole_prompts import WholePrompts
from interpreto_mllm.games.targets import TokenTarget
from interpreto_mllm.prompts.model_input import ModelInput
from interpreto_mllm.prompts.tokens import special_mask


class Seq2SeqAdapter(GeneratingAdapter):
    """Encoder-decoders. The encoder reads the prompt, absent features dropped by default; the decoder reads the answer."""

    kind: ClassVar[str] = "an encoder-decoder"

    def own_answer(self, input: ModelInput) -> OwnAnswer[TokenTarget]:
        answer = self._generate(input)
        return OwnAnswer((self.target_of_response(answer.ids, answer.start),), answer.notes)

    def target_of_response(self, ids: list[int], start: Sequence[int] = ()) -> TokenTarget:
        """As a target. The special tokens around an answer, as in training, are read but not scored, and so is `start`."""
        if not start and ids and ids[0] == self.model.generation_config.decoder_start_token_id:
            ids = ids[1:]
        read = [*start[1:], *ids]
        special = special_mask(read, self.tokenizer)
        scored = [index for index in range(len(read)) if index >= len(start) - 1 and not special[index]]
        target = self._token_target(read[: scored[-1] + 1] if scored else [], scored)
        own = not start or start[0] == decoder_start(self.model)
        return target if own else replace(target, start=start[0])

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
