"""Where the sound changes: spectral flux around given times."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Float32, Int64

WINDOW_SECONDS = 0.020
"""How much sound before and after a time is compared."""

STEP_SECONDS = 0.001
"""From one candidate to the next."""


def sharpest(samples: Float32[np.ndarray, "s"], rate: int, edges: Sequence[int], reach: int | float) -> list[int]:
    """Each edge moved to the sharpest change of sound within `reach` milliseconds.

    Edges stay in order: none moves more than halfway to its neighbour. Edges at the ends of the clip stay, as do edges with no
    sharper change around them.

    Args:
        samples: the clip.
        rate: samples per second.
        edges: in samples, in order.
        reach: in milliseconds.
    """
    step, far = max(1, round(STEP_SECONDS * rate)), round(reach * rate / 1000)
    moved = []
    for place, edge in enumerate(edges):
        before = (edges[place - 1] + edge) // 2 + 1 if place else 1
        after = (edges[place + 1] + edge) // 2 if place + 1 < len(edges) else len(samples) - 1
        candidates = np.arange(-(far // step), far // step + 1) * step + edge
        candidates = candidates[(candidates >= before) & (candidates <= after)]
        if not 0 < edge < len(samples) or not len(candidates):
            moved.append(int(edge))
            continue
        changes = flux(samples, rate, candidates)
        best = np.flatnonzero(changes >= changes.max() * (1 - 1e-9))
        moved.append(int(candidates[best[np.abs(candidates[best] - edge).argmin()]]))
    return moved


def flux(samples: Float32[np.ndarray, "s"], rate: int, times: Int64[np.ndarray, "times"]) -> Float[np.ndarray, "times"]:
    """How much the spectrum changes at each time: the mean absolute difference of the square roots of its magnitudes, which
    weighs soft and loud sounds more as hearing does than the magnitudes would. Times are in samples.

    The spectra are those of the 20 ms before and after, each under half a Hann window that is highest at the time itself, so
    that the change peaks there. Beyond the ends of the clip there is silence.
    """
    width = max(2, round(WINDOW_SECONDS * rate))
    padded = np.concatenate([np.zeros(width), samples, np.zeros(width)])
    fall = np.cos(np.pi / 2 * np.arange(width) / width) ** 2
    before = np.stack([padded[time : time + width] for time in times]) * fall[::-1]
    after = np.stack([padded[time + width : time + 2 * width] for time in times]) * fall
    magnitudes = [np.sqrt(np.abs(np.fft.rfft(side))) for side in (before, after)]
    return np.abs(magnitudes[1] - magnitudes[0]).mean(1)
