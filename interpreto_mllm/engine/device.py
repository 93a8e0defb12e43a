"""The device that a model's inputs go to."""

from __future__ import annotations

from typing import Any

import torch


def input_device(model: Any) -> torch.device:
    """Where the model reads its ids: on its embedding's device, or where accelerate runs an embedding that is offloaded.

    A model that reads no text has its inputs on its own device.

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
