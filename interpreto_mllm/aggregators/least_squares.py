"""Weighted least squares for all targets at once."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def least_squares(
    design: Float[Tensor, "u k"],
    response: Float[Tensor, "u t"],
    weights: Float[Tensor, "u"],
    unseen: Float[Tensor, "u"],
    penalty: float = 0.0,
) -> tuple[Float[Tensor, "t k"], Float[Tensor, "t k"]]:
    """Coefficients and their standard errors, from one factorisation; the shortest solution where several fit as well.

    Standard errors are the sandwich ones with leverage-adjusted residuals (MacKinnon & White 1985), each row counting by
    the share of the coalitions it stands for that was not seen.

    Args:
        design: one row per observation.
        response: one column per target.
        weights: of the observations; only their ratios matter.
        unseen: 1 − inclusion probability of each observation, 0 for one that was bound to be there.
        penalty: ridge on the coefficients, against the weighted mean of squared residuals.
    """
    k = design.shape[1]
    if not len(design):
        nothing = torch.zeros(response.shape[1], k, dtype=torch.float64)
        return nothing, nothing.clone()
    weights = weights / weights.sum()
    gram = (design * weights[:, None]).T @ design + penalty * torch.eye(k, dtype=torch.float64)
    influence = torch.linalg.pinv(gram, rtol=1e-11, hermitian=True) @ (design * weights[:, None]).T
    coefficients = influence @ response
    leverage = (design * influence.T).sum(1).clamp(0, 1)
    residuals = (response - design @ coefficients) / (1 - leverage).clamp_min(0.05)[:, None]
    variance = (influence.square() * unseen) @ residuals.square()
    return coefficients.T, variance.sqrt().T
