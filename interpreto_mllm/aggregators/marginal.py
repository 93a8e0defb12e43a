"""Shapley values as mean marginal contributions."""

from __future__ import annotations

import torch
from einops import einsum
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interpreto_mllm.aggregators.aggregator import Aggregator, Estimate
from interpreto_mllm.aggregators.errors import moderated
from interpreto_mllm.aggregators.requirements import require_alike
from interpreto_mllm.aggregators.shapley import ShapleyAggregator
from interpreto_mllm.aggregators.sums import Sums, all_of, moderated_sums
from interpreto_mllm.core.coalitions import whole_chains
from interpreto_mllm.core.design import Design
from interpreto_mllm.core.evaluations import Evaluations


class MarginalAggregator(Aggregator):
    """What each feature adds when it joins, averaged over permutations (Castro, Gómez & Tejada 2009).

    Uses the chains that grow from ∅ to N by one feature at a time. Exact when every coalition is known. Standard errors count
    a permutation followed by its reverse as one draw, and `moderated` says how few draws are allowed for; there are none from a
    single draw, nor from orders of which it is not known that they were drawn at random.

    Raises:
        ValueError: when no permutation was drawn and not every coalition is known.

    Example:
        >>> from interpreto_mllm.explainers.play import play
        >>> from interpreto_mllm.perturbators import PermutationPerturbator
        >>> line = lambda s: s.double() @ torch.tensor([1.0, 2.0, 3.0]).double()
        >>> play(line, PermutationPerturbator(), MarginalAggregator(), n_features=3, budget=4).attributions.tolist()
        [[1.0, 2.0, 3.0]]
    """

    estimand = "Shapley value"

    def aggregate(self, evaluations: Evaluations) -> Estimate:
        if evaluations.complete:
            return ShapleyAggregator().aggregate(evaluations)
        require_alike(evaluations, self, "PermutationPerturbator or ExactPerturbator")
        rows = permutation_rows(evaluations)
        steps = evaluations.coalitions[rows].byte().diff(dim=1)
        joined = steps.argmax(2)
        gains = evaluations.values[rows].diff(dim=1)
        contributions = torch.zeros_like(gains).scatter_(1, joined[:, :, None].expand_as(gains), gains)
        mean = contributions.mean(0).T
        draw = _independent_draws(joined.argsort(1))
        draws = int(draw[-1]) + 1
        if draws < 2 or evaluations.design is not Design.ORDERS:
            return Estimate(mean)
        apart = torch.zeros(draws, *mean.T.shape, dtype=torch.float64).index_add_(0, draw, contributions - mean.T)
        variance = apart.square().sum(0).T * draws / (draws - 1) / len(rows) ** 2
        return Estimate(mean, moderated(variance, draws - 1).sqrt(), sums=_sums(apart / len(rows), variance))


def _sums(apart: Float[Tensor, "draws n t"], each: Float[Tensor, "t n"]) -> Sums:
    """Standard errors of sums, from how far each draw moves the mean of each feature."""
    draws = len(apart)

    def variance(members: Float[Tensor, "n sums"]) -> Float[Tensor, "t sums"]:
        together = einsum(apart, members, "draws n t, n sums -> draws t sums")
        return together.square().sum(0) * draws / (draws - 1)

    def sums(members: Float[Tensor, "n sums"]) -> Float[Tensor, "t sums"]:
        return moderated_sums(variance(members), each, variance(all_of(members)), members, draws - 1).sqrt()

    return sums


def permutation_rows(evaluations: Evaluations) -> Int[Tensor, "c steps"]:
    """Rows of the n + 1 coalitions of each complete permutation, in order."""
    n = evaluations.n
    rows = whole_chains(evaluations.draws, evaluations.chains, n + 1)
    coalitions = evaluations.coalitions[rows]
    growing = (coalitions[:, 1:] >= coalitions[:, :-1]).all(2).all(1)
    rows = rows[growing & (coalitions.sum(2) == torch.arange(n + 1)).all(1)]
    if not len(rows):
        raise ValueError(
            "MarginalAggregator averages over permutations: chains of coalitions that grow from none to all of the features "
            "by one at a time, and none was drawn. Use PermutationPerturbator or ExactPerturbator, or aggregate with "
            "KernelAggregator."
        )
    return rows


def _independent_draws(ranks: Int[Tensor, "c n"]) -> Int[Tensor, "c"]:
    """Number of the draw each permutation belongs to; a permutation and the reverse right after it share one."""
    starts, starts_draw = [], False
    reverses: Bool[Tensor, "c"] = (ranks[1:] + ranks[:-1] == ranks.shape[1] - 1).all(1)
    for reverse in [False, *reverses.tolist()]:
        starts_draw = not (reverse and starts_draw)
        starts.append(starts_draw)
    return torch.tensor(starts).cumsum(0) - 1
