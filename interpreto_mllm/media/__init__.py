"""Images and clips of a prompt: their pieces, and what is left of them when some are absent. Nothing here knows a model."""

from interpreto_mllm.media.audio_granularity import AudioGranularity, Silences, WholeClip, Windows, Words
from interpreto_mllm.media.audio_occlusion import AudioOcclusion, CutOut, MeanLevel, Noise, Silence
from interpreto_mllm.media.clip import Clip
from interpreto_mllm.media.image_granularity import Boxes, ImageGranularity, Masks, Patches, Superpixels, WholeImage
from interpreto_mllm.media.image_occlusion import Blur, DropImage, Fill, ImageOcclusion, Other
from interpreto_mllm.media.picture import Picture

__all__ = [
    "AudioGranularity",
    "AudioOcclusion",
    "Blur",
    "Boxes",
    "Clip",
    "CutOut",
    "DropImage",
    "Fill",
    "ImageGranularity",
    "ImageOcclusion",
    "Masks",
    "MeanLevel",
    "Noise",
    "Other",
    "Patches",
    "Picture",
    "Silence",
    "Silences",
    "Superpixels",
    "WholeClip",
    "WholeImage",
    "Windows",
    "Words",
]
