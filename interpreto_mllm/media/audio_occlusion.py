"""How an absent segment of a clip disappears: silenced, replaced by noise or by the mean, or cut out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32


class AudioOcclusion(ABC):
    """What is heard in place of an absent segment."""

    @abstractmethod
    def counterpart(self, samples: Float32[np.ndarray, "s"]) -> Float32[np.ndarray, "s"] | None:
        """The clip whose samples are heard where segments are absent; None to cut them out, so that the rest moves together."""


@dataclass(frozen=True)
class Mute(AudioOcclusion):
    """Absent segments are silent.

    The default for clips. The clip keeps its length and everything else its time, so only the segment changes, and every audio
    model was trained on recordings with pauses.

    Example:
        >>> import numpy as np
        >>> Mute().counterpart(np.ones(2, dtype=np.float32)).tolist()
        [0.0, 0.0]
    """

    def counterpart(self, samples: Float32[np.ndarray, "s"]) -> Float32[np.ndarray, "s"]:
        return np.zeros_like(samples)


@dataclass(frozen=True)
class WhiteNoise(AudioOcclusion):
    """Absent segments hold white noise, the same in every coalition.

    Args:
        seed: seed of the noise.
        level: its root mean square, relative to that of the clip.

    Raises:
        ValueError: for a level that is not positive.

    Example:
        >>> import numpy as np
        >>> noise = WhiteNoise(level=0.5).counterpart(np.ones(1000, dtype=np.float32))
        >>> bool(0.45 < np.sqrt((noise**2).mean()) < 0.55)
        True
    """

    seed: int = 0
    level: int | float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.level < float("inf"):
            raise ValueError(f"WhiteNoise: the level must be a positive multiple of the clip's loudness; got {self.level!r}.")

    def counterpart(self, samples: Float32[np.ndarray, "s"]) -> Float32[np.ndarray, "s"]:
        loudness = np.sqrt(np.mean(samples.astype(np.float64) ** 2)) * self.level
        return (np.random.default_rng(self.seed).standard_normal(len(samples)) * loudness).astype(np.float32)


@dataclass(frozen=True)
class MeanLevel(AudioOcclusion):
    """Absent segments hold the clip's mean sample, so that a recording with a constant offset gets no step.

    Example:
        >>> import numpy as np
        >>> MeanLevel().counterpart(np.array([0.5, 0.0], dtype=np.float32)).tolist()
        [0.25, 0.25]
    """

    def counterpart(self, samples: Float32[np.ndarray, "s"]) -> Float32[np.ndarray, "s"]:
        return np.full_like(samples, samples.mean(dtype=np.float64))


@dataclass(frozen=True)
class CutOut(AudioOcclusion):
    """Absent segments are cut out and the rest moves together. When nothing is left, the clip is left out of the prompt.

    What follows a cut is heard earlier, so scores include the effect of that shift. `Mute` keeps every time.

    Example:
        >>> import numpy as np
        >>> CutOut().counterpart(np.ones(2, dtype=np.float32)) is None
        True
    """

    def counterpart(self, samples: Float32[np.ndarray, "s"]) -> None:
        return None


def check_audio_occlusion(occlusion: object) -> AudioOcclusion:
    """The occlusion as given, or a TypeError that lists what is accepted."""
    if not isinstance(occlusion, AudioOcclusion):
        raise TypeError(f"The audio occlusion must be Mute(), WhiteNoise(...), MeanLevel() or CutOut(); got {occlusion!r}.")
    return occlusion
