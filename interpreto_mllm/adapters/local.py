"""What the adapters of transformers models have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch

from interpreto_mllm.adapters.base import Batching, Generation, ModelAdapter, T
from interpreto_mllm.adapters.positions import check_highest_position, check_positions, max_positions
from interpreto_mllm.engine.counter import ForwardCounter
from interpreto_mllm.engine.findings import finding
from interpreto_mllm.engine.masked_trial import reads_masked
from interpreto_mllm.engine.preserved_state import preserved_state
from interpreto_mllm.engine.probes import counts_positions_by_mask, reads_masked_tokens
from interpreto_mllm.engine.queries import Mode, Scorer
from interpreto_mllm.engine.reading import Reading
from interpreto_mllm.engine.turns import TurnTakingScorer, turn
from interpreto_mllm.engine.vocabulary import vocabulary_size
from interpreto_mllm.games.distributions import Predictions, divergence
from interpreto_mllm.games.game import ModelGame
from interpreto_mllm.games.modes import InferenceModes, Joint, mode_name, on_copies
from interpreto_mllm.games.targets import Question
from interpreto_mllm.prompts.model_input import ModelInput
from interpreto_mllm.prompts.occlusion import Attend, Drop, TextOcclusion
from interpreto_mllm.prompts.processing import Processing
from interpreto_mllm.prompts.prompt import Prompt
from interpreto_mllm.prompts.tokens import special_ids


class LocalAdapter(ModelAdapter[T]):
    """A model of transformers whose outputs are scored.

    Args:
        model: it.
        processing: its tokenizer or processor.
        mode: the inference mode.
        generation: how it generates its own answer.
        batching: of its forward passes.

    Raises:
        TypeError, ValueError: for a tokenizer that is not the model's, or a mode that does not work with it.
    """

    positions_given: ClassVar[bool] = False
    """Whether the model is given the positions of the tokens that it reads."""

    def __init__(self, model: Any, processing: Processing, mode: Mode, generation: Generation, batching: Batching):
        super().__init__(model, processing)
        self._check_tokenizer()
        self.counter = ForwardCounter()
        self.generation, self.batching, self.mode = generation, batching, mode
        self.scorer = self._scorer(on_copies(mode))

    @abstractmethod
    def _scorer(self, mode: Mode) -> Scorer[Any]:
        """What scores targets under this mode."""

    @abstractmethod
    def reading(self, scorer: Scorer[Any]) -> Reading[Any]:
        """How the model reads one question of this scorer in a plain forward, for gradients."""

    @abstractmethod
    def positions(self, input: ModelInput, target: T) -> int:
        """Positions that an input and a target take together."""

    def scorer_of_call(self) -> Scorer[Any]:
        return TurnTakingScorer(self.scorer, self.model)

    def games(self, prompts: Sequence[Prompt], questions: Sequence[Question[T]]) -> list[ModelGame]:
        made = super().games(prompts, questions)
        averaged = Joint.of(mode_name(self.mode)) in (Joint.MEAN, Joint.GEOMETRIC_MEAN)
        averaged &= self.mode is not InferenceModes.MEAN_LOG_SOFTMAX  # of which means have differences
        if averaged and any(isinstance(column, tuple) for question in questions for column in question.columns):
            raise ValueError(f"A Contrast has no meaning under {mode_name(self.mode)}: use LOG_SOFTMAX, SOFTMAX or LOGITS.")
        return [self._compared_with_whole(game) for game in made] if self.mode is InferenceModes.KL else made

    def _compared_with_whole(self, game: ModelGame) -> ModelGame:
        """The game of the divergence from what the model predicts after the whole prompt, which is asked here."""
        [[whole, *_]] = game.inputs(torch.ones(1, game.n, dtype=torch.bool))
        predictions = Predictions()
        found = divergence(self._scorer(predictions), predictions, game.question, whole)
        return replace(game, scorer=self._scorer(found))

    @cached_property
    def max_positions(self) -> int | None:
        """How many positions the model has, None where there is no limit."""
        return max_positions(self.model)

    def check_room(self, input: ModelInput, target: T | None = None) -> None:
        needed = len(input.ids) if target is None else self.positions(input, target)
        check_highest_position(self.model, input, max(needed - len(input.ids), 0))
        limit = self.max_positions
        if limit is None:
            return
        if len(input.ids) > limit:
            raise ValueError(
                f"The prompt has {len(input.ids)} tokens, the model reads {limit}: shorten it{_fewer_frames(input)} (nothing "
                "is truncated)."
            )
        if target is not None and needed > limit:
            raise ValueError(
                f"The prompt ({len(input.ids)} tokens) and the target ({target.length}) need {needed} positions, "
                f"the model has {limit}: shorten one of them (nothing is truncated)."
            )

    def check_occlusion(self, occlusion: TextOcclusion) -> None:
        if not (self.processing.reads_text or isinstance(occlusion, Drop)):
            raise ValueError(
                "This model reads no text, but `occlusion` is for texts: use image_occlusion, audio_occlusion or "
                "video_occlusion."
            )
        if not isinstance(occlusion, Attend):
            return
        model, given = self.model, (self.positions_given, frozenset(self._special_ids()))
        if finding(model, ("closes up", *given), lambda: counts_positions_by_mask(model, *given)):
            raise ValueError(
                f"{type(model).__name__} counts positions by the attention mask, so Attend() would shift the tokens "
                "after those that it masks: use Drop() or Replace(...)."
            )
        if finding(model, ("reads masked", *given), lambda: reads_masked_tokens(model, *given)):
            raise reads_masked(model)

    def check_ids(self, input: ModelInput) -> None:
        check_positions(self.model, input)
        written = input.ids[~np.isin(input.ids, list(self.processing.soft_ids.values()))]
        if not len(written):
            return
        vocabulary = vocabulary_size(self.model)
        if vocabulary is not None and int(written.max()) >= vocabulary:
            raise ValueError(f"The prompt has token id {int(written.max())}, the model's ids lie in [0, {vocabulary}).")

    def preserved_state(self) -> AbstractContextManager[None]:
        return preserved_state(self.model, self.tokenizer)

    def turn(self) -> AbstractContextManager[None]:
        return turn(self.model)

    def _special_ids(self) -> set[int]:
        """Token ids that stand for no text."""
        return {*special_ids(self.tokenizer), *self.processing.soft_ids.values()}

    def _check_tokenizer(self) -> None:
        tokenizer = self.tokenizer
        if tokenizer is None:
            if not self.processing.modalities:
                given = type(self.processing.processor).__name__
                raise TypeError(f"tokenizer must be the model's tokenizer, or its processor; got {given}.")
            return
        known, vocabulary = len(tokenizer), vocabulary_size(self.model)
        if vocabulary is None:
            return
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


def _fewer_frames(input: ModelInput) -> str:
    """How to shorten a prompt with a video, if it is one."""
    watches = any(state.medium.modality == "video" for state in input.media)
    return ', as by {"path": ..., "num_frames": 16} for its video' if watches else ""
