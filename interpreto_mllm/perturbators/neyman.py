"""Pairs of complementary coalitions, more of the sizes where their contributions vary more."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interpreto_mllm.core.coalitions import split_complements
from interpreto_mllm.core.design import Design
from interpreto_mllm.core.evaluations import Draw
from interpreto_mllm.core.stratum import strata
from interpreto_mllm.perturbators.pair_sampler import PairSampler, share_out
from interpreto_mllm.perturbators.perturbator import Drawing, Perturbator


class NeymanPerturbator(Perturbator):
    """Draws pairs (S, N∖S) in two stages: equal numbers per stratum first, then by the Neyman allocation.

    From Zhang, Sun, Liu, Xiong, Pei and Ren, "Efficient Sampling Approaches to Shapley Value Approximation", SIGMOD
    2023. The first stage gives each feature about `initial` pairs in each stratum and estimates the variances σ²(i, j)
    of v(S) − v(N∖S) over the S of size j that hold i, summed over targets. The second shares what is left of the budget
    over the sizes j ≥ n/2 in proportion to sqrt(Σ_i σ²(i, j) / j + Σ_i σ²(i, n−j) / (n−j)). No pair is drawn twice; a
    size whose pairs run out leaves its share to the others.

    The first stage never takes more than half of the pairs left after the minimal ones: with several hundred features
    and a small budget it becomes a thin sweep over the sizes, unseen variances are taken from the other features or
    sizes, and with fewer than about a dozen pairs the method is as good as `ComplementaryPerturbator`. One evaluation of an odd
    budget stays unspent.

    Args:
        initial: pairs per feature and size in the first stage, at least 2.
        cover_minimal: begin with the pairs ({i}, N∖{i}) of every feature, as far as the budget goes, in random order.

    Raises:
        ValueError: if `initial` is below 2, which would leave no variance to estimate.

    Example:
        >>> drawing = NeymanPerturbator().draw(6, 40, torch.Generator().manual_seed(0))
        >>> first = next(drawing).coalitions
        >>> second = drawing.send(first.sum(1, keepdim=True).double()).coalitions
        >>> len(first) + len(second)
        38
    """

    adaptive = True

    def __init__(self, initial: int = 2, cover_minimal: bool = True):
        if initial < 2:
            raise ValueError(f"A variance needs at least two pairs: give initial=2 or more; got {initial}.")
        self.initial, self.cover_minimal = initial, cover_minimal

    def minimum_budget(self, n: int) -> int:
        """One pair besides v(∅) and v(N)."""
        return min(2**n, 4)

    def draw(self, n: int, budget: int, generator: torch.Generator) -> Drawing:
        """Yield the pairs of the first stage, then those of the second, S then N∖S, with a chain for each."""
        sampler = PairSampler(n, generator)
        pairs, minimal = sampler.draw_minimal(budget, self.cover_minimal)
        if pairs < 1:
            return
        counts = self._first_stage(sampler, pairs - len(minimal), generator)
        first = torch.cat([minimal, sampler.draw_counts(counts)])
        values = yield Draw.of_pairs(first, design=Design.PAIRS)
        near, far = split_complements(values)
        shares = allocation(first, near - far, sampler.sizes)
        counts = share_out(pairs - len(first), shares, sampler.left(), generator)
        if counts.any():
            yield Draw.of_pairs(sampler.draw_counts(counts), first_chain=len(first), design=Design.PAIRS)

    def _first_stage(self, sampler: PairSampler, left: int, generator: torch.Generator) -> Int[Tensor, "sizes"]:
        """Pairs of each size that give every feature `initial` of them, cut evenly to half of what is left."""
        wanted = [self.initial * -(-sampler.n // (sampler.n - size)) for size in sampler.sizes]
        capacities = [min(pair) for pair in zip(wanted, sampler.left(), strict=True)]
        total = min(sum(capacities), -(-left // 2))
        return share_out(total, torch.tensor(wanted, dtype=torch.float64), capacities, generator)


def allocation(sides: Bool[Tensor, "q n"], contributions: Float[Tensor, "q t"], sizes: list[int]) -> Float[Tensor, "sizes"]:
    """The Neyman share of each size: sqrt(Σ_i σ²(i, j) / j + Σ_i σ²(i, n−j) / (n−j)).

    A feature seen less than twice in a stratum is given the mean variance of the others there, and a stratum in which
    no feature was seen twice that of all strata.

    Example:
        >>> sides = torch.tensor([[1, 1, 0], [1, 0, 1], [0, 1, 1]]).bool()
        >>> allocation(sides, torch.tensor([[1.0], [1.0], [3.0]], dtype=torch.float64), [2]).round(decimals=3).tolist()
        [2.449]
    """
    n = sides.shape[1]
    means: dict[int, float] = {}
    for stratum in strata(sides, contributions):
        variances = stratum.variances.sum(1)[stratum.counts > 1]
        if len(variances):
            means[stratum.size] = float(variances.mean())
    mean = sum(means.values()) / max(len(means), 1)
    shares = [n * means.get(j, mean) / j + n * means.get(n - j, mean) / (n - j) for j in sizes]
    return torch.tensor(shares, dtype=torch.float64).sqrt()
