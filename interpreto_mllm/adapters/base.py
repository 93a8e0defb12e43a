"""Kinds of model: what each is asked, how its targets are read, and which engine scores it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from interpreto_mllm.engine.counter import ForwardCounter
from interpreto_mllm.engine.preserved_state import preserved_state
from interpreto_mllm.engine.probes import counts_positions_by_mask
from interpreto_mllm.engine.queries import Mode, Scorer
from interpreto_mllm.games.game import ModelGame
from interpreto_mllm.games.targets import Target
from interpreto_mllm.prompts.model_input import ModelInput
from interpreto_mllm.prompts.occlusion import Attend, Drop, TextOcclusion
from interpreto_mllm.prompts.processing import Processing
from interpreto_mllm.prompts.prompt import Prompt
from interpreto_mllm.prompts.reader import PromptReader
from interpreto_mllm.prompts.tokens import special_ids


class ModelAdapter(ABC):
    """What the explainer must know of a kind of model.

    `unit` names what its targets are made of, `ids_are_one` tells whether a list of ints is a single target, `tells_positions`
    whether the engine tells the model which positions are read; `draws` is how often a coalition is asked, and `answer_tokens`
    the most that is said to it.
    """

    unit = "token"
    ids_are_one = True
    tells_positions = False
    draws = 1
    answer_tokens = 0

    def __init__(self, model: Any, processing: Processing):
        self.model, self.processing, self.tokenizer = model, processing, processing.tokenizer
        self.counter = ForwardCounter()

    def default_occlusion(self) -> TextOcclusion:
        """How a part is taken out when the caller does not say."""
        return Drop()

    @abstractmethod
    def scorer(self, mode: Mode, batch_size: int, share_prefixes: bool) -> Scorer[Any]:
        """What scores targets under this kind of model."""

    def session(self, scorer: Scorer[Any]) -> Scorer[Any]:
        """What scores the targets of one call: this scorer, or one that remembers what was generated in the call."""
        return scorer

    @abstractmethod
    def answer(self, target: Any, text: str, reading: ModelInput) -> Target:
        """A target, given the prompt that it answers; a ValueError or TypeError tells what is accepted."""

    @abstractmethod
    def own_answer(self, reading: ModelInput, generate: Mapping[str, Any]) -> Target:
        """What the model itself answers to the whole prompt."""

    def read_tokens(self, reading: ModelInput) -> int:
        """Tokens in a reading."""
        return len(reading.ids)

    def room(self) -> int | None:
        """How many positions the model can read, if it has a limit."""
        limit = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        return int(limit) if isinstance(limit, int) and limit > 0 else None

    def length(self, reading: ModelInput, target: Target) -> int:
        """Positions that a reading and a target take together."""
        return len(reading.ids) + target.length

    def check_occlusion(self, occlusion: TextOcclusion) -> None:
        """Raise a ValueError where this model cannot play with the occlusion."""
        if not (self.processing.reads_text or isinstance(occlusion, Drop)):
            raise ValueError(
                "This model reads no text, and `occlusion` is of texts: use image_occlusion or audio_occlusion instead."
            )
        if isinstance(occlusion, Attend) and counts_positions_by_mask(self.model, self.tells_positions, self._special_ids()):
            raise ValueError(
                f"{type(self.model).__name__} counts positions by the attention mask, so what Attend() masks would close up "
                "instead of keeping its place: use Drop() or Replace(...)."
            )

    def _special_ids(self) -> set[int]:
        """Token ids that stand for no text."""
        return {*special_ids(self.tokenizer), *self.processing.soft_ids.values()}

    def check_tokenizer(self) -> None:
        """Raise a TypeError or ValueError where the tokenizer is not the model's."""
        tokenizer = self.tokenizer
        if tokenizer is None:
            if not self.processing.modalities:
                given = type(self.processing.processor).__name__
                raise TypeError(f"tokenizer must be the model's tokenizer, or its processor; got {given}.")
            return
        known, vocabulary = len(tokenizer), self.model.get_input_embeddings().weight.shape[0]
        if known - sum(soft >= vocabulary for soft in self.processing.soft_ids.values()) > vocabulary:
            raise ValueError(
                f"The tokenizer has {known} tokens but the model's embedding only {vocabulary}: it is not this model's "
                "tokenizer. (If you added tokens, resize the model's embedding.)"
            )
        for config in (self.model.config, getattr(self.model, "generation_config", None)):
            ends = getattr(config, "eos_token_id", None)
            for end in ends if isinstance(ends, (list, tuple)) else [ends]:
                if end is not None and known <= end < vocabulary and end not in tokenizer.all_special_ids:
                    raise ValueError(
                        f"The model ends its answers with token id {end}, which the tokenizer ({known} tokens) does not "
                        "have: it is not this model's tokenizer."
                    )

    def check_ids(self, reading: ModelInput) -> None:
        """Raise a ValueError where the model does not have these ids."""
        written = reading.ids[~np.isin(reading.ids, list(self.processing.soft_ids.values()))]
        if not len(written):
            return
        vocabulary = len(self.model.get_input_embeddings().weight)
        if int(written.max()) >= vocabulary:
            raise ValueError(f"The prompt has token id {int(written.max())}, the model's ids lie in [0, {vocabulary}).")

    def reader(self, *parts: Any) -> PromptReader:
        """What reads inputs, from the parts of `PromptReader` after the processing."""
        return PromptReader(self.processing, *parts)

    def preserved_state(self) -> AbstractContextManager[None]:
        """A context in which the model may be used and after which it is as it was."""
        return preserved_state(self.model, self.tokenizer)

    def game(self, prompt: Prompt, *parts: Any) -> ModelGame:
        """The game of a prompt, from the parts of `ModelGame`."""
        return ModelGame(prompt, *parts)
