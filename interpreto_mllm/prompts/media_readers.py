"""What parts of processors read, what stands for that in texts, and how frames of videos are given to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from interpreto_mllm.media.footage import Footage

PLACEHOLDERS = {"image": ("boi_token", "image_token"), "audio": ("audio_token",), "video": ("video_token",)}
"""Attributes of processors with what their chat templates write for an image, a clip or a video, likeliest first."""

SOFT_IDS = {
    "image": ("image_token_id", "image_token_index"),
    "audio": ("audio_token_id", "audio_token_index"),
    "video": ("video_token_id", "video_token_index"),
}
"""Attributes of configs that hold the id whose embeddings an encoder fills in."""


def video_arguments(videos: Sequence[Footage]) -> dict[str, Any]:
    """The arguments of a processor for frames that are chosen already."""
    if not videos:
        return {}
    told = {"video_metadata": [video.metadata for video in videos], "do_sample_frames": False}
    return {"videos": [video.frames for video in videos], "videos_kwargs": {**told, "input_data_format": "channels_last"}}


def reads(part: object) -> str | None:
    """Whether a part of a processor reads images, audio or videos; None for none of them."""
    names = {base.__name__ for base in type(part).__mro__}
    if names & {"VideoProcessorMixin", "BaseVideoProcessor"}:  # derived from the class of image processors
        return "video"
    return "image" if "ImageProcessingMixin" in names else "audio" if "FeatureExtractionMixin" in names else None
