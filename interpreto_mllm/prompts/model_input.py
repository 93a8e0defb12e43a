"""What a model is given for one coalition."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Int

from interpreto_mllm.media.state import State


@dataclass(frozen=True)
class ModelInput:
    """Token ids, and which of them attention may see.

    Args:
        ids: the tokens; none where the model reads no text.
        seen: which tokens attention may see; None for all of them.
        segments: token type ids, where the prompt came with some.
        media: the images and clips, in the order of their places among the ids.
    """

    ids: Int[np.ndarray, "l"]
    seen: Bool[np.ndarray, "l"] | None = None
    segments: Int[np.ndarray, "l"] | None = None
    media: tuple[State, ...] = ()

    @cached_property
    def key(self) -> bytes:
        """Equal exactly for equal inputs, in every process: it is made of their content alone."""
        seen = b"" if self.seen is None else self.seen.tobytes()
        segments = b"" if self.segments is None else self.segments.tobytes()
        return b"|".join((self.ids.tobytes(), seen, segments, *(state.key for state in self.media)))
