"""Prompts of a single image or clip, for models that read no text."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import torch

from interpreto_mllm.media.state import Medium, features_of, notes_of
from interpreto_mllm.prompts.mapping import media_forms
from interpreto_mllm.prompts.model_input import ModelInput
from interpreto_mllm.prompts.occlusion import TextOcclusion
from interpreto_mllm.prompts.prompt import TokenPrompt


def media_only(media: tuple[Medium, ...], occlusion: TextOcclusion, modalities: Collection[str]) -> TokenPrompt:
    """The prompt of one image or clip.

    Raises:
        ValueError: for several, or none.
    """
    if len(media) != 1:
        raise ValueError(
            f"This model reads one image or clip at a time, the prompt has {len(media)}: give several as a list of "
            f"prompts, [{media_forms(modalities)}, ...]."
        )
    nothing = np.zeros(0, dtype=np.int64)
    return TokenPrompt("", ModelInput(nothing), nothing, features_of(media), occlusion, (), media, notes=notes_of(media))


def with_something_left(prompt: TokenPrompt) -> TokenPrompt:
    """The prompt, or a ValueError if nothing is left of it without its features."""
    [[empty]] = prompt.inputs_for(torch.zeros(1, len(prompt.features), dtype=torch.bool))
    if not empty.media:
        raise ValueError(
            "With every piece absent nothing is left for the model to read: use Fill() for images and Mute() for clips, "
            "or pin a piece."
        )
    return prompt
