"""How many token ids a model has."""

from __future__ import annotations

from typing import Any

import torch


def vocabulary_size(model: Any) -> int | None:
    """The rows of the input embedding, or what the config says where the model names no embedding; None where nothing does.

    CANINE reads characters and has no vocabulary; the Perceiver's "input embedding" is a table of latents.

    Example:
        >>> from interpreto_mllm.testbed import load_recall
        >>> vocabulary_size(load_recall()[0])
        82
    """
    try:
        weight = getattr(model.get_input_embeddings(), "weight", None)
    except NotImplementedError:
        weight = None
    if isinstance(weight, torch.Tensor):
        return len(weight)
    size = getattr(model.config.get_text_config(), "vocab_size", None)
    return size if isinstance(size, int) and size > 0 else None
