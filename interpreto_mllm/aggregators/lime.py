"""Weights of a local linear surrogate."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from interpreto_mllm.aggregators.aggregator import Aggregator, Estimate
from interpreto_mllm.aggregators.least_squares import least_squares
from interpreto_mllm.aggregators.requirements import require_alike
from interpreto_mllm.aggregators.split_evaluations import effective_number, log_population_weights, population_weights
from interpreto_mllm.core.design import Design
from interpreto_mllm.core.evaluations import Evaluations
from interpreto_mllm.core.shown import shown

COALITIONS_PER_FEATURE = 3
"""Coalitions of equal weight, per feature, from which on there are standard errors."""


@runtime_checkable
class Estimator(Protocol):
    """A linear regression as scikit-learn's: `fit` leaves the weights in `coef_`."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any: ...


Surrogate = Callable[[Tensor, Tensor, Tensor], Any] | Estimator
"""From presences, values and weights to the weights of the features; or an estimator."""

LEAST_VARIATION = 0.01
"""Weighted variance of the features, 0.25 at most, below which next to all weight lies on the full coalition."""


class LimeAggregator(Aggregator):
    """LIME: a ridge regression on the features present, nearer coalitions weighing more (Ribeiro et al. 2016).

    A coalition of s features is at the cosine distance d = 1 − √(s/n) from the full one and weighs exp(−d²/kernel_width²),
    times the number of coalitions it stands for. The ridge stands against the weighted mean of squared residuals, so that
    more evaluations bring the weights nearer to those that all coalitions would give. A single feature has no ridge: the line
    through v(∅) and v(N) is its surrogate. There are standard errors from three coalitions of equal weight per feature on.

    Args:
        kernel_width: how fast the weight falls with the distance.
        alpha: strength of the ridge.
        distance: another distance of coalitions `Bool[p n]` from the full one, `Float[p]`.
        kernel: another weight of coalitions by their distance, `Float[p]` to `Float[p]`; `kernel_width` has no effect then.
        surrogate: another regression in the place of the ridge: a callable from the features present `Float[p n]`, the values
            of one target `Float[p]` and the weights `Float[p]` to the weights of the features `Float[n]`; or an estimator of
            scikit-learn with `fit(X, y, sample_weight)` and `coef_`, which is copied. There are no standard errors then.

    Raises:
        ValueError: when `kernel_width` is not positive or `alpha` is negative; for a distance or a kernel that does not return
            one number of at least 0 for each coalition; or where coalitions weigh so little beside the full one that the ridge
            alone would decide.

    Example:
        >>> from interpreto_mllm.explainers.play import play
        >>> from interpreto_mllm.perturbators import BernoulliPerturbator
        >>> line = lambda s: s.double() @ torch.tensor([1.0, 2.0, 3.0]).double()
        >>> play(line, BernoulliPerturbator(), LimeAggregator(alpha=0.0), n_features=3).attributions.round(decimals=3).tolist()
        [[1.0, 2.0, 3.0]]
    """

    estimand = "surrogate weights"

    def __init__(
        self,
        kernel_width: float = 0.25,
        alpha: float = 1e-3,
        distance: Callable[[Tensor], Tensor] | None = None,
        kernel: Callable[[Tensor], Tensor] | None = None,
        surrogate: Surrogate | None = None,
    ):
        if surrogate is not None and (isinstance(surrogate, type) or not isinstance(surrogate, (Callable, Estimator))):
            raise TypeError(
                "surrogate must be a callable from presences, values and weights to one weight for each feature, or an "
                f"instance of an estimator with fit(X, y, sample_weight) and coef_; got {shown(surrogate)}."
            )
        if kernel_width <= 0 or alpha < 0:
            raise ValueError(f"kernel_width must be positive and alpha at least 0; got {kernel_width} and {alpha}.")
        self.kernel_width, self.alpha, self.distance, self.kernel = kernel_width, alpha, distance, kernel
        self.surrogate = surrogate

    def nearness(self, coalitions: Bool[Tensor, "p n"]) -> Float[Tensor, "p"]:
        """The weight of each coalition by its distance from the full one."""
        distance = 1 - coalitions.double().mean(1).sqrt()
        if self.distance is not None:
            distance = _one_each(self.distance(coalitions), coalitions, "distance")
        if self.kernel is not None:
            return _one_each(self.kernel(distance), coalitions, "kernel")
        return torch.exp(-(distance.square()) / self.kernel_width**2)

    def aggregate(self, evaluations: Evaluations) -> Estimate:
        require_alike(evaluations, self, "BernoulliPerturbator or ExactPerturbator")
        design = evaluations.coalitions.double()
        population = population_weights(evaluations)
        relative = population / population.max()
        if population.isinf().any():
            logs = log_population_weights(evaluations)
            relative = torch.exp(logs - logs.max())
        weights = relative * self.nearness(evaluations.coalitions)
        share = weights / weights.sum()
        if self.surrogate is not None:
            fitted = [_fitted(self.surrogate, design, value, share) for value in evaluations.values.T]
            return Estimate(torch.stack(fitted))
        unseen = (1 - 1 / population).clamp_min(0)
        centred, values = design - share @ design, evaluations.values - share @ evaluations.values
        alpha = 0.0 if evaluations.n == 1 else self.alpha
        said = float((share @ centred.square()).max())
        if said < min(alpha, LEAST_VARIATION):
            raise ValueError(
                f"LimeAggregator(kernel_width={self.kernel_width}, alpha={self.alpha}): coalitions far from the full one weigh "
                f"next to nothing, so that the ridge of {alpha} outweighs what they say ({said:.2g}). Give a larger "
                "kernel_width or a smaller alpha."
            )
        estimate, errors, sums = least_squares(centred, values, weights, unseen, alpha)
        enough = effective_number(weights[2:]) >= COALITIONS_PER_FEATURE * evaluations.n
        known = evaluations.complete or (evaluations.design is Design.SAMPLE and enough)
        return Estimate(estimate, errors, sums=sums) if known else Estimate(estimate)


def _fitted(
    surrogate: Surrogate, design: Float[Tensor, "p n"], value: Float[Tensor, "p"], weights: Float[Tensor, "p"]
) -> Float[Tensor, "n"]:
    """The weights of the features by a surrogate of the user's, of one target.

    Raises:
        ValueError: for one that does not give one number for each feature.
    """
    present, values, counts = design.clone(), value.clone(), weights.clone()
    found: object
    if isinstance(surrogate, Estimator):
        fitted = deepcopy(surrogate)
        fitted.fit(present.numpy(), values.numpy(), sample_weight=counts.numpy())
        found = getattr(fitted, "coef_", None)
    else:
        found = surrogate(present, values, counts)
    made = torch.as_tensor(np.asarray(found, dtype=float)).squeeze() if found is not None else torch.zeros(0)
    made = made.reshape(-1) if design.shape[1] == 1 else made
    if made.shape != (design.shape[1],) or not bool(made.isfinite().all()):
        raise ValueError(
            f"The surrogate of LimeAggregator gives one number for each of the {design.shape[1]} features (an estimator, as "
            f"its coef_); this one gave {shown(found)}."
        )
    return made.double()


def _one_each(found: object, coalitions: Bool[Tensor, "p n"], what: str) -> Float[Tensor, "p"]:
    """What a callable of the user's returned, if it is a number of at least 0 for each coalition."""
    right = isinstance(found, Tensor) and found.shape == (len(coalitions),)
    if not isinstance(found, Tensor) or not right or not bool((found >= 0).all()) or not bool(found.isfinite().all()):
        made = f"shape {tuple(found.shape)}" if isinstance(found, Tensor) and not right else "other numbers or none"
        raise ValueError(
            f"The {what} of LimeAggregator returns a tensor with one number of at least 0 for each of the {len(coalitions)} "
            f"coalitions; this one gave {made}."
        )
    return found.double()
