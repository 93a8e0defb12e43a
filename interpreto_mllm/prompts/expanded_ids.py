"""Texts after a processor has put images, clips and videos in: which tokens were written, and which were put in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Int

from interpreto_mllm.prompts.granularity import Span
from interpreto_mllm.prompts.tokens import Tokens

Replaced = Mapping[str, Any]
"""What a processor tells about a placeholder: its `text`, its `span`, and the `new_span` of what replaced it."""


def told(text: str, given: Mapping[str, Any], tokenizer: Any) -> Tokens | None:
    """The tokens of a text whose processor says which of its characters it replaced by what; None for one that does not say.

    A token that holds anything that was put in counts as special.

    Args:
        text: as it was written, with placeholders.
        given: what the processor made of it, with the offsets of tokens and of replaced stretches.
        tokenizer: of the processor.
    """
    if "text_replacement_offsets" not in given or "offset_mapping" not in given:
        return None
    replaced: Sequence[Replaced] = given["text_replacement_offsets"][0]
    if any(text[slice(*one["span"])] != one["text"] for one in replaced):
        return None
    offsets: list[Span] = []
    inserted = []
    for start, end in np.asarray(given["offset_mapping"][0]).tolist():
        within = any(start < one["new_span"][1] and one["new_span"][0] < end for one in replaced)
        before = sum(_grown(one) for one in replaced if one["new_span"][1] <= start)
        inserted.append(within)
        offsets.append((0, 0) if within or start == end else (start - before, end - before))
    return Tokens.of_processor(text, given["input_ids"][0].tolist(), offsets, inserted, tokenizer)


def _grown(replaced: Replaced) -> int:
    """By how many characters the text has grown."""
    (start, end), (low, high) = replaced["span"], replaced["new_span"]
    return (high - low) - (end - start)


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
