"""What is left of an image or a clip when only some of its pieces are there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool

from interpreto_mllm.feature import Feature


@runtime_checkable
class Medium(Protocol):
    """An image or a clip, cut into `k` pieces that can be absent."""

    @property
    def modality(self) -> str:
        """"image" or "audio"."""
        ...

    @property
    def labels(self) -> tuple[str, ...]:
        """What each piece is called."""
        ...

    @property
    def keeps_size(self) -> bool:
        """Whether what is left always has the size of the whole, so that it takes as many tokens."""
        ...

    def render(self, present: Bool[np.ndarray, "k"]) -> Any:
        """What the processor is given when only these pieces are there; None when nothing is."""
        ...

    def key(self, present: Bool[np.ndarray, "k"]) -> bytes:
        """Equal exactly for coalitions of pieces that render alike."""
        ...

    def features(self, medium: int, role: str | None, turn: int | None) -> list[Feature]:
        """One feature per piece."""
        ...


@dataclass(frozen=True, eq=False)
class State:
    """An image or a clip with only some of its pieces."""

    medium: Medium
    present: Bool[np.ndarray, "k"]

    @property
    def key(self) -> bytes:
        """Equal exactly for equal states of one medium, as long as the medium lives."""
        return b"%d:" % id(self.medium) + self.medium.key(self.present)

    @property
    def dropped(self) -> bool:
        """Whether the medium is left out of the prompt altogether."""
        return not self.medium.keeps_size and self.rendered is None

    @property
    def rendered(self) -> Any:
        """What the processor is given; None when the medium is left out."""
        return self.medium.render(self.present)
