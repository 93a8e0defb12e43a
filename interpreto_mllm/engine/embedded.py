"""Embeddings of prompts and of the baselines that they move from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from interpreto_mllm.prompts.baseline import Resolved

IDS_AT_ONCE = 4096


def embedded(embedding: nn.Module, ids: Int[np.ndarray, "l"], device: torch.device) -> Float[Tensor, "l d"]:
    """What the embedding gives for tokens."""
    return embedding(torch.from_numpy(ids)[None].to(device))[0]


def embedded_baselines(
    embedding: Any,
    whole: Float[Tensor, "l d"],
    owner: Int[Tensor, "l"],
    baselines: Sequence[Resolved],
) -> Float[Tensor, "draws l d"]:
    """The embeddings of baselines; positions of no feature keep those of the prompt.

    Raises:
        ValueError: for embeddings of the wrong shape.
    """
    own = (owner >= 0).to(whole.device)[:, None]
    return torch.stack([torch.where(own, _one(embedding, whole, baseline), whole) for baseline in baselines])


def _one(embedding: Any, whole: Float[Tensor, "l d"], baseline: Resolved) -> Float[Tensor, "l d"]:
    if isinstance(baseline, np.ndarray):
        return embedded(embedding, baseline, whole.device)
    if isinstance(baseline, Tensor):
        length, hidden = whole.shape
        if baseline.shape not in ((hidden,), (1, hidden), (length, hidden)) or not baseline.is_floating_point():
            raise ValueError(
                f"A baseline of embeddings has the shape ({hidden},), one for all tokens, or ({length}, {hidden}), one for "
                f"each token of the prompt, in floats; got {baseline.dtype} of shape {tuple(baseline.shape)}."
            )
        return baseline.to(whole).expand(length, hidden)
    if baseline == "zero":
        return torch.zeros_like(whole)
    return _mean(embedding, whole).expand(whole.shape)


def _mean(embedding: Any, whole: Float[Tensor, "l d"]) -> Float[Tensor, "d"]:
    """Over the vocabulary, of what the embedding gives."""
    count = embedding.weight.shape[0]
    total = torch.zeros(whole.shape[1], dtype=torch.float64, device=whole.device)
    for ids in torch.arange(count, device=whole.device).split(IDS_AT_ONCE):
        total += embedding(ids[None])[0].double().sum(0)
    return (total / count).to(whole.dtype)
