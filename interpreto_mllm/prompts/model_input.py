"""What a model is given for one coalition."""

from __future__ import annotations

from collections.abc import Sequence
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
        positions: where each token stands, if the prompt came with positions; None where the model counts them.
    """

    ids: Int[np.ndarray, "l"]
    seen: Bool[np.ndarray, "l"] | None = None
    segments: Int[np.ndarray, "l"] | None = None
    media: tuple[State, ...] = ()
    positions: Int[np.ndarray, "l"] | None = None

    @cached_property
    def key(self) -> bytes:
        """Equal exactly for equal inputs, in every process: it is made of their content alone."""
        seen = b"" if self.seen is None else self.seen.tobytes()
        segments = b"" if self.segments is None else self.segments.tobytes()
        positions = () if self.positions is None else (b"positions", self.positions.tobytes())
        return b"|".join((self.ids.tobytes(), seen, segments, *positions, *(state.key for state in self.media)))

    def after(self, start: int) -> ModelInput:
        """The same without the tokens before `start`."""
        parts = [None if part is None else part[start:] for part in (self.seen, self.segments, self.positions)]
        return ModelInput(self.ids[start:], parts[0], parts[1], self.media, parts[2])

    def continued(self, ids: Sequence[int]) -> ModelInput:
        """The same with further tokens, which attention may see and which are of the last token's type.

        Example:
            >>> longer = ModelInput(np.array([5, 6]), seen=np.array([True, False])).continued([7])
            >>> longer.ids.tolist(), longer.seen.tolist()
            ([5, 6, 7], [True, False, True])
        """
        if not len(ids):
            return self
        seen = None if self.seen is None else np.pad(self.seen, (0, len(ids)), constant_values=True)
        segments = None if self.segments is None else np.pad(self.segments, (0, len(ids)), mode="edge")
        positions = None if self.positions is None else self.places(len(ids))
        return ModelInput(np.append(self.ids, np.asarray(ids, dtype=np.int64)), seen, segments, self.media, positions)

    def places(self, following: int = 0) -> Int[np.ndarray, "_"]:
        """Where the tokens stand, and so many that follow: from the position after the last one on.

        Example:
            >>> ModelInput(np.array([5, 6]), positions=np.array([0, 7])).places(2).tolist()
            [0, 7, 8, 9]
        """
        if self.positions is None:
            return np.arange(len(self.ids) + following)
        return np.concatenate([self.positions, self.positions[-1] + 1 + np.arange(following)])
