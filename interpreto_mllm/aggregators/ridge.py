"""Weighted least squares with a ridge where the observations are too few for the unknowns."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

OBSERVATIONS_PER_UNKNOWN = 1.5
"""From how many observations per unknown on there is no ridge."""
RIDGES = torch.logspace(-8, 2, 31, dtype=torch.float64)
"""Ridges to choose from, relative to the largest squared singular value of the design."""
LEAST_LEVERAGE_SLACK = 0.05
"""Floor of 1 − leverage, where residuals without a ridge are divided by it."""


@dataclass(frozen=True, eq=False)
class RidgeFit:
    """A linear fit of k coefficients to u observations of t targets.

    Args:
        influence: coefficients = influence @ response.
        residuals: of each observation when it is left out.
        determined: whether the observations were enough to do without a ridge.
    """

    influence: Float[Tensor, "k u"]
    residuals: Float[Tensor, "u t"]
    determined: bool


def fit_ridge(
    design: Float[Tensor, "u k"], response: Float[Tensor, "u t"], weights: Float[Tensor, "u"], groups: Int[Tensor, "u"]
) -> RidgeFit:
    """Regress on the design and one free mean per group.

    With fewer than half as many observations again as unknowns, a ridge is put on the coefficients, the one whose predictions
    of left-out observations are best over all targets (Allen 1974).

    Args:
        design: one row per observation.
        response: one column per target.
        weights: of the observations; only their ratios matter.
        groups: number of the group of each observation, from 0.

    Example:
        >>> line = torch.arange(5.0).double()[:, None]
        >>> one = fit_ridge(line, 3 * line + 1, torch.ones(5).double(), torch.zeros(5).long())
        >>> (one.influence @ (3 * line + 1)).round(decimals=6).tolist()
        [[3.0]]
    """
    weights = weights / weights.sum()
    member = torch.nn.functional.one_hot(groups).double()
    share = member * weights[:, None] / (weights @ member).clamp_min(1e-300)

    def centred(columns: Float[Tensor, "u c"]) -> Float[Tensor, "u c"]:
        return columns - member @ (share.T @ columns)

    root = weights.sqrt()[:, None]
    left, values, right = _decomposed(centred(design) * root)
    target = centred(response) * root
    own = (member * share).sum(1)
    unexplained = target - left @ (left.T @ target)
    leverage_slack = (1 - own - left.square().sum(1)).clamp_min(0)

    def residuals_left_out(penalty: Tensor | float) -> Float[Tensor, "u t"]:
        shrunk = penalty / (values.square() + penalty)
        residuals = unexplained + left @ (shrunk[:, None] * (left.T @ target))
        floor = LEAST_LEVERAGE_SLACK if penalty == 0 else 1e-9
        return residuals / (leverage_slack + left.square() @ shrunk).clamp_min(floor)[:, None]

    determined = len(design) >= OBSERVATIONS_PER_UNKNOWN * (design.shape[1] + member.shape[1])
    best: Tensor | float = 0.0
    if not determined and len(values):
        scale = target.square().sum(0).clamp_min(1e-300)
        candidates = RIDGES * values.max().square()
        best = min(candidates, key=lambda penalty: float((residuals_left_out(penalty).square().sum(0) / scale).sum()))
    influence = (right.T * (values / (values.square() + best))) @ left.T * root.T
    return RidgeFit(influence - (influence @ member) @ share.T, residuals_left_out(best) / root.clamp_min(1e-300), determined)


def _decomposed(matrix: Float[Tensor, "u k"]) -> tuple[Float[Tensor, "u rank"], Float[Tensor, "rank"], Float[Tensor, "rank k"]]:
    """The singular value decomposition without its null space, from the smaller of the two Gram matrices."""
    wide = len(matrix) <= matrix.shape[1]
    squares, vectors = torch.linalg.eigh(matrix @ matrix.T if wide else matrix.T @ matrix)
    kept = squares > 1e-12 * squares.max() if len(squares) else squares > 0
    values, vectors = squares[kept].sqrt(), vectors[:, kept]
    if wide:
        return vectors, values, (vectors.T @ matrix) / values[:, None]
    return matrix @ vectors / values, values, vectors.T
