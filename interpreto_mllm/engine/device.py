"""The device that a model's inputs go to."""

from __future__ import annotations

from typing import Any

import torch


def input_device(model: Any) -> torch.device:
    """The device of the embedding, or the one on which accelerate runs an embedding that is offloaded.

    The inputs of a model that reads no text go to the device of the model.

    Example:
        >>> from interpreto_mllm.testbed import load_recall
        >>> input_device(load_recall()[0])
        device(type='cpu')
    """
    try:
        embedding = model.get_input_embeddings()
    except NotImplementedError:  # a model of waveforms has none
        return model.device
    device = getattr(embedding, "weight", model).device
    return torch.device(embedding._hf_hook.execution_device) if device.type == "meta" else device
