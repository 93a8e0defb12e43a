"""Interactions of pairs of features: exact from all coalitions, read from a Gaussian process or by regression from some."""

from __future__ import annotations

from collections.abc import Callable

import torch

from interpreto_mllm.aggregators.pair_process import read_pairs
from interpreto_mllm.aggregators.pair_regression import PairEstimate, regress_pairs
from interpreto_mllm.core.design import Design
from interpreto_mllm.core.evaluations import Evaluations
from interpreto_mllm.core.indices import INDICES, size_weights

MOST_REGRESSED = 2 << 30
"""Bytes of the products of pairs of features in the coalitions of a regression."""


def interactions(
    evaluations: Evaluations, index: str = "SII", estimate: Callable[[Evaluations, str], PairEstimate] | None = None
) -> PairEstimate:
    """Exact when every coalition is known, `estimate` otherwise; coalitions outside the sample are left out.

    The spread of repeated draws is part of the standard errors, as in `aggregate`.

    Each index is a mean of what i and j are worth together beyond what each adds alone, v(S∪ij) − v(S∪i) − v(S∪j) + v(S):
    over sizes of S alike ("SII" and "k-SII", Grabisch & Roubens 1999), sizes in the middle first ("FSII", the pairs of the best
    approximation by pairs, Tsai, Yeh & Ravikumar 2023), small ones first ("STII", Sundararajan, Dhamdhere & Agarwal 2020), over
    all S alike ("BII" and "FBII"), or of the empty S alone ("Möbius").

    Args:
        evaluations: those to read.
        index: one of `INDICES`.
        estimate: how to read some of the coalitions. None: by a regression where they follow a fixed rule, else by a Gaussian
            process.

    Raises:
        ValueError: for another index, fewer than 2 features, so many that a regression cannot be held, or coalitions that do
            not determine them.
    """
    evaluations, n = evaluations.drawn, evaluations.n
    if index not in INDICES:
        raise ValueError(f"index must be one of {', '.join(map(repr, INDICES))}; got {index!r}.")
    if n < 2:
        raise ValueError(f"Interactions of order 2 are of 2 features or more; this result has {n}.")
    if evaluations.complete:
        estimate = sum_over_coalitions
    elif estimate is None:
        estimate = _regressed if evaluations.design is Design.FIXED else read_pairs
    whole, repeats = estimate(evaluations, index), evaluations.repeats
    if repeats is None or whole.standard_errors is None:
        return whole
    if len(repeats) == 1:
        return PairEstimate(whole.interactions, None)
    drawn = [estimate(evaluations.with_values(values), index).interactions for values in repeats]
    spread = torch.stack(drawn).var(0) / len(drawn)
    return PairEstimate(whole.interactions, (whole.standard_errors.square() + spread).sqrt())


def _regressed(evaluations: Evaluations, index: str) -> PairEstimate:
    """What `regress_pairs` gives, where its products can be held."""
    size = 8 * len(evaluations.coalitions) * evaluations.n * (evaluations.n - 1) // 2
    if size > MOST_REGRESSED:
        raise ValueError(
            f"The regression of the pairs of {evaluations.n:,} features on {len(evaluations.coalitions):,} coalitions that "
            f"follow a fixed rule takes {size / 1e9:,.1f} GB: explain with GaussianProcessShapley or KernelShap, with a "
            "coarser granularity or with groups of features."
        )
    return regress_pairs(evaluations, index)


def sum_over_coalitions(evaluations: Evaluations, index: str) -> PairEstimate:
    """The definition summed over all coalitions T, of which i and j may hold both, one or none.

    Example:
        >>> pair = torch.tensor([[0, 0], [1, 1], [1, 0], [0, 1]]).bool()
        >>> none = torch.zeros(0)
        >>> known = Evaluations(pair, pair.all(1, keepdim=True).double(), none.long(), none, none.long())
        >>> sum_over_coalitions(known, "SII").interactions.tolist()
        [[[0.0, 1.0], [1.0, 0.0]]]
    """
    n, present = evaluations.n, evaluations.coalitions.double()
    weight = torch.nn.functional.pad(size_weights(n, 2, index), (2, 2))  # of no S at sizes −2, −1, n − 1 and n
    size = evaluations.sizes + 2
    both, one, none = weight[size - 2], -weight[size - 1], weight[size]
    products, main = (both - 2 * one + none)[:, None], (one - none)[:, None]
    matrices = []
    for value in evaluations.values.T[:, :, None]:  # target by target: the products take p × n numbers for each
        effects = (present * main * value).sum(0)
        matrices.append(present.T @ (products * value * present) + effects + effects[:, None] + none @ value)
    without_diagonal = torch.stack(matrices).masked_fill(torch.eye(n, dtype=torch.bool), 0.0)
    return PairEstimate(without_diagonal, torch.zeros_like(without_diagonal))
