"""Reads videos for a model of single images: each frame is an image of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int
from transformers import LlavaProcessor

MOST_FRAMES = 6
"""Of a longer video, frames at equal distances are shown."""


class FrameSampler:
    """Chooses the frames of a video that are shown: all, or six at equal distances."""

    def sample_frames(
        self, metadata: Any, num_frames: int | None = None, fps: float | None = None
    ) -> Int[np.ndarray, "frames"]:
        """The numbers of the frames that are shown.

        Args:
            metadata: of the video: its frames and how many there are per second.
            num_frames: how many are wanted.
            fps: how many are wanted per second.

        Example:
            >>> FrameSampler().sample_frames({"total_num_frames": 11, "fps": 1.0}, num_frames=3).tolist()
            [0, 5, 10]
        """
        total = metadata["total_num_frames"]
        wanted = round(total / metadata["fps"] * fps) if num_frames is None and fps is not None else num_frames
        count = min(total, MOST_FRAMES if wanted is None else max(1, wanted))
        return np.linspace(0, total - 1, count).round().astype(np.int64)


class FrameProcessor(LlavaProcessor):
    """A LLaVA processor that also reads videos: `<video>` stands for the images of all frames, one after the other.

    Example:
        >>> from interpreto_mllm.testbed import load_watching
        >>> _, processor = load_watching()
        >>> encoded = processor(text=["<video> what colour came first ?"], videos=[np.zeros((3, 96, 96, 3), dtype=np.uint8)])
        >>> len(encoded["pixel_values"])
        3
    """

    video_token = "<video>"

    @property
    def video_processor(self) -> FrameSampler:
        """What chooses the frames of a file."""
        return FrameSampler()

    def __call__(
        self,
        images: Any = None,
        text: str | list[str] | None = None,
        videos: Sequence[Any] | None = None,
        videos_kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Any:
        """The model's inputs; `videos_kwargs` are of no use here, as the frames' times are not told to the model.

        Raises:
            ValueError: for images beside videos, and for another number of videos than of places for them.
        """
        if videos is None:
            return super().__call__(images=images, text=text, **options)
        if images is not None:
            raise ValueError("This model reads images or videos, not both in one prompt.")
        texts = [text] if isinstance(text, str) else list(text or ())
        places = sum(one.count(self.video_token) for one in texts)
        if places != len(videos):
            raise ValueError(f"The texts have {places} places {self.video_token} for {len(videos)} videos.")
        left = iter(videos)
        filled = []
        for one in texts:
            parts = one.split(self.video_token)
            written = [f" {' '.join([self.image_token] * len(next(left)))} " for _ in parts[1:]]
            filled.append("".join(part + place for part, place in zip(parts, [*written, ""], strict=True)))
        frames = [frame for video in videos for frame in video]
        return super().__call__(images=frames, text=filled, **options)
