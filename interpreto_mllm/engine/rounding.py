"""By how much two ways of computing the same number may differ."""

from __future__ import annotations

import re
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

ROUNDINGS = 4
"""Units in the last place that half precision may differ by."""

LEAST = 3e-5
"""What single precision may differ by, relative to 1 + |value|: some 250 units in the last place, as sums of many terms do."""

NOISE = 4
"""How many times as much as this is noise where it is seen to be: in half precision, of a row beside copies of itself."""


EXPERTS = re.compile(r"^(moe_)?num_(local_)?experts$|^n_routed_experts$|^moe_num_experts$|^ffn_config$")
"""Settings that say how many experts a layer has, by the names that models give them."""


QUANTISES_INPUTS = ("act_quant_kwargs", "input_quant_func")
"""What weights hold that say how the inputs of their layers are quantised."""


def tolerance(model: Any) -> float:
    """By how much numbers may differ that are equal up to rounding, relative to 1 + |value|.

    `max(4 eps, 3e-5)`, with eps the distance of 1 to the next number of the model's type: 3e-5 in float32, 0.004 in float16,
    0.03 in bfloat16. Where CUDA multiplies float32 matrices in TF32, its eps counts.
    """
    dtype = model.dtype if model.dtype.is_floating_point else torch.float32
    eps = torch.finfo(dtype).eps
    if dtype == torch.float32 and model.device.type == "cuda" and torch.backends.cuda.matmul.allow_tf32:
        eps = 2.0**-10
    return max(ROUNDINGS * eps, LEAST)


def excess(one: Float[Tensor, "*shape"], other: Float[Tensor, "*shape"], allowed: float) -> float:
    """The greatest difference relative to what is allowed; at most 1 where two tensors are equal up to rounding."""
    one, other = one.double(), other.double()
    if one.shape != other.shape or not torch.equal(one.isfinite(), other.isfinite()):
        return float("inf")
    finite = other.isfinite()
    if not finite.any():
        return 0.0
    differences = (one - other).abs()[finite] / (allowed * (1 + other.abs()[finite]))
    return float(differences.max())


def half(model: Any) -> bool:
    """Whether a model computes in half precision, where a tie can fall either way."""
    return model.dtype in (torch.float16, torch.bfloat16)


def has_experts(model: Any) -> bool:
    """Whether tokens are sent to some of several experts, so that rounding can change which."""
    settings = model.config.get_text_config().to_dict()
    return any(EXPERTS.search(name) and (isinstance(value, dict) or (value or 0) > 1) for name, value in settings.items())


def quantises_inputs(model: Any) -> bool:
    """Whether what layers read is quantised as the model runs, so that a difference in the last bit becomes one of a step.

    This is told by the weights, which hold how (torchao's do).
    """
    return any(getattr(weight, name, None) is not None for weight in model.parameters() for name in QUANTISES_INPUTS)


def log_probabilities(logits: Float[Tensor, "*rows v"], targets: Any) -> Float[Tensor, "*rows"]:
    """Of the targets: what trials compare, whichever mode is explained."""
    chosen = logits.gather(-1, targets[..., None])[..., 0]
    return chosen - logits.logsumexp(-1)


def chosen_logits(logits: Float[Tensor, "*rows v"], targets: Any) -> Float[Tensor, "*rows"]:
    """Of the targets."""
    return logits.gather(-1, targets[..., None])[..., 0]
