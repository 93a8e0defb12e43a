"""The most probable kernel, given what was observed."""

from __future__ import annotations

from math import inf

import torch
from jaxtyping import Float
from torch import Tensor

from interpreto_mllm.gaussian.cholesky import factor
from interpreto_mllm.gaussian.kernel import Kernel, summed
from interpreto_mllm.gaussian.minimise import minimise
from interpreto_mllm.gaussian.observations import Observations

MOST_FITTED_OBSERVATIONS = 512
MOST_ITERATIONS = 80
LEAST_IMPROVEMENT = 1e-3
"""Of the log posterior density in one iteration, in nats."""


def fit_kernel(observations: Observations, start: Float[Tensor, "k"] | None = None, work: float = inf) -> Kernel:
    """The kernel of largest posterior density, its evidence summed over targets and parities (Rasmussen & Williams 2006, 5.4).

    Of more than 512 observations, evenly spaced ones are used; targets that do not vary are left out.

    Args:
        observations: those whose density counts.
        start: logarithms to start from, such as those of an earlier fit; the prior's means when absent.
        work: multiplications after which the search ends, wherever it is.

    Example:
        >>> generator = torch.Generator().manual_seed(0)
        >>> sides = torch.rand(20, 4, generator=generator) < 0.5
        >>> slopes = torch.tensor([[0.0], [1.0], [2.0], [0.0]], dtype=torch.float64)
        >>> kernel = fit_kernel(Observations.of_pairs(sides, sides.double() @ slopes, (~sides).double() @ slopes))
        >>> kernel.linear > 100 * kernel.white
        True
    """
    observations = observations.varying()
    u, t = observations.shapley_block[1].shape
    if u > MOST_FITTED_OBSERVATIONS:
        observations = observations.rows(torch.linspace(0, u - 1, MOST_FITTED_OBSERVATIONS).long())
    logs = Kernel.prior(observations.signs.shape[1])[0] if start is None else start.clone()
    if t == 0:
        return Kernel(logs)
    n, u = observations.signs.shape[1], len(observations.signs)
    looks = work / (u**2 * (4 * u + 8 * n + 60))
    best = minimise(lambda point: negative_log_posterior(point, observations), logs, MOST_ITERATIONS, LEAST_IMPROVEMENT, looks)
    return Kernel(Kernel.clamped(best))


def negative_log_posterior(
    logs: Float[Tensor, "k"], observations: Observations
) -> tuple[Float[Tensor, ""], Float[Tensor, "k"]]:
    """What `fit_kernel` minimises, up to a constant, and its gradient."""
    n = observations.signs.shape[1]
    means, spreads = Kernel.prior(n)
    offset = (logs - means) / spreads
    kernel = Kernel(Kernel.clamped(logs))
    parts = list(kernel.parts(observations.signs, observations.signs))
    near, far = summed(parts, len(observations.signs), len(observations.signs))
    loss = offset.square().sum() / 2
    near_slope, far_slope = torch.zeros(2, *near.shape, dtype=torch.float64)
    for parity, values in observations.blocks:
        lower = factor(parity[0] * near + parity[1] * far)
        inverse = torch.cholesky_inverse(lower)
        solved = inverse @ values
        targets = values.shape[1]
        loss = loss + (values * solved).sum() / 2 + targets * lower.diagonal().log().sum()
        slope = (targets * inverse - solved @ solved.T) / 2
        near_slope += parity[0] * slope
        far_slope += parity[1] * slope
    return loss, kernel.gradient(observations.signs, parts, near_slope, far_slope) + offset / spreads
