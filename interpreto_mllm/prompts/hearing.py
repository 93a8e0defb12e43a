"""Whether a model's processor hears a clip to its end."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from interpreto_mllm.media.clip import Clip
from interpreto_mllm.media.state import State
from interpreto_mllm.prompts.processing import Processing, Tensors

TAIL = 0.025
"""Seconds of a clip that are changed to see whether the processor notices: more than one step of any spectrogram."""


def check_heard(clip: Clip, processing: Processing) -> None:
    """Raise a ValueError where the processor cuts off the clip's end, as some do without a word.

    Found out by changing the end: a processor that gives the same tensors has not heard it.
    """
    whole = _tensors(clip, processing)
    if _noticed(clip, clip.seconds, whole, processing):
        return
    low, high = 0.0, clip.seconds
    while high - low > 0.01:
        middle = (low + high) / 2
        low, high = (middle, high) if _noticed(clip, middle, whole, processing) else (low, middle)
    name, heard = type(processing.processor).__name__, max(0.0, low - TAIL)
    raise ValueError(
        f"The clip is {clip.seconds:.2f} s long, but {name} hears only its first {heard:.2f} s: shorten it, or explain it in "
        "pieces (nothing is cut off silently)."
    )


def _noticed(clip: Clip, end: float, whole: Tensors, processing: Processing) -> bool:
    """Whether noise just before `end` (in seconds) changes what the processor gives."""
    samples = clip.samples.copy()
    stop = max(1, round(end * clip.rate))
    start = max(0, stop - round(TAIL * clip.rate))
    samples[start:stop] = np.random.default_rng(0).uniform(-0.5, 0.5, stop - start)
    changed = _tensors(replace(clip, samples=samples), processing)
    return not all(torch.equal(tensor, changed[name]) for name, tensor in whole.items())


def _tensors(clip: Clip, processing: Processing) -> Tensors:
    return processing.bare([[State.whole(clip)]])
