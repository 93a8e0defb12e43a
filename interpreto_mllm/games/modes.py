"""Inference modes: how logits become the value of a target."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interpreto_mllm.engine.queries import Mode
from interpreto_mllm.similarity.response_similarity import ResponseSimilarity


class InferenceModes(Enum):
    """What a coalition is worth: the target's logit, probability or log-probability. Everything is computed in float32.

    Each is callable, and so is a mode of your own: from logits `Float[... v]` and target ids `Int[...]` to `Float[...]`.
    Only SIMILARITY is not: it lets the model answer again, as `ResponseSimilarity()` does, which can say more about how.

    Example:
        >>> logits = torch.tensor([[0.0, 0.0]])
        >>> InferenceModes.SOFTMAX(logits, torch.tensor([1])).tolist()
        [0.5]
    """

    LOGITS = "logits"
    SOFTMAX = "softmax"
    LOG_SOFTMAX = "log_softmax"
    SIMILARITY = "similarity"

    def __call__(self, logits: Float[Tensor, "*rows v"], targets: Int[Tensor, "*rows"]) -> Float[Tensor, "*rows"]:
        if self is InferenceModes.SIMILARITY:
            raise TypeError("SIMILARITY compares answers and makes nothing of logits.")
        chosen = logits.gather(-1, targets[..., None])[..., 0]
        if self is InferenceModes.LOGITS:
            return chosen
        log_probabilities = chosen - torch.logsumexp(logits, dim=-1)
        return log_probabilities if self is InferenceModes.LOG_SOFTMAX else log_probabilities.exp()


def on_copies(mode: Mode) -> Mode:
    """The mode, given logits and targets of its own, so that one that edits them in place changes nothing of another's.

    Example:
        >>> logits = torch.ones(1, 2)
        >>> on_copies(lambda logits, targets: logits.zero_()[..., 0])(logits, torch.tensor([0])), logits
        (tensor([0.]), tensor([[1., 1.]]))
    """
    if isinstance(mode, InferenceModes):
        return mode
    return lambda logits, targets: mode(logits.clone(), targets.clone())


def of_independent_labels(mode: Mode) -> Mode:
    """The mode for labels that do not exclude one another, whose probabilities are those of the sigmoid.

    Example:
        >>> logits = torch.tensor([[0.0, 2.0]])
        >>> of_independent_labels(InferenceModes.SOFTMAX)(logits, torch.tensor([0])).tolist()
        [0.5]
    """
    if mode not in (InferenceModes.SOFTMAX, InferenceModes.LOG_SOFTMAX):
        return mode
    function = torch.sigmoid if mode is InferenceModes.SOFTMAX else torch.nn.functional.logsigmoid
    return lambda logits, targets: function(logits.gather(-1, targets[..., None])[..., 0])


def check_mode(mode: object) -> Mode | ResponseSimilarity:
    """The mode as given, or a ValueError that lists what is accepted."""
    if mode is InferenceModes.SIMILARITY:
        return ResponseSimilarity()
    if isinstance(mode, ResponseSimilarity):
        return mode
    if isinstance(mode, (InferenceModes, Callable)):
        return mode  # type: ignore[return-value]
    names = ", ".join(f"InferenceModes.{member.name}" for member in InferenceModes)
    raise ValueError(
        f"inference_mode must be one of {names}, a ResponseSimilarity, or a callable from logits and target ids to values; "
        f"got {mode!r}."
    )


def mode_name(mode: Mode | ResponseSimilarity) -> str:
    """How a mode is called on results: "log_softmax", or the name of the callable."""
    if isinstance(mode, ResponseSimilarity):
        return mode.name
    return mode.value if isinstance(mode, InferenceModes) else getattr(mode, "__name__", type(mode).__name__)
