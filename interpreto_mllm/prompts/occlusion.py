"""How an absent piece of text disappears from what the model reads."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from interpreto_mllm.core.numbers import is_whole
from interpreto_mllm.core.shown import shown
from interpreto_mllm.prompts.model_input import ModelInput


class TextOcclusion(ABC):
    """How the absent features of a text are taken out of it."""

    @abstractmethod
    def apply(self, whole: ModelInput, present: Bool[np.ndarray, "l"], owner: Int[np.ndarray, "l"]) -> ModelInput:
        """The input that is left of the whole one when only some tokens are present.

        Args:
            whole: all tokens.
            present: which of them are there.
            owner: the feature that each token belongs to, or -1.
        """

    def prepared(self, tokenizer: Any) -> TextOcclusion:
        """This occlusion with what it needs from the tokenizer; errors are raised here, before the model is called."""
        return self


@dataclass(frozen=True)
class Drop(TextOcclusion):
    """Absent tokens are left out and the rest closes up. The default of language models.

    Of given positions each stretch that counts up by one closes up by itself, so that jumps stay where they were.

    Tokens of white space alone go with the words before them where these are all absent, so that what is left of a text or
    message begins with a word; under token granularities they are features of their own.

    Args:
        retokenize: whether what is left is tokenised again, exactly as if the absent features had not been written. Else the
            tokens that are left stay as they are: where a blank is part of the token after it, a text whose first word is
            absent begins with the blank of the second one, and tokens do not merge where something was left out. It costs a
            tokenisation per coalition, and prompts share less of their beginnings. Prompts that come as ids, and those with
            images or clips, are refused.
    """

    retokenize: bool = False

    def apply(self, whole: ModelInput, present: Bool[np.ndarray, "l"], owner: Int[np.ndarray, "l"]) -> ModelInput:
        seen, segments = (None if part is None else part[present] for part in (whole.seen, whole.segments))
        positions = None if whole.positions is None else _closed_up(whole.positions, present)
        return ModelInput(whole.ids[present], seen, segments, positions=positions)


@dataclass(frozen=True)
class Attend(TextOcclusion):
    """Absent tokens stay in their places but no other token may attend to them: the positions of the rest are kept.

    Not the game that `Drop` plays: there the rest moves up. Models with recurrent layers cannot play it, nor can those that
    count positions by the attention mask (ALiBi of BLOOM and Falcon); both say so.
    """

    def apply(self, whole: ModelInput, present: Bool[np.ndarray, "l"], owner: Int[np.ndarray, "l"]) -> ModelInput:
        return replace(whole, seen=present if whole.seen is None else whole.seen & present)


@dataclass(frozen=True)
class Replace(TextOcclusion):
    """Absent tokens are replaced: one by one if the replacement is a single token, else a whole feature by the whole text.

    Args:
        replacement: a text, a token id, or None for the tokenizer's mask token. The default of classifiers with a mask token.

    Example:
        >>> Replace("_").replacement
        '_'
    """

    replacement: str | int | None = None
    ids: tuple[int, ...] = ()

    def prepared(self, tokenizer: Any) -> Replace:
        """With the ids of the replacement.

        Raises:
            ValueError: when there is no mask token to fall back on, or the replacement has no tokens.
        """
        if self.replacement is None:
            if tokenizer.mask_token_id is None:
                raise ValueError("This tokenizer has no mask token: use Replace('some text'), Replace(token_id) or Drop().")
            return Replace(None, (tokenizer.mask_token_id,))
        if is_whole(self.replacement):
            if not 0 <= self.replacement < len(tokenizer):
                raise ValueError(f"Replace({self.replacement}): token ids of this tokenizer lie in [0, {len(tokenizer)}).")
            return Replace(int(self.replacement), (int(self.replacement),))
        if not isinstance(self.replacement, str):
            raise TypeError(f"Replace takes a text, a token id, or nothing for the mask token; got {shown(self.replacement)}.")
        ids = tokenizer.encode(self.replacement, add_special_tokens=False)
        if not ids:
            raise ValueError(f"Replace({shown(self.replacement)}): this text has no tokens; use Drop() to leave features out.")
        return Replace(self.replacement, tuple(ids))

    def apply(self, whole: ModelInput, present: Bool[np.ndarray, "l"], owner: Int[np.ndarray, "l"]) -> ModelInput:
        if len(self.ids) == 1:
            return replace(whole, ids=np.where(present, whole.ids, self.ids[0]))
        previous = np.concatenate([[-2], np.where(present, -2, owner)[:-1]])
        starts = ~present & (previous != owner)
        counts = np.where(present, 1, np.where(starts, len(self.ids), 0))
        ids = np.repeat(whole.ids, counts)
        ids[np.repeat(starts, counts)] = np.tile(np.asarray(self.ids, dtype=ids.dtype), int(starts.sum()))
        if whole.positions is not None and (counts != 1).any():
            raise ValueError(
                f"Replace({shown(self.replacement)}) puts {len(self.ids)} tokens in the place of a feature, for which the "
                "positions of the encoding have no room: use Replace() of one token, Attend() or Drop()."
            )
        seen, segments = (None if part is None else np.repeat(part, counts) for part in (whole.seen, whole.segments))
        return ModelInput(ids, seen, segments, positions=whole.positions)


def _closed_up(positions: Int[np.ndarray, "l"], present: Bool[np.ndarray, "l"]) -> Int[np.ndarray, "left"]:
    """The positions of the tokens that are present: what is left of each stretch of 5, 6, 7, … counts on from its first.

    Example:
        >>> _closed_up(np.array([0, 1, 2, 9, 10]), np.array([True, False, True, False, True])).tolist()
        [0, 1, 9]
    """
    starts = np.diff(positions, prepend=positions[:1] - 2) != 1
    stretch = starts.cumsum() - 1
    before = present.cumsum() - present
    return (positions[starts][stretch] + before - before[starts][stretch])[present]
