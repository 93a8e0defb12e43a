"""How the images, clips and videos of a prompt are cut into pieces, and how these disappear."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from interpreto_mllm.media.audio_granularity import AudioGranularity, AudioSegmenter
from interpreto_mllm.media.audio_occlusion import AudioOcclusion
from interpreto_mllm.media.clip import Clip
from interpreto_mllm.media.image_granularity import ImageGranularity, ImageSegmenter
from interpreto_mllm.media.image_occlusion import ImageOcclusion
from interpreto_mllm.media.picture import Picture
from interpreto_mllm.media.read_video import Sampler
from interpreto_mllm.media.video import Video
from interpreto_mllm.media.video_granularity import VideoGranularity, VideoSegmenter
from interpreto_mllm.media.video_occlusion import VideoOcclusion


@dataclass(frozen=True)
class Cuts:
    """Reads and cuts an image, a clip or a video that a user gave.

    Args:
        image_granularity: what a piece of an image is; see `Picture.of`.
        image_occlusion: how it disappears.
        audio_granularity: what a piece of a clip is; see `Clip.of`.
        audio_occlusion: how it disappears.
        video_granularity: what a piece of a video is; see `Video.of`.
        video_occlusion: how it disappears.
        rate: samples per second that the model wants, None when it takes no audio.
        sample: chooses the frames of a video file that are shown, as the model wants them; all of them for None.
    """

    image_granularity: ImageGranularity | ImageSegmenter | None = None
    image_occlusion: ImageOcclusion | None = None
    audio_granularity: AudioGranularity | AudioSegmenter | None = None
    audio_occlusion: AudioOcclusion | None = None
    video_granularity: VideoGranularity | VideoSegmenter | None = None
    video_occlusion: VideoOcclusion | ImageOcclusion | None = None
    rate: int | None = None
    sample: Sampler | None = None

    def __call__(self, modality: str, given: Any) -> Picture | Clip | Video:
        """The image, clip or video in its pieces; errors say what cannot be read or cut."""
        if modality == "video":
            return Video.of(given, self.video_granularity, self.video_occlusion, self.sample)
        if modality == "image":
            return Picture.of(given, self.image_granularity, self.image_occlusion)
        assert self.rate is not None
        return Clip.of(given, self.rate, self.audio_granularity, self.audio_occlusion)
