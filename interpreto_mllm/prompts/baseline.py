"""What stands in the place of a text's features at the beginning of a path: tokens, embeddings, or another prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from interpreto_mllm.prompts.occlusion import Replace

RANDOM_DRAWS = 8
KEYWORDS = ("zero", "mean", "pad", "mask", "random")


@dataclass(frozen=True)
class OtherPrompt:
    """Another prompt as a baseline: each token of a feature moves from the token of the other prompt at its place.

    Args:
        prompt: anything that an explainer takes as one input, of as many tokens as the prompt that is explained.
    """

    prompt: Any


Single = str | int | Tensor | Replace | OtherPrompt
Baseline = Single | Sequence[Single]
"""One baseline, or several, of which each point of a method draws one for all features together, or which are averaged."""

Resolved = str | Int[np.ndarray, "l"] | Float[Tensor, "..."]
"""Either "zero" or "mean", token ids, or embeddings."""


def resolved(
    baseline: Baseline, ids: Int[np.ndarray, "l"], owner: Int[np.ndarray, "l"], tokenizer: Any, read: Any, seed: int
) -> list[Resolved]:
    """Each baseline as ids or embeddings of the prompt's tokens.

    Args:
        baseline: as the user gave it.
        ids: of the prompt.
        owner: the feature that each token belongs to, or -1; the latter keep their tokens.
        tokenizer: of the model.
        read: from an input to the ids that the model reads of it.
        seed: of random tokens.

    Raises:
        TypeError, ValueError: for what is no baseline of this prompt; the message says what is accepted.

    Example:
        >>> [kept] = resolved(7, np.array([1, 2, 3]), np.array([-1, 0, 0]), None, None, 0)
        >>> kept.tolist()
        [1, 7, 7]
    """
    several = list(baseline) if isinstance(baseline, (list, tuple)) else [baseline]
    if not several:
        raise ValueError("baseline is an empty list: give at least one baseline.")
    found: list[Resolved] = []
    for one in several:
        if isinstance(one, str) and one == "random":
            found += _random(ids, owner, tokenizer, seed)
        else:
            found.append(_resolved(one, ids, owner, tokenizer, read))
    return found


def _resolved(one: Any, ids: np.ndarray, owner: np.ndarray, tokenizer: Any, read: Any) -> Resolved:
    if isinstance(one, Tensor):
        return one
    if isinstance(one, str) and one in ("zero", "mean"):
        return one
    if isinstance(one, OtherPrompt):
        return _other(read(one.prompt), ids, owner)
    return _laid(_ids(one, tokenizer), ids, owner)


def _ids(one: Any, tokenizer: Any) -> Sequence[int]:
    """The tokens of a baseline."""
    if isinstance(one, str) and one in ("pad", "mask"):
        token = getattr(tokenizer, f"{one}_token_id")
        if token is None:
            raise ValueError(f"baseline={one!r}: this tokenizer has no {one} token; use 'zero', 'mean', a text or a token id.")
        return [token]
    if isinstance(one, Replace):
        return one.prepared(tokenizer).ids
    if isinstance(one, int) and not isinstance(one, bool):
        if tokenizer is not None and not 0 <= one < len(tokenizer):
            raise ValueError(f"baseline={one}: token ids of this tokenizer lie in [0, {len(tokenizer)}).")
        return [one]
    if isinstance(one, str):
        tokens = tokenizer.encode(one, add_special_tokens=False)
        if not tokens:
            raise ValueError(f"baseline={one!r}: this text has no tokens; use 'zero' for nothing at all.")
        return tokens
    raise TypeError(
        "baseline is what the embeddings of a text move from: 'zero', 'mean', 'pad', 'mask', 'random', a text, a token id, "
        f"Replace(...), OtherPrompt(...), a tensor of embeddings, or a list of these; got {one!r}. (Images, clips and "
        "videos have image_occlusion, audio_occlusion and video_occlusion.)"
    )


def _laid(tokens: Sequence[int], ids: np.ndarray, owner: np.ndarray) -> np.ndarray:
    """The tokens laid over those of each feature, from its first on and over again."""
    laid, seen = ids.copy(), dict[int, int]()
    for place in np.flatnonzero(owner >= 0).tolist():
        number = seen.get(int(owner[place]), 0)
        laid[place] = tokens[number % len(tokens)]
        seen[int(owner[place])] = number + 1
    return laid


def _other(other: np.ndarray, ids: np.ndarray, owner: np.ndarray) -> np.ndarray:
    if len(other) != len(ids):
        raise ValueError(
            f"The other prompt has {len(other)} tokens and this one {len(ids)}: give one of as many, so that each token has "
            "one to move from."
        )
    return np.where(owner >= 0, other, ids)


def _random(ids: np.ndarray, owner: np.ndarray, tokenizer: Any, seed: int) -> list[np.ndarray]:
    """Tokens that are no special ones, drawn alike for every place."""
    special = set(tokenizer.all_special_ids)
    plain = np.asarray([token for token in range(len(tokenizer)) if token not in special])
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randint(len(plain), (RANDOM_DRAWS, len(ids)), generator=generator).numpy()
    return [np.where(owner >= 0, plain[row], ids) for row in drawn]
