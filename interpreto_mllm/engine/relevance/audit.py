"""Where relevance goes: each operation of a forward is shown to pass on all of it, or what it keeps is counted."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map_only

from interpreto_mllm.engine.relevance.mode import Function, called
from interpreto_mllm.engine.relevance.normalisation import SQUARES
from interpreto_mllm.engine.relevance.rules import RULES, ruled
from interpreto_mllm.engine.relevance.share import carries

Arguments = tuple[tuple[Any, ...], dict[str, Any]]

BIASES, CONSTANTS, SOFTMAX, VALUE = "biases", "constants", "softmax", "value function"

KEEPING: dict[Function, str] = {
    **dict.fromkeys((F.softmax, torch.softmax, Tensor.softmax, F.scaled_dot_product_attention), SOFTMAX),
    **dict.fromkeys((F.log_softmax, torch.log_softmax, Tensor.log_softmax, torch.logsumexp, Tensor.logsumexp), SOFTMAX),
    F.layer_norm: BIASES,
    torch.baddbmm: CONSTANTS,
    Tensor.baddbmm: CONSTANTS,
    called: VALUE,
}
"""Functions that are not linear and keep a part of the relevance, as AttnLRP has it, and what the part belongs to."""

BIASED = frozenset(
    {F.linear, F.conv1d, F.conv2d, F.conv3d, torch.conv1d, torch.conv2d, torch.conv3d, torch.addmm, Tensor.addmm}
)
"""Functions whose constants are biases."""

SIZE = 8.0
"""Operations are tried on numbers of this size, where what is not linear shows."""


ROUNDINGS = 64
"""Units in the last place by which sums of many terms may differ."""


class NoRule(Exception):
    """An operation is not linear and has no rule."""


class Audit:
    """Carries out operations with their rules, and finds out what becomes of the relevance in each.

    Attributes:
        kept: relevance that reaches no input, by what keeps it; complete after the backward, which must run outside the rules.
    """

    def __init__(self) -> None:
        self.kept: defaultdict[str, float] = defaultdict(float)

    def __call__(self, function: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Carry out an operation.

        Raises:
            NoRule: when it carries relevance, is not linear in it, and has no rule.
        """
        if not any(map(carries, tree_leaves((args, kwargs)))):
            return function(*args, **kwargs)
        before = _copied(function, (args, kwargs))
        output = ruled(function, args, kwargs)
        if not any(map(carries, tree_leaves(output))):
            return output
        if function in KEEPING:
            self._compare(function, before, output)
        elif function not in RULES and function not in SQUARES:
            self._try(function, before, output)
        return output

    def _compare(self, function: Function, before: Arguments, output: Tensor) -> None:
        """When the relevance of the output is known: how much of it does not go into the inputs?"""
        value = output.detach().clone()

        def arrived(gradient: Float[Tensor, "..."]) -> None:
            with torch.enable_grad():
                again = _copied(function, before)
                leaves = [one for one in tree_leaves(again) if carries(one)]
                gradients = torch.autograd.grad(ruled(function, *again), leaves, gradient, materialize_grads=True)
            left = sum(map(_relevance, leaves, gradients))
            self.kept[KEEPING[function]] += _relevance(value, gradient) - left

        output.register_hook(arrived)

    def _try(self, function: Function, before: Arguments, outputs: Any) -> None:
        """f(2x) + f(0) = 2 f(x): what is linear but for a constant passes on all relevance but for that of the constant."""
        carrying = [float(one.detach().abs().max()) for one in tree_leaves(before) if carries(one) and one.numel()]
        size = max(carrying, default=0.0) or 1.0
        none, once, twice = (_run(function, before, factor / size) for factor in (0.0, SIZE, 2 * SIZE))
        for constant, one, two, output in zip(none, once, twice, tree_leaves(outputs), strict=True):
            if not isinstance(one, Tensor) or not one.is_floating_point():
                continue
            if not _affine(constant, one, two):
                raise NoRule(function.__name__)
            if carries(output) and constant.any():
                kind = BIASES if function in BIASED else CONSTANTS
                output.register_hook(lambda gradient, kind=kind, constant=constant: self._keep(kind, constant, gradient))

    def _keep(self, kind: str, constant: Float[Tensor, "*shape"], gradient: Float[Tensor, "*shape"]) -> None:
        self.kept[kind] += _relevance(constant, gradient)


def _run(function: Function, before: Arguments, factor: float) -> list[Any]:
    """The outputs of an operation, with what carries relevance multiplied."""
    copied = _copied(function, before)
    args, kwargs = tree_map_only(Tensor, lambda one: one.detach() * factor if carries(one) else one, copied)
    return tree_leaves(function(*args, **kwargs))


def _affine(none: Float[Tensor, "*shape"], once: Float[Tensor, "*shape"], twice: Float[Tensor, "*shape"]) -> bool:
    """Whether f(2x) - f(x) = f(x) - f(0), up to rounding; a mask of −∞ is the same in all three."""
    finite = once.isfinite()
    if not torch.equal(none.isfinite(), finite) or not torch.equal(twice.isfinite(), finite):
        return False
    first, second = (once - none)[finite].double(), (twice - once)[finite].double()
    largest = float(torch.cat([none[finite], once[finite], twice[finite]]).abs().max()) if len(first) else 0.0
    return torch.allclose(first, second, rtol=0, atol=ROUNDINGS * torch.finfo(once.dtype).eps * largest)


def _relevance(value: Float[Tensor, "*shape"], gradient: Float[Tensor, "*shape"]) -> float:
    """Gradient times input; what no gradient reaches, such as a masked score of −∞, has none."""
    return float(torch.where(gradient == 0, 0, value.detach() * gradient).double().sum())


def _copied(function: Function, arguments: Arguments) -> Arguments:
    """Arguments of their own for what carries relevance; for an operation in place, also for what does not."""
    in_place = function.__name__.endswith("_")

    def copy(tensor: Tensor) -> Tensor:
        return tensor.detach().clone().requires_grad_(tensor.requires_grad) if in_place or carries(tensor) else tensor

    return tree_map_only(Tensor, copy, arguments)
