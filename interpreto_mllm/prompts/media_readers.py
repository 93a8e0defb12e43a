"""What parts of processors read, what stands for that in texts, and how frames of videos are given to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from interpreto_mllm.media.footage import Footage

MOST_NEEDED, SIDE = 4, 64
"""Up to how many frames are tried that a video has to have, and their height and width."""

PLACEHOLDERS = {"image": ("boi_token", "image_token"), "audio": ("audio_token",), "video": ("video_token",)}
"""Attributes of processors with what their chat templates write for an image, a clip or a video, likeliest first."""

SOFT_IDS = {
    "image": ("image_token_id", "image_token_index"),
    "audio": ("audio_token_id", "audio_token_index"),
    "video": ("video_token_id", "video_token_index"),
}
"""Attributes of configs that hold the id whose embeddings an encoder fills in."""


def video_arguments(videos: Sequence[Footage], fewest: int = 1) -> dict[str, Any]:
    """The arguments of a processor for frames that are chosen already; the last frame of fewer than so many is repeated."""
    if not videos:
        return {}
    videos = [video.padded(fewest) for video in videos]
    told = {"video_metadata": [video.metadata for video in videos], "do_sample_frames": False}
    return {"videos": [video.frames for video in videos], "videos_kwargs": {**told, "input_data_format": "channels_last"}}


def fewest_frames(processor: Any, placeholder: str) -> int:
    """How many frames a video has to have for a processor; tried on blank ones."""
    for count in range(1, MOST_NEEDED + 1):
        blank = Footage.steady(np.zeros((count, SIDE, SIDE, 3), dtype=np.uint8), 1.0)
        try:
            processor(text=[placeholder], **video_arguments([blank]), return_tensors="pt")
        except Exception:  # a processor refuses too few in its own ways
            continue
        return count
    return 1


def reads(part: object) -> str | None:
    """Whether a part of a processor reads images, audio or videos; None for none of them."""
    names = {base.__name__ for base in type(part).__mro__}
    if names & {"VideoProcessorMixin", "BaseVideoProcessor"}:  # derived from the class of image processors
        return "video"
    return "image" if "ImageProcessingMixin" in names else "audio" if "FeatureExtractionMixin" in names else None
