"""Standard errors that rest on enough draws."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

PRIOR_DRAWS = 4
"""Draws for which the mean variance of all features counts in the variance of each."""
NEGLIGIBLE = 1e-12
"""Standard errors up to this share of the largest value are rounding errors: no draw differed from another."""
NEGLIGIBLE_BESIDE_OTHERS = 1e-9
"""The same beside the largest standard error of a target."""


def moderated(variance: Float[Tensor, "t n"], freedom: int) -> Float[Tensor, "t n"]:
    """Variances of few degrees of freedom averaged with the mean over all features, which weighs like four more draws.

    A feature that seldom matters looks certain until it does. This is the mean of an inverse-χ² posterior (Smyth, "Linear
    models and empirical Bayes methods", 2004).
    """
    prior = variance.mean(1, keepdim=True)
    return (PRIOR_DRAWS * prior + freedom * variance) / (PRIOR_DRAWS + freedom - 2)


def shared(errors: Float[Tensor, "t n"]) -> Float[Tensor, "t n"]:
    """Standard errors of a sample, those of zero replaced by the root mean square of the others of the target.

    A score whose few draws were equal, or whose residuals the fit absorbed, looks certain and is not.

    Example:
        >>> shared(torch.tensor([[0.0, 0.6, 0.8], [0.0, 0.0, 0.0]])).round(decimals=3).tolist()
        [[0.577..., 0.6..., 0.8...], [0.0, 0.0, 0.0]]
    """
    seen = errors > NEGLIGIBLE_BESIDE_OTHERS * errors.max(1, keepdim=True).values
    return torch.where(seen, errors, errors.square().mean(1, keepdim=True).sqrt())


def seen_errors(errors: Float[Tensor, "t *n"], values: Float[Tensor, "p t"]) -> Float[Tensor, "t *n"] | None:
    """Standard errors of a sample without those of targets whose draws were all equal.

    Draws that are equal, by chance or because a target never changes, do not show how far others would be. Such a target has
    NaN, and there are no errors at all if all targets are such.

    Args:
        errors: of each target, as they come out of the sample.
        values: those of the game, with whose rounding errors they are compared.

    Example:
        >>> seen_errors(torch.tensor([[0.1, 0.6], [0.0, 0.0]]), torch.ones(4, 2)).tolist()
        [[0.1..., 0.6...], [nan, nan]]
    """
    seen = errors.flatten(1).max(1).values > NEGLIGIBLE * values.abs().max(0).values
    if not seen.any():
        return None
    unseen = (~seen).reshape(-1, *[1] * (errors.ndim - 1))
    return errors.masked_fill(unseen, torch.nan)
