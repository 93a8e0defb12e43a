"""How an absent piece of text disappears from what the model reads."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from interpreto_mllm.media.state import State


@dataclass(frozen=True)
class ModelInput:
    """What the model reads for one coalition: token ids, and which of them attention may see (None: all).

    `segments` are token type ids where the prompt came with some; `media` the images and clips, in the order in which the ids
    leave room for them.
    """

    ids: Int[np.ndarray, "l"]
    seen: Bool[np.ndarray, "l"] | None = None
    segments: Int[np.ndarray, "l"] | None = None
    media: tuple[State, ...] = ()

    @cached_property
    def key(self) -> bytes:
        """Equal exactly for equal readings."""
        seen = b"" if self.seen is None else self.seen.tobytes()
        segments = b"" if self.segments is None else self.segments.tobytes()
        return b"|".join((self.ids.tobytes(), seen, segments, *(state.key for state in self.media)))


class Occlusion(ABC):
    """How absent features are taken out of the prompt."""

    @abstractmethod
    def read(self, reading: ModelInput, present: Bool[np.ndarray, "l"], owner: Int[np.ndarray, "l"]) -> ModelInput:
        """The reading that is left when only the tokens in `present` are there; `owner` is each token's feature, or -1."""

    def prepared(self, tokenizer: Any) -> Occlusion:
        """This occlusion with whatever it needs of the tokenizer looked up; errors surface here, before any model call."""
        return self


@dataclass(frozen=True)
class Drop(Occlusion):
    """Absent tokens are left out and the rest closes up, as if they had not been written. The default of language models."""

    def read(self, reading: ModelInput, present: Bool[np.ndarray, "l"], owner: Int[np.ndarray, "l"]) -> ModelInput:
        cut = [None if part is None else part[present] for part in (reading.seen, reading.segments)]
        return ModelInput(reading.ids[present], cut[0], cut[1])


@dataclass(frozen=True)
class Attend(Occlusion):
    """Absent tokens stay in their places but no other token may attend to them: the positions of the rest are kept.

    Not the game that `Drop` plays: there the rest moves up. Models with recurrent layers cannot play it, nor can those that
    count positions by the attention mask (ALiBi of BLOOM and Falcon); both say so.
    """

    def read(self, reading: ModelInput, present: Bool[np.ndarray, "l"], owner: Int[np.ndarray, "l"]) -> ModelInput:
        return ModelInput(reading.ids, present if reading.seen is None else reading.seen & present, reading.segments)


@dataclass(frozen=True)
class Replace(Occlusion):
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
        if isinstance(self.replacement, int):
            if not 0 <= self.replacement < len(tokenizer):
                raise ValueError(f"Replace({self.replacement}): token ids of this tokenizer lie in [0, {len(tokenizer)}).")
            return Replace(self.replacement, (self.replacement,))
        ids = tokenizer.encode(self.replacement, add_special_tokens=False)
        if not ids:
            raise ValueError(f"Replace({self.replacement!r}): this text has no tokens; use Drop() to leave features out.")
        return Replace(self.replacement, tuple(ids))

    def read(self, reading: ModelInput, present: Bool[np.ndarray, "l"], owner: Int[np.ndarray, "l"]) -> ModelInput:
        if len(self.ids) == 1:
            return ModelInput(np.where(present, reading.ids, self.ids[0]), reading.seen, reading.segments)
        previous = np.concatenate([[-2], np.where(present, -2, owner)[:-1]])
        starts = ~present & (previous != owner)
        counts = np.where(present, 1, np.where(starts, len(self.ids), 0))
        ids = np.repeat(reading.ids, counts)
        ids[np.repeat(starts, counts)] = np.tile(np.asarray(self.ids, dtype=ids.dtype), int(starts.sum()))
        stretched = [None if part is None else np.repeat(part, counts) for part in (reading.seen, reading.segments)]
        return ModelInput(ids, stretched[0], stretched[1])
