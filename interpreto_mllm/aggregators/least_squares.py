"""Weighted least squares for all targets at once."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from interpreto_mllm.aggregators.errors import shared
from interpreto_mllm.aggregators.sums import Sums, all_of, shared_sums

MANY_COLUMNS = 256
"""Coefficients from which on fewer observations are solved for instead."""


def least_squares(
    design: Float[Tensor, "u k"],
    response: Float[Tensor, "u t"],
    weights: Float[Tensor, "u"],
    unseen: Float[Tensor, "u"],
    penalty: float = 0.0,
    unknowns: int = 0,
) -> tuple[Float[Tensor, "t k"], Float[Tensor, "t k"] | None, Sums]:
    """Coefficients, their standard errors, and those of sums; the shortest solution where several fit as well.

    Standard errors are the sandwich ones with leverage-adjusted residuals (MacKinnon & White 1985), each row counting by
    the share of the coalitions it stands for that was not seen; a coefficient without residuals shares the others' errors.

    Args:
        design: one row per observation.
        response: one column per target.
        weights: of the observations; only their ratios matter.
        unseen: 1 − inclusion probability of each observation, 0 for one that was bound to be there.
        penalty: ridge on the coefficients, against the weighted mean of squared residuals.
        unknowns: how many coefficients, or sums of them, are to be determined; where the observations determine fewer, what is
            left open cannot be seen in residuals, and there are no standard errors.
    """
    k = design.shape[1]
    if not len(design):
        nothing = torch.zeros(response.shape[1], k, dtype=torch.float64)
        return nothing, nothing.clone(), lambda members: nothing[:, :1].expand(-1, members.shape[1])
    weights = weights / weights.sum()
    influence = _influence(design, weights, penalty)
    coefficients = influence @ response
    leverage = (design * influence.T).sum(1).clamp(0, 1)
    residuals = (response - design @ coefficients) / (1 - leverage).clamp_min(0.05)[:, None]
    if float((design * influence.T).sum()) < unknowns - 0.5:
        return coefficients.T, None, lambda members: torch.full((response.shape[1], members.shape[1]), torch.nan)
    variance = (influence.square() * unseen) @ residuals.square()
    return coefficients.T, shared(variance.sqrt().T), _sums(influence, unseen, residuals.square(), variance.T)


def _sums(
    influence: Float[Tensor, "k u"], unseen: Float[Tensor, "u"], squares: Float[Tensor, "u t"], each: Float[Tensor, "t k"]
) -> Sums:
    """Standard errors of sums of coefficients, from the squared residuals and the variance of each coefficient."""

    def variance(members: Float[Tensor, "k sums"]) -> Float[Tensor, "t sums"]:
        return (((members.T @ influence).square() * unseen) @ squares).T

    return lambda members: shared_sums(variance(members), each, variance(all_of(members)), members)


def _influence(design: Float[Tensor, "u k"], weights: Float[Tensor, "u"], penalty: float) -> Float[Tensor, "k u"]:
    """The matrix that turns responses into coefficients; where columns are many, from the smaller of the Gram matrices."""
    u, k = design.shape
    if k >= MANY_COLUMNS and u < k:
        scaled = design * weights.sqrt()[:, None]
        gram = scaled @ scaled.T + penalty * torch.eye(u, dtype=torch.float64)
        return scaled.T @ torch.linalg.pinv(gram, rtol=1e-11, hermitian=True) * weights.sqrt()
    gram = (design * weights[:, None]).T @ design + penalty * torch.eye(k, dtype=torch.float64)
    return torch.linalg.pinv(gram, rtol=1e-11, hermitian=True) @ (design * weights[:, None]).T
