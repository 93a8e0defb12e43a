"""Whether a model's processor uses a clip to its end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from interpreto_mllm.media.clip import Clip
from interpreto_mllm.media.state import Medium, State
from interpreto_mllm.prompts.processing import Processing, Tensors

TAIL_SECONDS = 0.025
"""How much of a clip is changed to see whether the output changes: more than one step of any spectrogram."""


def check_clips(media: Sequence[Medium], processing: Processing) -> None:
    """Raise a ValueError if one of these is a clip that is too short or too long for the processor."""
    for medium in media:
        if isinstance(medium, Clip):
            check_clip_length(medium, processing)


def check_clip_length(clip: Clip, processing: Processing) -> None:
    """Raise a ValueError if the clip is shorter than the model reads, or the processor silently cuts off its end.

    The end is changed: a processor that returns the same tensors does not use it.
    """
    check_window(clip, processing)
    whole = _tensors(clip, processing)
    if _changes_output(clip, clip.seconds, whole, processing):
        return
    low, high = 0.0, clip.seconds
    while high - low > 0.01:
        middle = (low + high) / 2
        low, high = (middle, high) if _changes_output(clip, middle, whole, processing) else (low, middle)
    name, used = type(processing.processor).__name__, max(0.0, low - TAIL_SECONDS)
    raise ValueError(
        f"The clip is {clip.seconds:.2f} s long, but {name} uses only its first {used:.2f} s: shorten it, or explain it in "
        "pieces (nothing is cut off silently)."
    )


def check_window(clip: Clip, processing: Processing) -> None:
    """Raise a ValueError for a clip, or what may be left of it, that is shorter than the model's or the processor's window."""
    shortest = len(clip.samples) if clip.keeps_size else min(end - start for start, end in clip.segments)
    config, needed = processing.model.config, 1
    for kernel, stride in reversed(
        [*zip(getattr(config, "conv_kernel", ()), getattr(config, "conv_stride", ()), strict=False)]
    ):
        needed = (needed - 1) * stride + kernel
    left = "The clip" if clip.keeps_size else "What may be left of the clip"
    if shortest < needed:
        raise ValueError(
            f"{left} has {shortest} samples and is shorter than the {needed} that {type(processing.model).__name__} reads at "
            "a time."
        )
    try:
        _tensors(replace(clip, samples=clip.samples[:shortest], segments=((0, shortest),), labels=("",)), processing)
    except Exception as error:  # a processor fails in its own ways on what is shorter than its window
        raise ValueError(
            f"{left} has {shortest} samples and is shorter than {type(processing.processor).__name__} reads: {error}"
        ) from error


def _changes_output(clip: Clip, end: float, whole: Tensors, processing: Processing) -> bool:
    """Whether noise just before `end` (in seconds) changes the output of the processor."""
    samples = clip.samples.copy()
    stop = max(1, round(end * clip.rate))
    start = max(0, stop - round(TAIL_SECONDS * clip.rate))
    samples[start:stop] = np.random.default_rng(0).uniform(-0.5, 0.5, stop - start)
    changed = _tensors(replace(clip, samples=samples), processing)
    return not all(torch.equal(tensor, changed[name]) for name, tensor in whole.items())


def _tensors(clip: Clip, processing: Processing) -> Tensors:
    return processing.bare([[State.whole(clip)]])
