"""Coalitions that hold the features of some modalities and no others."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import torch
from jaxtyping import Bool
from torch import Tensor

from interpreto_mllm.core.feature import Feature


def modality_coalitions(features: Sequence[Feature]) -> Bool[Tensor, "p n"]:
    """All features of some modalities and none of the others: what `synergy` needs beside v(∅) and v(N).

    None for features of one modality, or where a group lies across several.

    Example:
        >>> modality_coalitions([Feature("a"), Feature("b"), Feature("c", modality="image")]).int().tolist()
        [[1, 1, 0], [0, 0, 1]]
    """
    present = modalities_of(features)
    some = [names for size in range(1, len(present)) for names in combinations(present, size)]
    if "mixed" in present or not some:
        return torch.zeros(0, len(features), dtype=torch.bool)
    return torch.stack([holding(features, names) for names in some])


def modalities_of(features: Sequence[Feature]) -> list[str]:
    """The modalities of the features, in order of first appearance."""
    return list(dict.fromkeys(feature.modality for feature in features))


def holding(features: Sequence[Feature], modalities: tuple[str, ...]) -> Bool[Tensor, "n"]:
    """The coalition of all features of these modalities."""
    return torch.tensor([feature.modality in modalities for feature in features])
