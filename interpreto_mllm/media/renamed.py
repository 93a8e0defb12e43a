"""Classes under the names they had before."""

from __future__ import annotations

import warnings

from interpreto_mllm.media.audio_granularity import SplitOnSilence, SpokenWords
from interpreto_mllm.media.audio_occlusion import Mute, WhiteNoise
from interpreto_mllm.media.image_occlusion import ReplaceImage

RENAMED: dict[str, type] = {
    "Noise": WhiteNoise,
    "Other": ReplaceImage,
    "Silence": Mute,
    "Silences": SplitOnSilence,
    "Words": SpokenWords,
}


def renamed(module: str, name: str) -> type:
    """The class that had this name, with a DeprecationWarning that gives its new one.

    Args:
        module: the module in which it is looked up.
        name: its old name.

    Raises:
        AttributeError: when no class had this name.
    """
    if name not in RENAMED:
        raise AttributeError(f"module {module!r} has no attribute {name!r}")
    found = RENAMED[name]
    warnings.warn(f"{name} is now called {found.__name__}.", DeprecationWarning, stacklevel=3)
    return found
