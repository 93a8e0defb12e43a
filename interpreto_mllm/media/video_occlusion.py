"""How an absent piece of a video disappears: painted over, blurred, frozen, or its frames left out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from einops import rearrange
from jaxtyping import Bool, UInt8

from interpreto_mllm.core.shown import shown as as_shown
from interpreto_mllm.media.footage import Footage
from interpreto_mllm.media.image_occlusion import DropImage, Fill, ImageOcclusion
from interpreto_mllm.media.regions import Regions
from interpreto_mllm.media.video_granularity import Tube


class VideoOcclusion(ABC):
    """What is left of a video where pieces are absent."""

    keeps_size: ClassVar[bool] = True
    """Whether what is left always has as many frames as the whole, at the same times."""

    @abstractmethod
    def left(self, footage: Footage, there: Bool[np.ndarray, "frames height width"]) -> Footage | None:
        """The video with only these pixels; None where nothing is left of it."""

    def check(self, tubes: Sequence[Tube], regions: Regions) -> None:
        """Raise a ValueError where these pieces cannot disappear like this."""


@dataclass(frozen=True)
class Freeze(VideoOcclusion):
    """Where a piece is absent, the last frame before it in which it is present stands still.

    Before the first frame in which it is present, that one is shown; where none is, the mean colour of the video. Neither times
    nor the number of frames change, and nothing appears that the video does not show, only later or earlier.

    Example:
        >>> footage = Footage.steady(np.arange(3, dtype=np.uint8).reshape(3, 1, 1, 1).repeat(3, axis=3), 1.0)
        >>> Freeze().left(footage, np.array([True, False, True])[:, None, None]).frames[:, 0, 0, 0].tolist()
        [0, 0, 2]
    """

    def left(self, footage: Footage, there: Bool[np.ndarray, "frames height width"]) -> Footage:
        order = np.where(there, np.arange(footage.count, dtype=np.int32)[:, None, None], np.int32(-1))
        before = np.maximum.accumulate(order, axis=0)
        first = np.where(there.any(0), there.argmax(0), -1)
        source = np.where(before >= 0, before, first[None])
        frames = np.take_along_axis(footage.frames, np.maximum(source, 0)[..., None], axis=0)
        if (source < 0).any():
            frames[source < 0] = footage.frames.mean((0, 1, 2)).round().astype(np.uint8)
        return footage.with_frames(frames)


@dataclass(frozen=True)
class DropFrames(VideoOcclusion):
    """Absent frames are left out, so that the video takes fewer tokens. Where none is left, it is left out of the prompt.

    Only for pieces that are whole frames.

    Args:
        times: "closed" closes the gaps: what follows is seen earlier, as in a recording that lacks these frames. "kept" leaves
            every other frame its time, which matters only to models that are told the times of frames.

    Raises:
        ValueError: for another word.

    Example:
        >>> footage = Footage.steady(np.zeros((4, 1, 1, 3), dtype=np.uint8), 1.0)
        >>> there = np.array([True, False, True, True])[:, None, None]
        >>> DropFrames().left(footage, there).times, DropFrames("kept").left(footage, there).times
        ((0.0, 1.0, 2.0), (0.0, 2.0, 3.0))
    """

    times: str = "closed"
    keeps_size = False

    def __post_init__(self) -> None:
        if self.times not in ("closed", "kept"):
            raise ValueError(f"DropFrames: times is 'closed' or 'kept'; got {as_shown(self.times)}.")

    def left(self, footage: Footage, there: Bool[np.ndarray, "frames height width"]) -> Footage | None:
        absent = np.flatnonzero(~there.any((1, 2))).tolist()
        if len(absent) == footage.count:
            return None
        return footage.without(absent, self.times == "closed")

    def check(self, tubes: Sequence[Tube], regions: Regions) -> None:
        if any(not regions.cover[:, tube.region].all() for tube in tubes):
            raise ValueError(
                "DropFrames() leaves out whole frames, and these pieces are parts of frames: use TimeSpans() or Frames(), or "
                "Fill(), Blur() or Freeze() to hide parts."
            )


@dataclass(frozen=True)
class Painted(VideoOcclusion):
    """Absent pieces show what an occlusion of images puts there, in each frame by itself; a mean colour is that of all frames.

    Args:
        occlusion: the occlusion of images.
    """

    occlusion: ImageOcclusion

    def counterpart(self, footage: Footage) -> UInt8[np.ndarray, "frames height width 3"]:
        """What is shown where pieces are absent."""
        if isinstance(self.occlusion, Fill):
            filled = self.occlusion.counterpart(rearrange(footage.frames, "f h w c -> (f h) w c"))
            return rearrange(filled, "(f h) w c -> f h w c", f=footage.count)
        return np.stack([np.asarray(self.occlusion.counterpart(frame)) for frame in footage.frames])

    def left(self, footage: Footage, there: Bool[np.ndarray, "frames height width"]) -> Footage:
        return footage.with_frames(np.where(there[..., None], footage.frames, self.counterpart(footage)))


def check_video_occlusion(occlusion: object) -> VideoOcclusion | ImageOcclusion:
    """The occlusion as given, or a TypeError that lists what is accepted."""
    if isinstance(occlusion, VideoOcclusion) or (
        isinstance(occlusion, ImageOcclusion) and not isinstance(occlusion, DropImage)
    ):
        return occlusion
    raise TypeError(
        "The video occlusion must be Fill(...), Blur(radius), ReplaceImage(image), Freeze() or DropFrames(times); got "
        f"{as_shown(occlusion)}."
    )
