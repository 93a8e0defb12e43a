"""Pairs of complementary coalitions, sizes shared out evenly."""

from __future__ import annotations

import torch

from interpreto_mllm.core.design import Design
from interpreto_mllm.core.evaluations import Draw
from interpreto_mllm.perturbators.inclusion import shares
from interpreto_mllm.perturbators.pair_sampler import PairSampler, share_out
from interpreto_mllm.perturbators.perturbator import Drawing, Perturbator


class ComplementaryPerturbator(Perturbator):
    """Draws pairs (S, N∖S) for the complementary contributions v(S) − v(N∖S), all sizes of S equally often and no pair twice.

    From Zhang, Sun, Liu, Xiong, Pei and Ren, "Efficient Sampling Approaches to Shapley Value Approximation", SIGMOD
    2023, with sizes shared out as evenly as the number of existing pairs allows instead of drawn by chance, and
    features spread evenly over the smaller sides. A budget of 2^n draws every pair. One evaluation of an odd budget
    stays unspent.

    Args:
        cover_minimal: begin with the pairs ({i}, N∖{i}) of every feature, as far as the budget goes, in random order.

    Example:
        >>> [draw] = ComplementaryPerturbator().draw(3, 8, torch.Generator().manual_seed(0))
        >>> bool((draw.coalitions[0::2] == ~draw.coalitions[1::2]).all()), len(draw.coalitions)
        (True, 6)
    """

    def __init__(self, cover_minimal: bool = True):
        self.cover_minimal = cover_minimal

    def minimum_budget(self, n: int) -> int:
        """One pair besides v(∅) and v(N)."""
        return min(2**n, 4)

    def draw(self, n: int, budget: int, generator: torch.Generator) -> Drawing:
        """Yield all pairs in one round, S then N∖S, with a chain for each."""
        sampler = PairSampler(n, generator)
        pairs, minimal = sampler.draw_minimal(budget, self.cover_minimal)
        if pairs < 1:
            return
        counts = share_out(pairs - len(minimal), sampler.equal_shares, sampler.left(), generator)
        sides = torch.cat([minimal, sampler.draw_counts(counts)])
        sizes = sides.sum(1)
        drawn = torch.bincount(sizes, minlength=n)
        everywhere = bool((drawn[sampler.sizes] > 0).all())
        weights, log_weights = shares([sampler.existing(size) for size in sizes.tolist()], drawn[sizes].tolist())
        yield Draw.of_pairs(sides, weights, design=Design.SAMPLE if everywhere else Design.PAIRS, log_weights=log_weights)
