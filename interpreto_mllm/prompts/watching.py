"""What a model's processor does with videos: which it reads together, and what it is told of the times of frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from interpreto_mllm.media.footage import Footage
from interpreto_mllm.media.image_occlusion import Fill
from interpreto_mllm.media.state import Medium, State
from interpreto_mllm.media.video import Video
from interpreto_mllm.media.video_granularity import WholeVideo
from interpreto_mllm.media.video_occlusion import DropFrames
from interpreto_mllm.prompts.processing import Processing, Tensors

SLOW = 0.5
"""Frames per second of the videos that are tried, so that dropping one changes times by seconds."""

FRAMES, SIDE = 6, 64
"""Of the videos that are tried."""


def as_watched(media: Sequence[Medium], processing: Processing) -> tuple[Medium, ...]:
    """The media of a prompt, with notes of what the processor is not told about videos.

    Raises:
        ValueError: where the processor cannot read them together, or not with frames left out.
    """
    if not any(isinstance(medium, Video) for medium in media):
        return tuple(media)
    if len(media) > 1:
        _check_together(media, processing)
    return tuple(
        replace(one, notes=(*one.notes, *_untold(one, processing))) if isinstance(one, Video) else one for one in media
    )


def _check_together(media: Sequence[Medium], processing: Processing) -> None:
    """Raise a ValueError where the processor cannot read these in one prompt."""
    name = type(processing.processor).__name__
    whole = [State.whole(medium) for medium in media]
    tried = [whole]
    for place, medium in enumerate(media):
        if isinstance(medium, Video) and not medium.keeps_size and len(medium.labels) > 1:
            one = State(medium, np.arange(len(medium.labels)) == 0)
            tried.append([one if other == place else state for other, state in enumerate(whole)])
    for states in tried:
        try:
            together = _read(states, processing)
        except Exception as error:  # a processor refuses what it cannot put together in its own ways
            left = (
                " with frames left out: use Fill(), Blur() or Freeze(), or one video at a time" if states is not whole else ""
            )
            hint = left or ": videos of as many frames, or one at a time, may do"
            raise ValueError(f"{name} cannot read these images and videos in one prompt{hint} ({str(error)[:120]}).") from error
    kinds = {state.medium.modality: state for state in whole}
    if {"image", "video"} <= kinds.keys():
        apart = [processing.bare([[state]]) for state in whole if state.medium.modality in ("image", "video")]
        for tensor in set.intersection(*({*_content(tensors)} for tensors in apart)):
            if together[tensor].numel() < sum(tensors[tensor].numel() for tensors in apart):
                raise ValueError(f"{name} loses the images of a prompt that has videos, too: give images or videos, not both.")


def _read(states: Sequence[State], processing: Processing) -> Tensors:
    """What the processor makes of these in one prompt."""
    return processing(["".join(processing.placeholder(state.medium.modality) for state in states)], [states])


def _content(tensors: Tensors) -> list[str]:
    """The names of the tensors that hold pixels."""
    return [name for name, tensor in tensors.items() if tensor.is_floating_point() and tensor.ndim > 1]


def _untold(video: Video, processing: Processing) -> tuple[str, ...]:
    """What the processor is not told of times that matter here."""
    uneven = len(set(np.diff(video.footage.indices))) > 1
    kept = isinstance(video.occlusion, DropFrames) and video.occlusion.times == "kept"
    if not (uneven or kept):
        return ()
    steady = Footage.steady(np.zeros((FRAMES, SIDE, SIDE, 3), dtype=np.uint8), SLOW)
    early, late, closed = (
        _of_footage(steady.without(absent, closed), processing)
        for absent, closed in (((1, 2), False), ((3, 4), False), ((1, 2), True))
    )
    name = type(processing.processor).__name__
    if not _equal(early, late):
        return ()
    if not _equal(early, closed):
        return (f"{name} is told how far frames are apart on average, and not when each is shown",)
    return (f"{name} is told no times of frames" + (": to it, times that are kept are closed up" if kept else ""),)


def _of_footage(footage: Footage, processing: Processing) -> Tensors:
    pieces = WholeVideo()(footage)
    return _read([State.whole(Video(footage, *pieces, Fill()))], processing)


def _equal(one: Tensors, other: Tensors) -> bool:
    return all(tensor.shape == other[name].shape and torch.equal(tensor, other[name]) for name, tensor in one.items())
