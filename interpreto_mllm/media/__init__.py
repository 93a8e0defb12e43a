"""Images, clips and videos of a prompt: their pieces, and what is left when some are absent. Nothing here uses a model."""

from interpreto_mllm.core.renamed import renamed
from interpreto_mllm.media.audio_granularity import AudioGranularity, SplitOnSilence, WholeClip, Windows
from interpreto_mllm.media.audio_occlusion import AudioOcclusion, CutOut, MeanLevel, Mute, WhiteNoise
from interpreto_mllm.media.boxes import Boxes
from interpreto_mllm.media.clip import Clip
from interpreto_mllm.media.former_names import RENAMED
from interpreto_mllm.media.image_granularity import ImageGranularity, Patches, Superpixels, WholeImage
from interpreto_mllm.media.image_occlusion import Blur, DropImage, Fill, ImageOcclusion, ReplaceImage
from interpreto_mllm.media.masks import Masks
from interpreto_mllm.media.picture import Picture
from interpreto_mllm.media.spoken_words import SpokenWords
from interpreto_mllm.media.video import Video
from interpreto_mllm.media.video_granularity import Frames, TimeSpans, Tubes, VideoGranularity, WholeVideo
from interpreto_mllm.media.video_occlusion import DropFrames, Freeze, VideoOcclusion

__all__ = [
    "AudioGranularity",
    "AudioOcclusion",
    "Blur",
    "Boxes",
    "Clip",
    "CutOut",
    "DropFrames",
    "DropImage",
    "Fill",
    "Frames",
    "Freeze",
    "ImageGranularity",
    "ImageOcclusion",
    "Masks",
    "MeanLevel",
    "Mute",
    "Patches",
    "Picture",
    "ReplaceImage",
    "SplitOnSilence",
    "SpokenWords",
    "Superpixels",
    "TimeSpans",
    "Tubes",
    "Video",
    "VideoGranularity",
    "VideoOcclusion",
    "WhiteNoise",
    "WholeClip",
    "WholeImage",
    "WholeVideo",
    "Windows",
]


def __getattr__(name: str) -> type:
    """Classes under the names they had before."""
    return renamed(RENAMED, __name__, name)
