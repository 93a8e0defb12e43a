"""Strata of complementary contributions: by feature and size, the pairs (S, N∖S) with it on the side of that size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Stratum:
    """What was seen of v(S) − v(N∖S) over coalitions S of one size, from the side of each feature in S.

    Args:
        size: of S.
        counts: pairs that hold feature i in S.
        means: of v(S) − v(N∖S) over them, 0 where there are none.
        variances: sample variances over them, 0 where there are fewer than two.
    """

    size: int
    counts: Float[Tensor, "n"]
    means: Float[Tensor, "n t"]
    variances: Float[Tensor, "n t"]


def strata(coalitions: Bool[Tensor, "p n"], contributions: Float[Tensor, "p t"]) -> Iterator[Stratum]:
    """The strata of sizes 1 … n−1 that some pair serves, each pair given by one side S and its v(S) − v(N∖S).

    A pair serves the stratum |S| of the features in S, and with the opposite sign the stratum n − |S| of the others.

    Example:
        >>> pairs = torch.tensor([[True, True, False]])
        >>> [(s.size, s.means[:, 0].tolist()) for s in strata(pairs, torch.tensor([[5.0]], dtype=torch.float64))]
        [(1, [0.0, 0.0, -5.0]), (2, [5.0, 5.0, 0.0])]
    """
    n = coalitions.shape[1]
    sizes = coalitions.sum(1)
    for size in range(1, n):
        near, far = sizes == size, sizes == n - size
        sides = torch.cat([coalitions[near], ~coalitions[far]]).to(contributions.dtype)
        if len(sides):
            yield _stratum(size, sides, torch.cat([contributions[near], -contributions[far]]))


def _stratum(size: int, sides: Tensor, gains: Tensor) -> Stratum:
    centre = gains.mean(0)
    gains = gains - centre
    counts = sides.sum(0)
    held = counts.clamp_min(1)[:, None]
    means = sides.T @ gains / held
    squares = sides.T @ gains.square() - held * means.square()
    variances = (squares / (held - 1).clamp_min(1)).clamp_min(0)
    seen = (counts > 0)[:, None]
    return Stratum(size, counts, torch.where(seen, means + centre, 0.0), torch.where((counts > 1)[:, None], variances, 0.0))
