"""Whether gradients can be taken of a model, and a context in which they can."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

QUANTISED_MODULES = ("torch.ao.nn.quantized", "torch.ao.nn.qat", "torch.nn.quantized")
QUANTISED_WEIGHTS = ("torchao", "bitsandbytes")
"""Packages of modules, and of tensors, that hold rounded weights."""


def check_differentiable(model: Any) -> None:
    """Raise a ValueError for a model whose gradients are not those of its numbers, or cannot be taken.

    Example:
        >>> check_differentiable(torch.nn.Linear(2, 2))
    """
    how = _quantised(model)
    if how:
        raise ValueError(
            f"{type(model).__name__} is quantised ({how}), and gradients pass through rounded weights wrongly or not at all: "
            "load it without quantisation, or use a method that evaluates coalitions, such as KernelShap."
        )
    name = next((name for name, parameter in model.named_parameters() if parameter.is_inference()), None)
    if name is not None:
        raise ValueError(
            f"{type(model).__name__} was loaded within torch.inference_mode(), and torch records no gradients for such weights "
            f"({name}): load the model outside of it."
        )
    name = next((name for name, parameter in model.named_parameters() if parameter.device.type == "meta"), None)
    if name is not None and not any(hasattr(module, "_hf_hook") for module in model.modules()):
        raise ValueError(f"{type(model).__name__} has weights without numbers ({name} is on the meta device): load them.")


def _quantised(model: Any) -> str:
    """How a model's weights are rounded, empty where they are not."""
    if getattr(model, "is_quantized", False) or getattr(model, "hf_quantizer", None) is not None:
        method = getattr(model, "quantization_method", None) or getattr(model.config, "quantization_config", "quantization")
        return str(getattr(method, "value", method))
    for module in model.modules():
        if type(module).__module__.startswith(QUANTISED_MODULES):
            return type(module).__name__
    for name, parameter in model.named_parameters():
        if type(parameter.data).__module__.startswith(QUANTISED_WEIGHTS) or not parameter.dtype.is_floating_point:
            return f"{name} is {type(parameter.data).__name__} of {parameter.dtype}"
    return ""


@contextmanager
def recording(model: nn.Module) -> Iterator[None]:
    """Within, gradients are recorded, but of no weight of the model; afterwards its weights are as before.

    Example:
        >>> model = torch.nn.Linear(1, 1)
        >>> with torch.no_grad(), recording(model):
        ...     print(torch.is_grad_enabled(), model.weight.requires_grad)
        True False
        >>> model.weight.requires_grad
        True
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        with torch.inference_mode(False), torch.enable_grad():
            yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)
