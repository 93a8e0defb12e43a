"""The positions that the pieces of images and clips have in what a decoder reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from interpreto_mllm.core.feature import Feature
from interpreto_mllm.engine.decoder_hooks import capture_decoder_inputs, decoder_of
from interpreto_mllm.engine.moving_media import FAINT, owners_of, shown
from interpreto_mllm.media.encoded import Encoded
from interpreto_mllm.media.state import State
from interpreto_mllm.prompts.processing import Processing


def no_positions(model: Any) -> str:
    """What a user is told of a layer of a model where images and clips have no states of their own."""
    return (
        f"{type(model).__name__} gives the pieces of images and clips no positions among the tokens of a text, so they have no "
        "states at a layer: leave `layer` out to explain them by the numbers that the model reads, or pin them to explain the "
        "text alone."
    )


def media_positions(
    model: Any,
    processing: Processing,
    arguments: dict[str, Any],
    soft: Bool[Tensor, "l"],
    media: Sequence[State],
    features: Sequence[Feature],
) -> Int[Tensor, "l"]:
    """For every position that an encoder fills in, the feature whose piece shows in it most, or -1.

    Each piece is shown by itself, as in `moving_media`, and what reaches the decoder is compared with that of nothing.

    Args:
        model: with a decoder that reads what encoders make of images and clips among the tokens of the text.
        processing: its processor.
        arguments: of its forward, for the whole prompt.
        soft: positions that encoders fill in.
        media: of the prompt, whole.
        features: of the prompt.

    Raises:
        ValueError: for a model without such a decoder, or one that puts them there itself, or ready encodings.
    """
    if decoder_of(model) is None or getattr(model.config, "is_encoder_decoder", False) or not soft.any():
        raise ValueError(no_positions(model))
    if any(isinstance(state.medium, Encoded) for state in media):
        raise ValueError(
            "Which positions a part of a ready encoding has at a layer is found by showing it alone, which needs the image or "
            "the clip itself: give that, or leave `layer` out."
        )
    owners = owners_of(features)
    owner, best = torch.full((len(soft),), -1), torch.zeros(len(soft))
    places = soft.nonzero()[:, 0]

    def read(number: int, piece: int | None) -> Tensor:
        given = {**arguments, **shown(processing, media, number, piece)}
        embeddings = capture_decoder_inputs(model, given).get("inputs_embeds")
        if embeddings is None:
            raise ValueError(
                f"{type(model).__name__} puts images and clips among its tokens within its decoder, where their pieces cannot "
                "be told apart: pin them to explain the text at a layer, or use a method of coalitions."
            )
        return embeddings[0, places].float().cpu()

    for number, state in enumerate(media):
        blank, count = read(number, None), len(state.medium.labels)
        changes = torch.stack([(read(number, piece) - blank).norm(dim=-1) for piece in range(count + 1)])
        strongest, piece = changes.max(0)
        told = (strongest > best[places]) & (strongest > FAINT * changes.max())
        mine = torch.tensor([*(owners.get((number, one), -1) for one in range(count)), -1])[piece]
        owner[places] = torch.where(told, mine, owner[places])
        best[places] = torch.where(told, strongest, best[places])
    return owner
