"""Whether a model has a rule for all that it does: tried on the row in question, before any costly work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from interpreto_mllm.engine.backward_rules import Forward
from interpreto_mllm.engine.relevance.audit import Audit, NoRule
from interpreto_mllm.engine.relevance.rules import relevance_rules
from interpreto_mllm.engine.rounding import excess, tolerance

SUPPORTED = (
    "Llama, Mistral, Qwen 2 and 3, Gemma 1 to 3, Phi 1 to 3, OPT, GPT-2, GPT-J, GPT-NeoX, LFM2, BERT, RoBERTa, DistilBERT, "
    "T5, BART, and LLaVA, Qwen-VL, Qwen-Audio, Gemma 3, Pixtral and others that read images or sounds as well"
)
"""Families that the tests hold to the rules."""

LOSSES = 8
"""How much more than a value its relevance may differ, which is a sum over all positions."""


@dataclass(frozen=True)
class Conservation:
    """Where the relevance of one value is.

    Args:
        value: what is explained, which is all the relevance there is.
        inputs: relevance of the input, position by position: its sum.
        kept: relevance of what is no input: `biases`, other `constants` such as the embeddings of positions, the `softmax` of
            attention, and the `value function` after the logits; the last two have their own gradients, as in the paper.
    """

    value: float
    inputs: float
    kept: dict[str, float]

    @property
    def lost(self) -> float:
        """What the rules do not account for."""
        return self.value - self.inputs - sum(self.kept.values())


def conservation(model: Any, forward: Forward) -> Conservation:
    """Follow the relevance of a value through every operation of a model.

    Args:
        model: a model.
        forward: runs it: the value, and the tensors that its relevance is attributed to.

    Raises:
        TypeError: when an operation is neither linear nor has a rule.
    """
    audit = Audit()
    try:
        with torch.enable_grad(), relevance_rules(model, audit):
            value, inputs = forward()
    except NoRule as error:
        raise TypeError(_unsupported(model, f"computes `{error}` of its input, which has no relevance rule")) from None
    gradients = torch.autograd.grad(value, list(inputs), materialize_grads=True)
    relevance = sum(float((one.detach() * gradient).double().sum()) for one, gradient in zip(inputs, gradients, strict=True))
    kept = {kind: part for kind, part in audit.kept.items() if part}
    return Conservation(float(value.detach()), relevance, kept)


def require_rules(model: Any, forward: Forward) -> None:
    """Try a model on a row: its values stay what they are, and no relevance is lost.

    Raises:
        TypeError: when the rules do not fit the model; it says which families they fit.
    """
    found, allowed = conservation(model, forward), tolerance(model)
    with torch.no_grad():
        plain = forward()[0].cpu().double()
    if excess(torch.tensor(found.value, dtype=torch.float64), plain, allowed) > 1:
        raise TypeError(_unsupported(model, f"gives {found.value:.6g} under the rules, and {float(plain):.6g} without"))
    size = abs(found.value) + abs(found.inputs) + sum(map(abs, found.kept.values()))
    if abs(found.lost) > LOSSES * allowed * (1 + size):
        hidden = "operations that torch does not show, such as fused kernels and autograd functions of its own"
        raise TypeError(_unsupported(model, f"loses {found.lost:.3g} of {found.value:.3g} in {hidden}"))


def _unsupported(model: Any, why: str) -> str:
    return (
        f"Relevance does not support {type(model).__name__}: it {why}. Supported are models of attention, normalisation and "
        f"feed-forward layers, such as the families {SUPPORTED}, with attention of the kind 'sdpa' or 'eager'. "
        "IntegratedGradients, the other gradient methods and the Shapley methods need no rules."
    )
