"""Products of two tensors that both depend on the input: each gets half of the relevance.

The uniform rule: Achtibat et al. 2024, Proposition 3.3 for matrices, and its case of single numbers for gates.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from interpreto_mllm.engine.relevance.mode import Function
from interpreto_mllm.engine.relevance.share import carries, shared


def halved(function: Function) -> Function:
    """The rule of a product of two factors: half to each where both carry relevance, all to the one that does."""

    def rule(one: Any, other: Any, *args: Any, **kwargs: Any) -> Any:
        part = 0.5 if carries(one) and carries(other) else 1.0
        return function(shared(one, part), shared(other, part), *args, **kwargs)

    return rule


def contraction(equation: Any, *operands: Any) -> Any:
    """The rule of `torch.einsum` with two operands that carry relevance; with more, each gets an equal part."""
    tensors = operands[0] if len(operands) == 1 and isinstance(operands[0], (list, tuple)) else operands
    factors = sum(carries(operand) for operand in tensors)
    return torch.einsum(equation, *(shared(operand, 1 / max(factors, 1)) for operand in tensors))


def batched(input: Any, batch1: Any, batch2: Any, **kwargs: Any) -> Any:
    """The rule of `torch.baddbmm`; what is added keeps its own part."""
    part = 0.5 if carries(batch1) and carries(batch2) else 1.0
    return torch.baddbmm(input, shared(batch1, part), shared(batch2, part), **kwargs)


PRODUCTS: dict[Function, Function] = {
    **{
        function: halved(function)
        for function in (
            torch.mul,
            torch.multiply,
            torch.matmul,
            torch.bmm,
            torch.mm,
            Tensor.mul,
            Tensor.multiply,
            Tensor.matmul,
            Tensor.bmm,
            Tensor.mm,
        )
    },
    torch.einsum: contraction,
    torch.baddbmm: batched,
    Tensor.baddbmm: batched,
}
