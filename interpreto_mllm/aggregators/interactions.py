"""Interactions of pairs of features: exact from all coalitions, by regression from some."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from interpreto_mllm.aggregators.pair_regression import PairEstimate, regress_pairs
from interpreto_mllm.core.evaluations import Evaluations

INDICES = ("SII", "FSII", "STII")
MOST_FEATURES = 128


def interactions(evaluations: Evaluations, index: str = "SII") -> PairEstimate:
    """Exact when every coalition is known, by `regress_pairs` otherwise; coalitions outside the sample are left out.

    The spread of repeated draws is part of the standard errors, as in `aggregate`.

    Each index is a mean of what i and j are worth together beyond what each adds alone, v(S∪ij) − v(S∪i) − v(S∪j) + v(S):
    over sizes of S alike ("SII", Grabisch & Roubens 1999), sizes in the middle first ("FSII", the pairs of the best
    approximation by pairs, Tsai, Yeh & Ravikumar 2023), or small ones first ("STII", Sundararajan, Dhamdhere & Agarwal 2020).

    Raises:
        ValueError: for another index, fewer than 2 features, more than 128 of them, or coalitions that do not determine them.
    """
    evaluations, n = evaluations.drawn, evaluations.n
    if index not in INDICES:
        raise ValueError(f"index must be one of {', '.join(map(repr, INDICES))}; got {index!r}.")
    if not 2 <= n <= MOST_FEATURES:
        raise ValueError(
            f"Interactions are of pairs among 2 to {MOST_FEATURES} features; this result has {n}. "
            "Explain with a coarser granularity or with groups of features."
        )
    estimate = sum_over_coalitions if evaluations.complete else regress_pairs
    whole, repeats = estimate(evaluations, index), evaluations.repeats
    if repeats is None or whole.standard_errors is None:
        return whole
    if len(repeats) == 1:
        return PairEstimate(whole.interactions, None)
    drawn = [estimate(evaluations.with_values(values), index).interactions for values in repeats]
    spread = torch.stack(drawn).var(0) / len(drawn)
    return PairEstimate(whole.interactions, (whole.standard_errors.square() + spread).sqrt())


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
    weight = _size_weights(n, index)
    size = evaluations.sizes + 2
    both, one, none = weight[size - 2], -weight[size - 1], weight[size]
    products, main = (both - 2 * one + none)[:, None], (one - none)[:, None]
    matrices = []
    for value in evaluations.values.T[:, :, None]:  # target by target: the products take p × n numbers for each
        effects = (present * main * value).sum(0)
        matrices.append(present.T @ (products * value * present) + effects + effects[:, None] + none @ value)
    without_diagonal = torch.stack(matrices).masked_fill(torch.eye(n, dtype=torch.bool), 0.0)
    return PairEstimate(without_diagonal, torch.zeros_like(without_diagonal))


def _size_weights(n: int, index: str) -> Float[Tensor, "sizes"]:
    """Weight of each S without i and j, by size, with zeros at −2, −1, n − 1 and n: Beta functions B(s + a, n − 1 − s + b)."""
    factor, a, b = {"SII": (1, 1, 0), "FSII": (6, 2, 1), "STII": (2, 1, 1)}[index]
    size = torch.arange(n - 1, dtype=torch.float64)
    total = torch.tensor(n - 1 + a + b, dtype=torch.float64)
    weights = factor * torch.exp(torch.lgamma(size + a) + torch.lgamma(n - 1 - size + b) - torch.lgamma(total))
    return torch.nn.functional.pad(weights, (2, 2))
