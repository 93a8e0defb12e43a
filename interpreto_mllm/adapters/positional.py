"""Models with an output for each position of a text: masked language models, token classification, extractive answers."""

from __future__ import annotations

import re
from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from interpreto_mllm.adapters.base import OwnAnswer
from interpreto_mllm.adapters.local import LocalAdapter
from interpreto_mllm.core.shown import shown
from interpreto_mllm.engine.positional import PositionScorer
from interpreto_mllm.engine.queries import Mode, Scorer
from interpreto_mllm.engine.reading import PositionReading
from interpreto_mllm.engine.whole_prompts import WholePrompts
from interpreto_mllm.games.position_targets import MaskTarget, PositionTarget
from interpreto_mllm.games.targets import Target, is_ids
from interpreto_mllm.prompts.model_input import ModelInput
from interpreto_mllm.prompts.occlusion import Attend, Replace, TextOcclusion
from interpreto_mllm.prompts.tokens import Tokens


class PositionAdapter(LocalAdapter[Target]):
    """Models with an output for each position of a text."""

    answers_prompts: ClassVar[bool] = False
    reads_answered_chats: ClassVar[bool] = True

    def positions(self, input: ModelInput, target: Target) -> int:
        return len(input.ids)

    @abstractmethod
    def logits(self, output: Any) -> Float[Tensor, "b l v"]:
        """A row of logits for each position that may be asked about."""

    def _scorer(self, mode: Mode) -> Scorer[Any]:
        return PositionScorer(WholePrompts(self.model, self.processing, self.batching.rows, self.counter), mode, self.logits)

    def reading(self, scorer: Scorer[Any]) -> PositionReading:
        assert isinstance(scorer, PositionScorer)
        return PositionReading(scorer.prompts, scorer.mode, self.logits)

    def _logits_of(self, input: ModelInput) -> Float[Tensor, "l v"]:
        inputs = WholePrompts(self.model, self.processing, batch_size=1).inputs([input])
        return self.logits(self.model(**inputs))[0].float().cpu()


class MaskedAdapter(PositionAdapter):
    """Masked language models: the words at the prompt's mask tokens. An absent feature is dropped by default."""

    unit: ClassVar[str] = "token"

    def logits(self, output: Any) -> Float[Tensor, "b l v"]:
        return output.logits

    def check_occlusion(self, occlusion: TextOcclusion) -> None:
        mask = self.tokenizer.mask_token_id
        replaced = occlusion.prepared(self.tokenizer) if mask is not None else occlusion
        if isinstance(replaced, Replace) and mask in replaced.ids:
            raise ValueError(
                "This model is asked about the mask tokens of the prompt, so absent features cannot be replaced by that token: "
                "use Drop(), Attend() or Replace('some text')."
            )
        super().check_occlusion(occlusion)

    def target(self, given: Any, text: str, input: ModelInput) -> MaskTarget:
        masks = self._masks(input)
        if isinstance(given, str):
            ids = self.tokenizer.encode(given, add_special_tokens=False)
        elif is_ids(given):
            ids = [int(value) for value in given]
        else:
            raise TypeError(
                "A target of a masked language model is the text at the masks, its token ids, a Contrast or None; "
                f"got {shown(given)}."
            )
        vocabulary = len(self.model.get_input_embeddings().weight)
        if any(not 0 <= value < vocabulary for value in ids):
            raise ValueError(f"A target id is out of range: the model's ids lie in [0, {vocabulary}).")
        if len(ids) != len(masks):
            raise ValueError(
                f"The target {given!r} has {len(ids)} token(s), the prompt {len(masks)} mask(s) {self.tokenizer.mask_token!r}: "
                "write one mask for each token of the target."
            )
        return self._at_masks(ids)

    def own_answer(self, input: ModelInput) -> OwnAnswer[Target]:
        masks = self._masks(input)
        return OwnAnswer((self._at_masks(self._logits_of(input)[masks].argmax(-1).tolist()),))

    def _at_masks(self, ids: list[int]) -> MaskTarget:
        return MaskTarget(self.tokenizer.mask_token_id, tuple(ids), tuple(str(self.tokenizer.decode([one])) for one in ids))

    def _masks(self, input: ModelInput) -> list[int]:
        """Positions of the masks.

        Raises:
            ValueError: when there are none.
        """
        masks = np.flatnonzero(input.ids == self.tokenizer.mask_token_id).tolist()
        if not masks:
            raise ValueError(
                f"{type(self.model).__name__} is a masked language model, and the prompt has no mask for it to fill: write "
                f"{self.tokenizer.mask_token!r} where a word is asked for."
            )
        return masks


class FixedPositionAdapter(PositionAdapter):
    """Models that are asked about tokens of the prompt, which have to keep their places."""

    def default_occlusion(self) -> TextOcclusion:
        return Replace()

    def check_occlusion(self, occlusion: TextOcclusion) -> None:
        replaced = occlusion.prepared(self.tokenizer)
        if not isinstance(replaced, Attend) and not (isinstance(replaced, Replace) and len(replaced.ids) == 1):
            raise ValueError(
                f"{type(self.model).__name__} is asked about tokens of the prompt, and this occlusion moves them: use "
                "Replace(), Replace(token_id) or Attend()."
            )
        super().check_occlusion(occlusion)

    def _tokens(self, text: str, input: ModelInput) -> Tokens:
        """The prompt's tokens with their places in its text."""
        tokens = Tokens.of_text(text, self.tokenizer)
        return tokens if np.array_equal(tokens.ids, input.ids) else Tokens.of_ids(input.ids.tolist(), self.tokenizer)

    def _span(self, said: str, text: str, input: ModelInput) -> tuple[int, int]:
        """Positions of the first and the last token of something in the prompt.

        Raises:
            ValueError: unless it is there once.
        """
        tokens = self._tokens(text, input)
        found = [match.span() for match in re.finditer(rf"(?<!\w){re.escape(said)}(?!\w)", tokens.text)]
        if len(found) != 1:
            raise ValueError(
                f"{said!r} is in the prompt {len(found)} times: give token positions, from 0 to {len(input.ids) - 1}."
            )
        [(start, end)] = found
        inside = [
            place
            for place, (first, last) in enumerate(tokens.offsets)
            if first < end and start < last and not tokens.special[place]
        ]
        return inside[0], inside[-1]

    def _checked(self, position: int, input: ModelInput) -> int:
        if not 0 <= position < len(input.ids):
            raise ValueError(f"Token {position} is out of range: the prompt has {len(input.ids)} tokens, from 0.")
        return position


class TokenClassifierAdapter(FixedPositionAdapter):
    """Token classification: labels of words of the prompt, absent features being replaced by the mask token by default."""

    unit: ClassVar[str] = "class"
    ids_are_one: ClassVar[bool] = False

    def logits(self, output: Any) -> Float[Tensor, "b l v"]:
        return output.logits

    def target(self, given: Any, text: str, input: ModelInput) -> PositionTarget:
        if not isinstance(given, (tuple, list)) or len(given) != 2:
            raise TypeError(
                "Targets of token classification are a list of pairs of a word, or its token's position, and a label: "
                f'[("Paris", "B-LOC"), (3, 0)]; got {shown(given)}.'
            )
        word, label = given
        position = self._span(word, text, input)[0] if isinstance(word, str) else self._checked(int(word), input)
        return self._labelled(position, self._label(label), input)

    def own_answer(self, input: ModelInput) -> OwnAnswer[Target]:
        special = Tokens.of_ids(input.ids.tolist(), self.tokenizer).special
        labels = self._logits_of(input).argmax(-1).tolist()
        names = self.model.config.id2label
        found = [(place, label) for place, label in enumerate(labels) if not special[place] and names.get(label) != "O"]
        if not found:
            raise ValueError('The model labels no token of this prompt: give a target, such as [("Paris", "B-LOC")].')
        return OwnAnswer(tuple(self._labelled(place, label, input) for place, label in found))

    def _labelled(self, position: int, label: int, input: ModelInput) -> PositionTarget:
        token = self.tokenizer.convert_ids_to_tokens(int(input.ids[position]))
        return PositionTarget((position,), (label,), (f"{token}: {self.model.config.id2label.get(label, label)}",))

    def _label(self, given: Any) -> int:
        names = {int(index): str(name) for index, name in self.model.config.id2label.items()}
        index = next((index for index, name in names.items() if given in (name, index)), None)
        if index is None:
            raise ValueError(f"There is no label {given!r}; the model's labels are {list(names.values())}.")
        return index


class AnswerSpanAdapter(FixedPositionAdapter):
    """Extractive question answering: where the answer starts and ends in the prompt, two columns that add up to its value."""

    unit: ClassVar[str] = "token"

    def logits(self, output: Any) -> Float[Tensor, "b l v"]:
        return torch.stack([output.start_logits, output.end_logits], dim=1)

    def target(self, given: Any, text: str, input: ModelInput) -> PositionTarget:
        if isinstance(given, str):
            return self._between(*self._span(given, text, input), input)
        if is_ids(given) and len(given) == 2:
            first, last = (self._checked(int(place), input) for place in given)
            return self._between(first, last, input)
        raise TypeError(
            "A target of extractive question answering is the answer as it is written in the prompt, the positions of its "
            f"first and last token, a Contrast or None; got {shown(given)}."
        )

    def own_answer(self, input: ModelInput) -> OwnAnswer[Target]:
        starts, ends = self._logits_of(input)
        both = (starts[:, None] + ends[None]).masked_fill(torch.ones(len(starts), len(ends)).tril(-1).bool(), float("-inf"))
        start, end = divmod(int(both.argmax()), len(ends))
        return OwnAnswer((self._between(start, end, input),))

    def _between(self, start: int, end: int, input: ModelInput) -> PositionTarget:
        first, last = self.tokenizer.convert_ids_to_tokens([int(input.ids[start]), int(input.ids[end])])
        return PositionTarget((0, 1), (start, end), (f"start: {first}", f"end: {last}"))
