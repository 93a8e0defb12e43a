"""What is left of an image or a clip when only some of its pieces are present."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool

from interpreto_mllm.media.clip import Clip
from interpreto_mllm.media.encoded import Encoded
from interpreto_mllm.media.picture import Picture

Medium = Picture | Clip | Encoded
"""An image or a clip cut into pieces that can be absent, or images and clips that are encoded already."""


@dataclass(frozen=True, eq=False)
class State:
    """A medium with only some of its pieces."""

    medium: Medium
    present: Bool[np.ndarray, "pieces"]

    @staticmethod
    def whole(medium: Medium) -> State:
        """The state in which nothing is absent."""
        return State(medium, np.ones(len(medium.labels), dtype=bool))

    @property
    def key(self) -> bytes:
        """Equal exactly for states that the model cannot tell apart, in every process: a digest of what is rendered."""
        return self.medium.key(self.present)

    @property
    def rendered(self) -> Any:
        """What the processor is given; None when the medium is left out."""
        return self.medium.render(self.present)

    @property
    def dropped(self) -> bool:
        """Whether the medium is left out of the prompt altogether."""
        return not self.medium.keeps_size and self.rendered is None

    @property
    def size(self) -> Hashable:
        """The size of what is rendered, which decides how many tokens it takes; None when the medium is left out."""
        if self.medium.keeps_size:
            return self.medium.size
        rendered = self.rendered
        return None if rendered is None else rendered.size
