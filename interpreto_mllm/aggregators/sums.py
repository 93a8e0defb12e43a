"""Standard errors of sums of scores, such as those of all features of a message."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from interpreto_mllm.aggregators.errors import NEGLIGIBLE_BESIDE_OTHERS, PRIOR_DRAWS

Sums = Callable[[Float[Tensor, "n sums"]], Float[Tensor, "t sums"]]
"""From columns of zeros and ones, which say whose scores are added, to the standard errors of the sums."""


def alike(each: Float[Tensor, "t"], whole: Float[Tensor, "t 1"], members: Float[Tensor, "n sums"]) -> Float[Tensor, "t sums"]:
    """Variances of sums of scores whose variances, and whose covariances, are all alike.

    Args:
        each: the variance of one score, for each target.
        whole: the variance of the sum of all scores.
        members: whose scores are added.

    Example:
        >>> pair = torch.tensor([[1.0, 1.0], [0.0, 1.0], [0.0, 1.0]])
        >>> alike(torch.tensor([6.0]), torch.tensor([[0.0]]), pair).tolist()  # scores of a fixed sum
        [[6.0, 0.0]]
    """
    n, counts = len(members), members.sum(0)
    between = (whole - n * each[:, None]) / max(n * (n - 1), 1)
    return (counts * each[:, None] + counts * (counts - 1) * between).clamp_min(0)


def shared_sums(
    variance: Float[Tensor, "t sums"], each: Float[Tensor, "t n"], whole: Float[Tensor, "t 1"], members: Float[Tensor, "n sums"]
) -> Float[Tensor, "t sums"]:
    """Standard errors of sums; those of zero are what they are where all features are alike, as `errors.shared` says.

    Args:
        variance: of each sum.
        each: of each score.
        whole: of the sum of all scores.
        members: whose scores are added.
    """
    seen = variance > (NEGLIGIBLE_BESIDE_OTHERS**2) * each.max(1, keepdim=True).values
    return torch.where(seen, variance, alike(each.mean(1), whole, members)).sqrt()


def moderated_sums(
    variance: Float[Tensor, "t sums"],
    each: Float[Tensor, "t n"],
    whole: Float[Tensor, "t 1"],
    members: Float[Tensor, "n sums"],
    freedom: int,
) -> Float[Tensor, "t sums"]:
    """Variances of sums, of few degrees of freedom, averaged with what they are where all features are alike.

    That of a single feature is the one of `errors.moderated`. The arguments are those of `shared_sums`, and the degrees of
    freedom.
    """
    prior = alike(each.mean(1), whole, members)
    return (PRIOR_DRAWS * prior + freedom * variance) / (PRIOR_DRAWS + freedom - 2)


def all_of(members: Float[Tensor, "n sums"]) -> Float[Tensor, "n 1"]:
    """The column that adds all scores."""
    return torch.ones(len(members), 1, dtype=torch.float64)
