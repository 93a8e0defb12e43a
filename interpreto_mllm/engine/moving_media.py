"""The numbers of a prompt's images and clips as parts that move, and the piece that each number shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Int, Shaped
from torch import Tensor

from interpreto_mllm.core.feature import Feature
from interpreto_mllm.engine.moving import Moving
from interpreto_mllm.media.clip import Clip
from interpreto_mllm.media.encoded import Encoded
from interpreto_mllm.media.picture import Picture
from interpreto_mllm.media.state import Medium, State
from interpreto_mllm.media.video import Video
from interpreto_mllm.prompts.processing import Processing

Tensors = dict[str, Shaped[Tensor, "..."]]
FAINT = 0.02
"""Of the largest change that showing a piece makes; numbers that change less show no piece."""


def moving_media(processing: Processing, media: Sequence[State], features: Sequence[Feature]) -> list[Moving]:
    """The tensors of images and clips that differ between the prompt and its media without their features.

    A path runs in what the model reads, from the processed occluded media to the processed whole ones. A number belongs to the
    piece that shows in it most: each piece is shown by itself, white on black or noise in silence, and processed.

    Raises:
        ValueError: where an occlusion changes the size of an image or a clip.
    """
    if not media:
        return []
    owners = owners_of(features)
    if not owners:
        return []
    whole, bare = processing.media([media]), bare_media(processing, media, owners)
    if any(whole[name].shape != bare[name].shape for name in whole):
        raise ValueError(
            "A gradient method moves numbers of an image or a clip, and this occlusion leaves some of them out: use Fill(), "
            "Blur() or ReplaceImage() for images and videos, and Mute(), WhiteNoise() or MeanLevel() for clips."
        )
    names = [name for name in whole if whole[name].is_floating_point() and not whole[name].equal(bare[name])]
    owned = _owned(processing, media, owners, {name: whole[name] for name in names})
    groups = _give_to_groups(processing, media, owners, whole, owned)
    return [_part(name, whole[name], bare[name], owned[name], groups) for name in names]


def owners_of(features: Sequence[Feature]) -> dict[tuple[int, int], int]:
    """The feature of each piece of an image or a clip, by the numbers of both."""
    return {pair: index for index, feature in enumerate(features) for pair in feature.pieces}


def bare_media(processing: Processing, media: Sequence[State], owners: dict[tuple[int, int], int]) -> Tensors:
    """What a model reads of images and clips without the pieces that are features."""
    return processing.media([_without(media, owners)])


def _part(
    name: str,
    whole: Shaped[Tensor, "..."],
    bare: Shaped[Tensor, "..."],
    owner: Int[Tensor, "l"],
    groups: tuple[tuple[int, ...], ...],
) -> Moving:
    numbers, owner = whole.reshape(-1, 1), owner.to(whole.device)
    start = torch.where(owner[:, None] != -1, bare.reshape(-1, 1), numbers)
    return Moving(name, owner, numbers, start[None], tuple(whole.shape), groups)


def _give_to_groups(
    processing: Processing, media: Sequence[State], owners: dict[tuple[int, int], int], whole: Tensors, owned: Tensors
) -> tuple[tuple[int, ...], ...]:
    """Numbers of no feature that change with an image or a clip get the owner -2 - k, for the k-th group of features: its own.

    The level of silence, which depends on the loudest sound, is one; a presence of 0 for all features is then the occluded
    prompt.
    """
    groups: list[tuple[int, ...]] = []
    for number in range(len(media)):
        mine = {pair: feature for pair, feature in owners.items() if pair[0] == number}
        if not mine:
            continue
        bare = bare_media(processing, media, mine)
        for name, owner in owned.items():
            changed = (whole[name] != bare[name]).flatten().cpu()
            owner[(owner == -1) & changed] = -2 - len(groups)
        groups.append(tuple(dict.fromkeys(mine.values())))
    return tuple(groups)


def _without(media: Sequence[State], owners: dict[tuple[int, int], int]) -> list[State]:
    """The images and clips without the pieces that are features."""
    kept = []
    for number, state in enumerate(media):
        present = state.present.copy()
        for piece in range(len(present)):
            present[piece] &= (number, piece) not in owners
        kept.append(State(state.medium, present))
    if any(state.dropped for state in kept):
        raise ValueError(
            "A gradient method moves numbers of an image or a clip, and this occlusion leaves it out of the prompt: use "
            "Fill(), Blur() or ReplaceImage() for images and videos, and Mute(), WhiteNoise() or MeanLevel() for clips."
        )
    return kept


def _owned(
    processing: Processing, media: Sequence[State], owners: dict[tuple[int, int], int], whole: Tensors
) -> dict[str, Int[Tensor, "l"]]:
    """For every number of these tensors the feature whose piece shows in it most, or -1."""
    best = {name: torch.zeros(tensor.numel()) for name, tensor in whole.items()}
    owned = {name: torch.full((tensor.numel(),), -1) for name, tensor in whole.items()}
    for number, state in enumerate(media):
        if isinstance(state.medium, Encoded):
            _mark_encoded(state.medium, number, owners, owned)
            continue
        blank = shown(processing, media, number, None)
        count = len(state.medium.labels)
        each = [shown(processing, media, number, piece) for piece in range(count + 1)]  # what no piece covers is the last
        for name in whole:
            changes = torch.stack([(one[name] - blank[name]).float().abs().flatten().cpu() for one in each])
            if count > 1 or changes[1].any():
                changes = changes - changes.min(1, keepdim=True).values  # what a normalisation does to all numbers alike
            strongest, piece = changes.max(0)
            told = (strongest > best[name]) & (strongest > FAINT * changes.max())
            features = torch.tensor([*(owners.get((number, piece), -1) for piece in range(count)), -1])
            owned[name] = torch.where(told, features[piece], owned[name])
            best[name] = torch.where(told, strongest, best[name])
    return owned


def _mark_encoded(medium: Encoded, number: int, owners: dict[tuple[int, int], int], owned: dict[str, Int[Tensor, "l"]]) -> None:
    """Each part of ready tensors belongs to its piece."""
    for name, edges in medium.rows.items():
        if name not in owned:
            continue
        each = owned[name].reshape(edges[-1], -1)
        for piece in range(len(edges) - 1):
            each[edges[piece] : edges[piece + 1]] = owners.get((number, piece), -1)


def shown(processing: Processing, media: Sequence[State], number: int, piece: int | None) -> Tensors:
    """The processed media with only one piece of one of them shown; none for None, and what no piece covers past the last."""
    changed = [state if place != number else State.whole(_only(state.medium, piece)) for place, state in enumerate(media)]
    return processing.media([changed])


def _only(medium: Medium, piece: int | None) -> Medium:
    """White on black, or noise in silence, where a piece is; a place under several pieces belongs to the first of them."""
    if isinstance(medium, Picture):
        from PIL import Image

        shown = _first(medium.regions.cover.T, piece)[medium.regions.area]
        image = Image.fromarray(np.where(shown, 255, 0).astype(np.uint8)).convert("RGB")
        return replace(medium, image=image, processed=None)
    if isinstance(medium, Video):
        frames = np.repeat(np.where(medium.only(piece), 255, 0).astype(np.uint8)[..., None], 3, axis=3)
        return replace(medium, footage=medium.footage.with_frames(frames))
    assert isinstance(medium, Clip)
    covered = np.zeros((len(medium.segments), len(medium.samples)), dtype=bool)
    for row, (start, end) in zip(covered, medium.segments, strict=True):
        row[start:end] = True
    coin = np.random.default_rng(0).integers(0, 2, len(medium.samples))
    noise = (coin - 0.5).astype(np.float32)  # no sample of it is faint
    return replace(medium, samples=np.where(_first(covered, piece), noise, np.float32(0)))


def _first(masks: Any, piece: int | None) -> Any:
    """Where a piece is and none before it; nowhere for None, and where no piece is for a number past the last.

    Args:
        masks: a row for each piece.
        piece: its number.
    """
    if piece is None:
        return np.zeros(masks.shape[1:], dtype=bool)
    if piece == len(masks):
        return ~masks.any(0)
    return masks[piece] & ~masks[:piece].any(0)
