"""Linear surrogates on standardised features, and penalties that are chosen by what is held out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from interpreto_mllm.core.coalitions import pair_numbers
from interpreto_mllm.core.evaluations import Evaluations
from interpreto_mllm.core.numbers import is_number

FOLDS = 5


@dataclass(frozen=True, eq=False)
class Standardised:
    """A regression on columns of mean 0 and variance 1.

    Args:
        centre, scale: of the columns; a scale of 0 where a feature is always there, or never.
        middle: the mean of each target.
        gram: the products of the columns.
        products: of the columns with each target.
    """

    centre: Float[Tensor, "n"]
    scale: Float[Tensor, "n"]
    middle: Float[Tensor, "t"]
    gram: Float[Tensor, "n n"]
    products: Float[Tensor, "t n"]

    @classmethod
    def of(cls, present: Float[Tensor, "p n"], values: Float[Tensor, "p t"], weights: Float[Tensor, "p"]) -> Standardised:
        share = weights / weights.sum()
        centre, middle = share @ present, share @ values
        scale = (share @ (present - centre).square()).sqrt()
        columns = (present - centre) / torch.where(scale > 1e-12, scale, torch.inf)
        weighted = columns * share[:, None]
        return cls(centre, scale, middle, weighted.T @ columns, (values - middle).T @ weighted)

    def unscaled(self, weights: Float[Tensor, "*rows n"]) -> Float[Tensor, "*rows n"]:
        """Weights of the features, not standardised."""
        return weights / torch.where(self.scale > 1e-12, self.scale, torch.inf)


Fit = Callable[[Standardised, Float[Tensor, "t tried"]], Float[Tensor, "t tried n"]]
"""From a regression and penalties for each target to the weights of the features under each."""


def checked_penalty(penalty: object) -> float | int | None:
    """The penalty as given.

    Raises:
        ValueError: for one that is no number, or below zero.
    """
    if penalty is not None and (not is_number(penalty) or not 0 <= penalty < float("inf")):
        raise ValueError(f"penalty must be a number, at least 0, or None for cross-validation; got {penalty!r}.")
    return penalty


def cross_validated(
    evaluations: Evaluations, counts: Float[Tensor, "p"], penalties: Float[Tensor, "t tried"], fit: Fit
) -> Float[Tensor, "t"]:
    """For each target the penalty whose predictions of held-out coalitions are best; with two pairs or fewer the smallest.

    A coalition and its complement are held out together.

    Args:
        evaluations: those to fit.
        counts: how many coalitions each one stands for.
        penalties: for each target, the largest first.
        fit: the surrogate under penalties, nearly.
    """
    pairs = pair_numbers(evaluations.coalitions)
    number = int(pairs.max()) + 1
    if number < 3:
        return penalties[:, -1]
    fold = (torch.randperm(number, generator=torch.Generator().manual_seed(0)) % min(FOLDS, number))[pairs]
    present, errors = evaluations.coalitions.double(), torch.zeros_like(penalties)
    for held in range(int(fold.max()) + 1):
        out = fold == held
        standard = Standardised.of(present[~out], evaluations.values[~out], counts[~out])
        weights = fit(standard, penalties)
        said = standard.middle[:, None, None] + weights @ (present[out] - standard.centre).T
        errors += (said - evaluations.values[out].T[:, None]).square() @ counts[out]
    return penalties.gather(1, errors.argmin(1, keepdim=True))[:, 0]
