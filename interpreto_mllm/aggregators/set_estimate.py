"""Interactions of sets of two or three features."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interpreto_mllm.core.set_sums import sets_from


@dataclass(frozen=True, eq=False)
class SetEstimate:
    """Interactions of some sets.

    Args:
        sets: the features of each, ascending.
        values: of each target.
        standard_errors: the same, where they are determined.
    """

    sets: Int[Tensor, "sets order"]
    values: Float[Tensor, "t sets"]
    standard_errors: Float[Tensor, "t sets"] | None

    def of(self, rows: Int[Tensor, "kept"]) -> SetEstimate:
        """Those of some of the sets."""
        errors = None if self.standard_errors is None else self.standard_errors[:, rows]
        return SetEstimate(self.sets[rows], self.values[:, rows], errors)

    def strongest(self, k: int) -> SetEstimate:
        """Those of the sets that are among the k strongest of a target."""
        return self.of(self.values.abs().topk(min(k, len(self.sets)), dim=1).indices.unique())


def strongest_sets(slices: Iterable[Float[Tensor, "t sets"]], n: int, order: int, k: int) -> Int[Tensor, "kept order"]:
    """The k strongest sets of each target, of values that come by first feature and are not kept.

    Example:
        >>> strongest_sets([torch.tensor([[1.0, -3.0]]), torch.tensor([[2.0]])], 3, 2, 1).tolist()
        [[0, 2]]
    """
    kept: Tensor | None = None
    members: Tensor | None = None  # [t, sets, order]
    for first, values in enumerate(slices):
        sets = sets_from(first, n, order).expand(len(values), -1, -1)
        strength = values.abs()
        if kept is not None and members is not None:
            strength, sets = torch.cat([kept, strength], 1), torch.cat([members, sets], 1)
        kept, best = strength.topk(min(k, strength.shape[1]), dim=1)
        members = sets.gather(1, best[:, :, None].expand(-1, -1, order))
    assert members is not None
    return members.flatten(0, 1).unique(dim=0)
