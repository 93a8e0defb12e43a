"""What is left of an image, a clip or a video when only some of its pieces are present."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool

from interpreto_mllm.core.feature import Feature
from interpreto_mllm.media.clip import Clip
from interpreto_mllm.media.encoded import Encoded
from interpreto_mllm.media.picture import Picture
from interpreto_mllm.media.processed import Tensors, end_to_end
from interpreto_mllm.media.video import Video

NAMES = {"audio": "clip"}
"""What media are called, where not by their modality."""

Medium = Picture | Clip | Video | Encoded
"""An image, a clip or a video cut into pieces that can be absent, or images and clips that are encoded already."""


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
    def tensors(self) -> Tensors | None:
        """What the model is given, where that is known without the processor."""
        return self.medium.tensors(self.present) if isinstance(self.medium, Picture) else None

    @property
    def dropped(self) -> bool:
        """Whether the medium is left out of the prompt altogether."""
        return not self.medium.keeps_size and self.rendered is None

    @property
    def size(self) -> Hashable:
        """The size of what is rendered, which decides how many tokens it takes; None when the medium is left out."""
        if self.medium.keeps_size:
            put_together = isinstance(self.medium, Picture) and self.medium.processed is not None
            return ("tensors", self.medium.size) if put_together else self.medium.size
        rendered = self.rendered
        return None if rendered is None else rendered.size


def tensors_of(row: Sequence[State]) -> Tensors | None:
    """What the model is given for the images of one prompt, where that is known without the processor."""
    known = [state.tensors for state in row]
    tensors = [each for each in known if each is not None]
    if not tensors or len(tensors) < len(known):
        return None
    if len(tensors) == 1:
        return tensors[0]
    medium = row[0].medium
    assert isinstance(medium, Picture) and medium.processed is not None
    made = {name: end_to_end([each[name] for each in tensors], along) for name, along in medium.processed.along.items()}
    return {name: tensor for name, tensor in made.items() if tensor is not None}


def notes_of(media: Sequence[Medium]) -> tuple[str, ...]:
    """What the readers of a result must know of how its images and clips were read.

    Example:
        >>> notes_of([Clip.of(np.zeros((2, 9), dtype=np.float32), 8000)])
        ('clip 1: The recording has 2 channels: explaining their mean.',)
    """
    counts: Counter[str] = Counter()
    notes = []
    for medium in media:
        counts[medium.modality] += 1
        name = f"{NAMES.get(medium.modality, medium.modality)} {counts[medium.modality]}"
        notes += [f"{name}: {note}" for note in medium.notes]
    return tuple(notes)


def features_of(media: Sequence[Medium]) -> list[Feature]:
    """The pieces of all images and clips as features."""
    return [feature for index, medium in enumerate(media) for feature in medium.features(index)]
