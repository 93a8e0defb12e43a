"""Classes under the names they had before."""

from __future__ import annotations

from interpreto_mllm.media.audio_granularity import SplitOnSilence
from interpreto_mllm.media.audio_occlusion import Mute, WhiteNoise
from interpreto_mllm.media.image_occlusion import ReplaceImage
from interpreto_mllm.media.spoken_words import SpokenWords

RENAMED: dict[str, type] = {
    "Noise": WhiteNoise,
    "Other": ReplaceImage,
    "Silence": Mute,
    "Silences": SplitOnSilence,
    "Words": SpokenWords,
}
