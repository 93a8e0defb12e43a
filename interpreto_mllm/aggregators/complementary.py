"""Shapley values as means of stratum means of complementary contributions."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb

import torch
from einops import einsum
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interpreto_mllm.aggregators.aggregator import Aggregator, Estimate
from interpreto_mllm.aggregators.errors import shared
from interpreto_mllm.aggregators.requirements import require_alike
from interpreto_mllm.aggregators.split_evaluations import every_size_repeats
from interpreto_mllm.aggregators.sums import Sums, all_of, shared_sums
from interpreto_mllm.core.coalitions import complementary_rows
from interpreto_mllm.core.evaluations import Evaluations
from interpreto_mllm.core.stratum import Stratum, strata


class ComplementaryAggregator(Aggregator):
    """φ_i = 1/n Σ_j mean of v(S) − v(N∖S) over the seen S of size j that hold i; the stratum j = n is v(N) − v(∅).

    From Zhang, Sun, Liu, Xiong, Pei and Ren, "Efficient Sampling Approaches to Shapley Value Approximation", SIGMOD 2023. It
    serves any evaluations in which coalitions meet their complements; the others are ignored. With all 2^n it is the exact
    Shapley value.

    Before the means are taken, an additive game is subtracted, to whose values they are added: the one nearest to the pairs
    ({i}, N∖{i}) where all of these are known, else equal parts of v(N) − v(∅). Where they are drawn first this control variate
    is no matter of chance and brings no bias; it takes away the noise of what is additive and of what works in pairs.

    Strata of a feature that were never seen are interpolated between its neighbouring seen ones; below the lowest seen one
    they equal it. Standard errors come from the stratum variances, corrected for drawing without repeats; a stratum seen once
    is given the variance of all contributions. There are none while some size was drawn less than twice.

    Raises:
        ValueError: when no coalition besides the empty and the full one has its complement among the evaluations.

    Example:
        >>> pairs = torch.tensor([[0, 0], [1, 1], [1, 0], [0, 1]]).bool()
        >>> values = torch.tensor([[0.0], [10.0], [3.0], [5.0]], dtype=torch.float64)
        >>> none = torch.zeros(0)
        >>> evaluations = Evaluations(pairs, values, none.long(), none, none.long())
        >>> ComplementaryAggregator().aggregate(evaluations).attributions.tolist()
        [[4.0, 6.0]]
    """

    estimand = "Shapley value"

    def aggregate(self, evaluations: Evaluations) -> Estimate:
        """Attributions and standard errors of the `n` features for each of the `t` targets."""
        n, whole = evaluations.n, evaluations.full - evaluations.empty
        if n == 1:
            return Estimate(whole[:, None], torch.zeros_like(whole[:, None]))
        require_alike(evaluations, self, "ComplementaryPerturbator, NeymanPerturbator or ExactPerturbator")
        side, other = complements(evaluations)
        if not len(side):
            raise ValueError(
                f"None of the {len(evaluations.coalitions)} coalitions has its complement among them (beside the "
                "empty and the full one), so there are no complementary contributions. "
                "Draw with ComplementaryPerturbator, NeymanPerturbator or "
                "ExactPerturbator, or choose another aggregator."
            )
        sides = evaluations.coalitions[side]
        gains = (evaluations.values[side] - evaluations.values[other]).double()
        attributions = additive_part(sides, gains, whole)
        gains = gains - (2 * sides.double() - 1) @ attributions
        seen = list(strata(sides, gains))
        weights = _stratum_weights(n, {stratum.size: stratum.counts > 0 for stratum in seen})
        usual = gains.square().mean(0)
        variances, scatter = torch.zeros_like(attributions), []
        for stratum in seen:
            weight, counts = weights[:, stratum.size - 1, None], stratum.counts[:, None]
            attributions = attributions + weight * torch.where(counts > 0, stratum.means, 0.0)
            unseen_share = 1 - counts / float(min(comb(n - 1, stratum.size - 1), 10**300))
            spread = torch.where(counts > 1, stratum.variances, usual) * unseen_share / counts.clamp_min(1)
            spread = torch.where((counts > 0) & (unseen_share > 0), weight.square() * spread, 0.0)
            variances += spread
            scatter.append((stratum, spread))
        enough = every_size_repeats(sides, torch.ones(len(sides), dtype=torch.bool))
        known = evaluations.complete or (evaluations.design.independent and enough)
        if not known:
            return Estimate(attributions.T)
        return Estimate(attributions.T, shared(variances.sqrt().T), sums=_sums(sides, gains, scatter, variances.T))


def _sums(
    sides: Bool[Tensor, "q n"],
    gains: Float[Tensor, "q t"],
    scatter: Sequence[tuple[Stratum, Float[Tensor, "n t"]]],
    each: Float[Tensor, "t n"],
) -> Sums:
    """Standard errors of sums: a pair moves the means of all features at once, each in the stratum that it serves.

    Args:
        sides: one side of each pair.
        gains: its v(S) − v(N∖S), without the additive part.
        scatter: the strata, and what each adds to the variance of each feature.
        each: the variance of each feature.
    """

    def variance(members: Float[Tensor, "n sums"]) -> Float[Tensor, "t sums"]:
        moved = torch.zeros(len(sides), gains.shape[1], members.shape[1], dtype=torch.float64)
        sizes, n = sides.sum(1), sides.shape[1]
        for stratum, spread in scatter:
            for rows, side, sign in ((sizes == stratum.size, sides, 1.0), (sizes == n - stratum.size, ~sides, -1.0)):
                moved[rows] += _moved(side[rows].double(), sign * gains[rows], stratum, spread, members)
        return moved.square().sum(0)

    return lambda members: shared_sums(variance(members), each, variance(all_of(members)), members)


def _moved(
    held: Float[Tensor, "q n"],
    gains: Float[Tensor, "q t"],
    stratum: Stratum,
    spread: Float[Tensor, "n t"],
    members: Float[Tensor, "n sums"],
) -> Float[Tensor, "q t sums"]:
    """How far pairs move sums of scores, each by its distance from the means of their stratum.

    The squares of a feature add up to its `spread`; a stratum seen once is moved by all of it.
    """
    counts = stratum.counts[:, None]
    scale = (spread / (stratum.variances * (counts - 1)).clamp_min(1e-300)).sqrt()
    scale = torch.where((counts > 1) & (stratum.variances > 0), scale, 0.0)
    once = torch.where(counts > 1, 0.0, spread.sqrt())
    slope, level, jump = (
        einsum(held, each, members, "q n, n t, n sums -> q t sums") for each in (scale, scale * stratum.means, once)
    )
    return gains[:, :, None] * slope - level + gains.sign()[:, :, None] * jump


def complements(evaluations: Evaluations) -> tuple[Int[Tensor, "q"], Int[Tensor, "q"]]:
    """Rows of the pairs of complementary coalitions in the order of the rows, without (∅, N).

    Example:
        >>> coalitions = torch.tensor([[0, 0], [1, 1], [1, 0], [0, 1]]).bool()
        >>> none = torch.zeros(0)
        >>> [rows.tolist() for rows in complements(Evaluations(coalitions, torch.zeros(4, 1), none.long(), none, none.long()))]
        [[2], [3]]
    """
    side, other = complementary_rows(evaluations.coalitions[2:])
    order = side.argsort()
    return side[order] + 2, other[order] + 2


def additive_part(sides: Bool[Tensor, "p n"], gains: Float[Tensor, "p t"], whole: Float[Tensor, "t"]) -> Float[Tensor, "n t"]:
    """An additive game of the same v(N) − v(∅): the one nearest to all pairs ({i}, N∖{i}) if they are known, else equal parts.

    Example:
        >>> gains = torch.tensor([[4.0], [0.0], [2.0]], dtype=torch.float64)  # of {0}, {1} and {2} over the others
        >>> additive_part(torch.eye(3).bool(), gains, torch.tensor([6.0], dtype=torch.float64))[:, 0].tolist()
        [3.0, 1.0, 2.0]
    """
    n = sides.shape[1]
    small, large = sides.sum(1) == 1, sides.sum(1) == n - 1
    alone = torch.cat([sides[small], ~sides[large]]).int().argmax(1)
    parts = (whole / n).expand(n, -1)
    if n < 3 or len(alone) < n:
        return parts
    ahead = torch.cat([gains[small], -gains[large]])
    return parts.scatter_add(0, alone[:, None].expand_as(ahead), (ahead - ahead.mean(0)) / 2)


def _stratum_weights(n: int, seen_sizes: dict[int, Tensor]) -> Float[Tensor, "n n"]:
    """Weight of each feature's strata 1 … n in its attribution: 1/n of their own, and of the unseen ones they stand in for."""
    seen = torch.zeros(n, n, dtype=torch.bool)
    seen[:, n - 1] = True
    for size, features in seen_sizes.items():
        seen[:, size - 1] = features
    stratum = torch.arange(n).expand(n, n)
    above = torch.where(seen, stratum, n).flip(1).cummin(1).values.flip(1)
    below = torch.where(seen, stratum, -1).cummax(1).values
    below = torch.where(below < 0, above, below)
    share = (stratum - below).double() / (above - below).clamp_min(1)
    share = torch.where(above == below, 0.0, share)
    weights = torch.zeros(n, n, dtype=torch.float64)
    return weights.scatter_add_(1, below, (1 - share) / n).scatter_add_(1, above, share / n)
