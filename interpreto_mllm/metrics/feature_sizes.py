"""How large features are: tokens of a text, pixels of an image, seconds of a clip, pixels of all frames of a video."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from interpreto_mllm.core.feature import Feature
from interpreto_mllm.core.modalities import modalities_of
from interpreto_mllm.media import Clip, Picture, Video
from interpreto_mllm.results.record import Record


def feature_sizes(record: Record) -> Float[Tensor, "n"]:
    """The size of each feature, relative to the mean of its modality.

    Tokens, pixels and seconds are no common measure, so that those of a modality add up to the number of its features.

    Example:
        >>> from interpreto_mllm import KernelShap
        >>> from interpreto_mllm.testbed import load_recall
        >>> explainer = KernelShap(*load_recall(), granularity=[(0, 16), (17, 24)], budget=4)
        >>> [explanation] = explainer("the apple is red . what is", " red")
        >>> feature_sizes(explanation).tolist()
        [1.333..., 0.666...]
    """
    sizes = torch.tensor([_size(feature, record) for feature in record.features], dtype=torch.float64)
    for modality in modalities_of(record.features):
        here = torch.tensor([feature.modality == modality for feature in record.features])
        sizes[here] /= sizes[here].mean()
    return sizes


def _size(feature: Feature, record: Record) -> float:
    """Of a group across modalities, the number of its parts."""
    if feature.modality == "mixed":
        return float(len(feature.pieces) + len(feature.positions))
    if feature.pieces:
        return _of_pieces(feature, record)
    characters = sum(end - start for start, end in feature.spans)
    return float(len(feature.positions) or characters or len(feature.text) or 1)


def _of_pieces(feature: Feature, record: Record) -> float:
    """The share of their images or videos, or the seconds of their clips, that the pieces cover."""
    size = 0.0
    for medium in dict.fromkeys(medium for medium, _ in feature.pieces):
        pieces = [piece for owner, piece in feature.pieces if owner == medium]
        shown = record.media[medium] if medium < len(record.media) else None
        if isinstance(shown, Picture):
            area, cover = shown.areas
            size += float(np.isin(area, np.flatnonzero(cover[:, pieces].any(1))).mean())
        elif isinstance(shown, Clip):
            size += sum(end - start for start, end, held in shown.areas if set(held) & set(pieces)) / shown.rate
        elif isinstance(shown, Video):
            counts = np.bincount(shown.regions.area.ravel(), minlength=len(shown.regions.cover))
            seen = sum((end - first) * counts[area] for first, end, area, held in shown.areas if set(held) & set(pieces))
            size += float(seen / (shown.footage.count * shown.regions.area.size))
        else:
            size += float(len(pieces))
    return size
