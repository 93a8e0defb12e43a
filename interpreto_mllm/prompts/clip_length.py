"""Whether a model's processor uses a clip to its end."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from interpreto_mllm.media.clip import Clip
from interpreto_mllm.media.state import State
from interpreto_mllm.prompts.processing import Processing, Tensors

TAIL_SECONDS = 0.025
"""How much of a clip is changed to see whether the output changes: more than one step of any spectrogram."""


def check_clip_length(clip: Clip, processing: Processing) -> None:
    """Raise a ValueError if the processor silently cuts off the end of the clip.

    The end is changed: a processor that returns the same tensors does not use it.
    """
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
