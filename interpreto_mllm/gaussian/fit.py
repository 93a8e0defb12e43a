"""The most probable kernel, given what was observed."""

from __future__ import annotations

from math import inf
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from interpreto_mllm.gaussian.cholesky import factor
from interpreto_mllm.gaussian.kernel import Kernel, summed
from interpreto_mllm.gaussian.minimise import minimise
from interpreto_mllm.gaussian.observations import Observations

Fitted = TypeVar("Fitted", bound=Kernel)
MOST_FITTED_OBSERVATIONS = 512
MOST_ITERATIONS = 200
LEAST_IMPROVEMENT = 1e-3
"""Of the log posterior density in one iteration, in nats."""


def fit_kernel(
    observations: Observations, start: Float[Tensor, "k"] | None = None, work: float = inf, kind: type[Fitted] = Kernel
) -> Fitted:
    """The kernel of largest posterior density, its evidence summed over targets and parities (Rasmussen & Williams 2006, 5.4).

    Of more than 512 observations, evenly spaced ones are used; targets that do not vary are left out.

    Args:
        observations: those whose density counts.
        start: logarithms to start from, such as those of an earlier fit; the prior's means when absent.
        work: multiplications after which the search ends, wherever it is.
        kind: `Kernel`, or `TiltedKernel` for coalitions as they are.

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
    logs = kind.prior(observations.signs.shape[1])[0] if start is None else start.clone()
    if t == 0:
        return kind(logs)
    n, u = observations.signs.shape[1], len(observations.signs)
    looks = work / (u**2 * (4 * u + 8 * n + 60))

    def loss(point: Tensor) -> tuple[Tensor, Tensor]:
        return negative_log_posterior(point, observations, kind)

    return kind(kind.clamped(minimise(loss, logs, MOST_ITERATIONS, LEAST_IMPROVEMENT, looks)))


def negative_log_posterior(
    logs: Float[Tensor, "k"], observations: Observations, kind: type[Kernel] = Kernel
) -> tuple[Float[Tensor, ""], Float[Tensor, "k"]]:
    """What `fit_kernel` minimises, up to a constant, and its gradient."""
    signs = observations.signs
    means, spreads = kind.prior(signs.shape[1])
    offset = (logs - means) / spreads
    kernel = kind(kind.clamped(logs))
    pairs = any(far for (_, far), _ in observations.blocks)
    others = [signs, -signs] if pairs else [signs]
    parts = [list(kernel.parts(signs, other)) for other in others]
    covariances, slopes = [summed(some) for some in parts], [torch.zeros(len(signs), len(signs)).double() for _ in parts]
    loss = offset.square().sum() / 2
    for parity, values in observations.blocks:
        lower = factor(torch.stack([share * one for share, one in zip(parity, covariances, strict=False)]).sum(0))
        inverse = torch.cholesky_inverse(lower)
        solved = inverse @ values
        targets = values.shape[1]
        loss = loss + (values * solved).sum() / 2 + targets * lower.diagonal().log().sum()
        for share, slope in zip(parity, slopes, strict=False):
            slope += share * (targets * inverse - solved @ solved.T) / 2
    changes = (kernel.gradient(signs, *some) for some in zip(others, parts, slopes, strict=True))
    return loss, sum(changes, offset / spreads)
