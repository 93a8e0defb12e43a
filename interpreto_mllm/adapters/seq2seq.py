"""Encoder-decoders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

from interpreto_mllm.adapters.base import OwnAnswer
from interpreto_mllm.adapters.generating import GeneratingAdapter
from interpreto_mllm.adapters.positions import decoder_positions
from interpreto_mllm.engine.decoding import Decoding
from interpreto_mllm.engine.encoders import Seq2SeqGenerator, Seq2SeqScorer, decoder_start
from interpreto_mllm.engine.queries import Generator, Mode, Score, Scorer
from interpreto_mllm.engine.reading import Seq2SeqReading
from interpreto_mllm.engine.whole_prompts import WholePrompts
from interpreto_mllm.games.targets import TokenTarget
from interpreto_mllm.prompts.model_input import ModelInput
from interpreto_mllm.prompts.tokens import special_mask

BEGINNINGS = ("decoder_input_ids", "prompt_ids", "decoder_start_token_id", "language", "task")
"""Arguments of `generate` that change what a decoder starts with."""


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

    @property
    def answer_positions(self) -> int | None:
        return decoder_positions(self.model)

    def positions_to_respond(self, input: ModelInput, tokens: int) -> int:
        return self._given_start + tokens

    def no_room_to_respond(self, input: ModelInput, tokens: int, needed: int) -> ValueError:
        return ValueError(
            f"What the decoder starts with ({needed - tokens} tokens) and an answer of up to {tokens} need {needed} positions, "
            f"the decoder has {self.answer_positions}: lower max_new_tokens, or shorten what it starts with (nothing is "
            "truncated)."
        )

    def check_room(self, input: ModelInput, target: TokenTarget | None = None) -> None:
        super().check_room(input)
        limit = self.answer_positions
        if target is not None and limit is not None and target.length > limit:
            before = target.length - len(target.scored)
            raise ValueError(
                f"The target ({len(target.scored)} tokens, and {before} around them) needs {target.length} positions, the "
                f"decoder has {limit}: shorten it (nothing is truncated)."
            )

    def generator(self, decoding: Decoding) -> Generator:
        rows = self.batching.rows if self.batching.share_prefixes and not decoding.sampled else 1
        return Seq2SeqGenerator(WholePrompts(self.model, self.processing, rows, self.counter), decoding)

    def _text_target(self, given: str, text: str, input: ModelInput) -> TokenTarget:
        ids = list(self.tokenizer(text_target=given)["input_ids"])
        if not self._begins_otherwise:
            return self.target_of_response(ids)
        begun = int(special_mask(ids, self.tokenizer).argmin())  # where the text begins, after what the tokenizer starts with
        return self.target_of_response(ids[begun:], self._start(input))

    def _ids_target(self, given: list[int], input: ModelInput) -> TokenTarget:
        if not self._begins_otherwise:
            return super()._ids_target(given, input)
        start = self._start(input)
        target = self._token_target([*start[1:], *given], list(range(len(start) - 1, len(start) - 1 + len(given))))
        return replace(target, start=start[0])

    @property
    def _begins_otherwise(self) -> bool:
        """Whether the user says what the decoder starts with."""
        return any(self.generation.arguments.get(name) is not None for name in BEGINNINGS)

    @property
    def _given_start(self) -> int:
        """How many tokens the decoder starts with, as far as that is known before it does."""
        begin, prompt = (self.generation.arguments.get(name) for name in ("decoder_input_ids", "prompt_ids"))
        if begin is not None:
            return begin.shape[-1] + int(begin.reshape(-1)[0] != decoder_start(self.model))
        return 1 if prompt is None else 1 + prompt.shape[-1]

    def _start(self, input: ModelInput) -> tuple[int, ...]:
        """What the decoder is given to start with under the user's arguments, found by generating one token."""
        return self._generate(input, 1).start

    def reading(self, scorer: Scorer[Any]) -> Seq2SeqReading:
        assert isinstance(scorer, Seq2SeqScorer)
        return Seq2SeqReading(scorer.prompts, scorer.mode, decoder_start(self.model))

    def _scorer(self, mode: Mode) -> Scorer[Score]:
        return Seq2SeqScorer(WholePrompts(self.model, self.processing, self.batching.rows, self.counter), mode)
