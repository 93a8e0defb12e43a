"""The output layer of a model, through which one backward pass is made for all tokens of an answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import get_ident
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from interpreto_mllm.engine.rounding import tolerance

Found = Sequence[Float[Tensor, "..."] | None]


class OutputLayer:
    """Parts the graph of a forward before the layer that gives the logits.

    The value of a token of an answer mostly depends on the state at one position alone. The gradients of all values with
    respect to these states then come from one backward pass, which is most of the work where a vocabulary is large. Whether it
    is so is seen in the gradients of every batch; where it is not, each value has a pass of its own.

    Args:
        model: a model that says which its output layer is; for another one, or None, nothing is parted.
    """

    def __init__(self, model: Any):
        getter = getattr(model, "get_output_embeddings", None)
        layer = getter() if callable(getter) else None
        self._layer = layer if isinstance(layer, nn.Module) else None
        self._before: Float[Tensor, "b l d"] | None = None
        self._after: Float[Tensor, "b l d"] | None = None
        self._tolerance = 0.0 if self._layer is None else tolerance(model)

    @contextmanager
    def parted(self) -> Iterator[None]:
        """Within, what the layer reads first is a leaf of a graph of its own; forwards in other threads are left alone."""
        if self._layer is None:
            yield
            return
        thread = get_ident()

        def part(module: nn.Module, args: tuple[Any, ...]) -> Any:
            if get_ident() != thread or self._after is not None or not args:
                return None
            if not isinstance(args[0], Tensor) or args[0].ndim != 3 or not args[0].requires_grad:
                return None
            self._before = args[0]
            self._after = args[0].detach().requires_grad_()
            return (self._after, *args[1:])

        handle = self._layer.register_forward_pre_hook(part)
        try:
            yield
        finally:
            handle.remove()

    def gradients(self, columns: Float[Tensor, "t"], leaves: Sequence[Tensor]) -> Iterator[Found]:
        """The gradients of each value with respect to the leaves, None for those that it does not depend on."""
        if self._before is None or self._after is None:
            for target, column in enumerate(columns):
                yield torch.autograd.grad(column, leaves, retain_graph=target + 1 < len(columns), allow_unused=True)
            return
        together = self._together(columns, leaves)
        for target, column in enumerate(columns):
            last = target + 1 == len(columns)
            direct: Found = [None] * len(leaves)
            if together is None:
                top, *direct = torch.autograd.grad(column, [self._after, *leaves], retain_graph=not last, allow_unused=True)
                if top is None:
                    yield direct
                    continue
            else:
                place = together.shape[1] - len(columns) + target
                top = torch.zeros_like(together)
                top[:, place] = together[:, place]
            found: Found = torch.autograd.grad(self._before, leaves, top, retain_graph=not last, allow_unused=True)
            yield [_sum(one, other) for one, other in zip(found, direct, strict=True)]

    def _together(self, columns: Float[Tensor, "t"], leaves: Sequence[Tensor]) -> Float[Tensor, "b l d"] | None:
        """The gradients of all values, each at a position of its own among the last ones; None where they are not apart."""
        assert self._after is not None
        count = len(columns)
        if count < 3 or self._after.shape[1] < count:
            return None
        top, *direct = torch.autograd.grad(columns.sum(), [self._after, *leaves], retain_graph=True, allow_unused=True)
        if top is None or any(one is not None for one in direct):
            return None
        order = torch.randperm(count, generator=torch.Generator().manual_seed(count))
        weights = torch.linspace(1, 2, count)[order].to(columns)
        [weighted] = torch.autograd.grad((columns * weights).sum(), [self._after], retain_graph=True)
        own, before = top[:, -count:].float(), top[:, :-count]
        off = (weighted[:, -count:].float() - weights.to(own)[:, None] * own).abs().amax((0, 2))
        apart = bool((off <= self._tolerance * own.abs().amax((0, 2))).all()) and not bool(before.any())
        return top if apart else None


def _sum(one: Tensor | None, other: Tensor | None) -> Tensor | None:
    if one is None or other is None:
        return other if one is None else one
    return one + other
