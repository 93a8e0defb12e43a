"""Sums of gradients over the points of a batch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from einops import einsum
from jaxtyping import Float
from torch import Tensor

from interpreto_mllm.core.points import Fold, Gradients, Moments, Points
from interpreto_mllm.engine.moving import Moving

Leaves = list[Float[Tensor, "b _ _"]]
"""Inputs of a batch of points, or their gradients; one for each moving part."""


class Sums:
    """Slopes of the points of a batch, and the sums over them that an aggregator wants.

    Args:
        moving: what moves.
        points: of the batch.
        starts: their baselines.
        fold: the sums that are wanted; None for no sums.
        targets: how many there are.
    """

    def __init__(self, moving: Sequence[Moving], points: Points, starts: Leaves, fold: Fold | None, targets: int):
        from_zero = fold is not None and fold.from_zero
        self.moving = [part.of_features_alone() for part in moving] if from_zero else moving
        self.points, self.fold = points, fold
        self._exact = torch.promote_types(starts[0].dtype, torch.float32)
        pairs = zip(moving, starts, strict=True)
        share = 0 if from_zero else 1
        self._differences = [part.whole.to(self._exact) - share * start.to(self._exact) for part, start in pairs]
        p, n = points.presences.shape
        device = starts[0].device
        self._slopes = torch.zeros(p, targets, n, dtype=torch.float64)
        self._rest = torch.zeros(p, targets, dtype=torch.float64)
        self._weights = points.shares.to(device, self._exact)
        shapes = [] if fold is None else [(targets, *part.whole.shape) for part in moving]
        squared = shapes if fold is not None and fold.squares else []
        self._total = [torch.zeros(shape, device=device, dtype=self._exact) for shape in shapes]
        self._squares = [torch.zeros(shape, device=device, dtype=self._exact) for shape in squared]

    def add(
        self,
        target: int,
        leaves: Leaves,
        slopes: Leaves,
        tails: Sequence[tuple[Float[Tensor, "b _ _"], Float[Tensor, "b _ _"]]],
    ) -> None:
        """Add the gradients of one target, and those of the tokens of its answer where these are followed."""
        for place, (part, leaf, slope) in enumerate(zip(self.moving, leaves, slopes, strict=True)):
            slope = slope.to(self._exact)
            products = slope * self._differences[place]
            column = products.sum(-1).double().cpu()
            self._slopes[:, target] += part.sums(column, self._slopes.shape[2])
            apart = (leaf.detach().to(self._exact) * slope).sum(-1)[:, part.owner == -1]
            self._rest[:, target] += apart.sum(1).double().cpu()
            if self.fold is None:
                continue
            numbers = products if self.fold.difference else slope
            self._total[place][target] += einsum(self._weights, numbers, "b, b l d -> l d")
            if self._squares:
                self._squares[place][target] += einsum(self._weights, numbers.square(), "b, b l d -> l d")
        for tail, slope in tails:
            self._rest[:, target] += (tail.detach().float() * slope.float()).sum((1, 2)).double().cpu()

    def result(self, values: Float[Tensor, "b t"]) -> Gradients:
        """What is known of the points."""
        squares = [one.cpu() for one in self._squares] or [None] * len(self._total)
        moments = tuple(
            Moments(part.owner.cpu(), total.cpu(), square)
            for part, total, square in zip(self.moving, self._total, squares, strict=False)
        )
        return Gradients(self.points, values.double().cpu(), self._slopes, self._rest, moments)
