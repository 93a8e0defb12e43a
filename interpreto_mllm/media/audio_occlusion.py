"""How an absent stretch of a clip disappears: silence, noise, the mean, or cut out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32


class AudioOcclusion(ABC):
    """What is heard where an absent stretch was."""

    @abstractmethod
    def counterpart(self, samples: Float32[np.ndarray, "s"]) -> Float32[np.ndarray, "s"] | None:
        """The clip whose samples are heard where stretches are absent; None to cut them out, the rest closing up."""


@dataclass(frozen=True)
class Silence(AudioOcclusion):
    """Absent stretches are silent.

    The default of clips: the clip keeps its length and everything else its time, so nothing but the stretch changes, and pauses
    are something that every audio model has heard.

    Example:
        >>> import numpy as np
        >>> Silence().counterpart(np.ones(2, dtype=np.float32)).tolist()
        [0.0, 0.0]
    """

    def counterpart(self, samples: Float32[np.ndarray, "s"]) -> Float32[np.ndarray, "s"]:
        return np.zeros_like(samples)


@dataclass(frozen=True)
class Noise(AudioOcclusion):
    """Absent stretches hold white noise, the same in every coalition.

    Args:
        seed: of the noise.
        level: its loudness (root mean square) relative to the clip's own.

    Raises:
        ValueError: for a level that is not positive.

    Example:
        >>> import numpy as np
        >>> noise = Noise(level=0.5).counterpart(np.ones(1000, dtype=np.float32))
        >>> bool(0.45 < np.sqrt((noise**2).mean()) < 0.55)
        True
    """

    seed: int = 0
    level: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.level < float("inf"):
            raise ValueError(f"Noise: the level is a positive multiple of the clip's own loudness; got {self.level!r}.")

    def counterpart(self, samples: Float32[np.ndarray, "s"]) -> Float32[np.ndarray, "s"]:
        loudness = np.sqrt(np.mean(samples.astype(np.float64) ** 2)) * self.level
        return (np.random.default_rng(self.seed).standard_normal(len(samples)) * loudness).astype(np.float32)


@dataclass(frozen=True)
class MeanLevel(AudioOcclusion):
    """Absent stretches hold the clip's mean sample: the zero line of the recording itself, without a step where it has an
    offset.

    Example:
        >>> import numpy as np
        >>> MeanLevel().counterpart(np.array([0.5, 0.0], dtype=np.float32)).tolist()
        [0.25, 0.25]
    """

    def counterpart(self, samples: Float32[np.ndarray, "s"]) -> Float32[np.ndarray, "s"]:
        return np.full_like(samples, samples.mean(dtype=np.float64))


@dataclass(frozen=True)
class CutOut(AudioOcclusion):
    """Absent stretches are cut out and the rest closes up; where nothing is left, the clip is left out of the prompt
    altogether.

    What follows a cut is heard earlier, so a score also holds what that shift does. `Silence` keeps every time.

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
        raise TypeError(f"The audio occlusion must be Silence(), Noise(...), MeanLevel() or CutOut(); got {occlusion!r}.")
    return occlusion
