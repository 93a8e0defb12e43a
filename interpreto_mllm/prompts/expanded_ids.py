"""Where a text's own tokens are among those that a processor made of it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from jaxtyping import Int


def expanded(
    plain: Int[np.ndarray, "plain"], holders: Sequence[int], given: Int[np.ndarray, "l"], soft: Sequence[int]
) -> Int[np.ndarray, "l"]:
    """Which of a text's own tokens each token of its processed form is, or -1 for those that the processor put in.

    Args:
        plain: the ids of the text before its images and clips were put in.
        holders: positions in it of their placeholders.
        given: the ids that the processor made of it.
        soft: ids that encoders fill in.

    Raises:
        ValueError: when the processor did more to the text than put images and clips in.
    """
    source = np.full(len(given), -1, dtype=np.int64)
    edges = [-1, *holders, len(plain)]
    start = 0
    for index, (low, high) in enumerate(pairwise(edges)):
        piece = plain[low + 1 : high]
        if index:
            start += int(np.isin(given[start:], soft).argmax()) + 1
        at = _find(given, piece, start, last=high == len(plain) and index > 0)
        if at is None:
            raise ValueError(
                "The processor rewrites the text around an image or a clip, so its words cannot be found in the prompt."
            )
        source[at : at + len(piece)] = np.arange(low + 1, high)
        start = at + len(piece)
    return source


def _find(given: Int[np.ndarray, "l"], piece: Int[np.ndarray, "piece"], start: int, last: bool) -> int | None:
    """Where the piece begins in the ids, from `start` on: the first place, or the last."""
    if not len(piece):
        return start
    windows = np.lib.stride_tricks.sliding_window_view(given[start:], len(piece)) if len(given) - start >= len(piece) else []
    places = np.flatnonzero([(window == piece).all() for window in windows])
    return None if not len(places) else start + int(places[-1 if last else 0])
