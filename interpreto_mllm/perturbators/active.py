"""Pairs of complementary coalitions, each round those that tell most of the Shapley values."""

from __future__ import annotations

from math import ceil

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from interpreto_mllm.core.coalitions import coalition_keys, first_occurrences, split_complements
from interpreto_mllm.core.evaluations import Draw
from interpreto_mllm.gaussian.design import most_telling
from interpreto_mllm.gaussian.fit import fit
from interpreto_mllm.gaussian.kernel import Kernel
from interpreto_mllm.gaussian.observations import Observations
from interpreto_mllm.perturbators.perturbator import Drawing, Perturbator
from interpreto_mllm.perturbators.strata import stratified_pairs
from interpreto_mllm.perturbators.subsets import expected_counts, pairs_of_size

POOL = 1024
MOST_DESIGNED = 2048
GROWTH = 0.5
ROUNDING = 10


class ActivePerturbator(Perturbator):
    """Complementary pairs (S, N∖S), chosen round by round to lower the uncertainty of the Shapley values the most.

    Of a pool of new pairs, half of them drawn by the Shapley kernel and half with all sizes alike, those are taken that lower
    Σᵢ Var(φᵢ) most, one by one, under a Gaussian process. The first n pairs or so, in two rounds, are chosen by its prior, to
    which all features are alike: what few values seem to tell of the features misleads a design. From then on the process is
    fitted to all values so far. A round is half as large as all before it, so there are few, and the model sees full batches.
    Past 2048 pairs the rest is drawn by the Shapley kernel. No pair is drawn twice, a budget of 2^n draws all of them, and of
    an odd budget one evaluation stays unspent. What was fitted is rounded to a tenth of its logarithm, so that rounding errors
    of the values seldom lead to another design.

    Meant for `GaussianProcessAggregator`; any aggregator that takes pairs can be used. Weights are those the pairs would
    have had if the Shapley kernel had drawn them, so that `KernelAggregator` counts all pairs alike. As it has not, the
    sums of `ShapleyAggregator` are no longer unbiased.

    Example:
        >>> drawing = ActivePerturbator().draw(6, 30, torch.Generator().manual_seed(0))
        >>> draw, drawn = next(drawing), []
        >>> while True:
        ...     drawn.append(len(draw.coalitions))
        ...     try:
        ...         draw = drawing.send(draw.coalitions[:, :1].double())
        ...     except StopIteration:
        ...         break
        >>> drawn
        [8, 6, 8, 8]
    """

    adaptive = True

    def minimum_budget(self, n: int) -> int:
        """One pair besides v(∅) and v(N)."""
        return min(2**n, 4)

    def draw(self, n: int, budget: int, generator: torch.Generator) -> Drawing:
        """Yield pairs, S then N∖S, with a chain for each; the first of all is (∅, N)."""
        total = min(budget // 2, 2 ** (n - 1))
        if total < 2:
            return
        table = _Table(n, total, generator)
        fresh = table.first()
        while len(fresh):
            table.learn(fresh, (yield table.ask(fresh)))
            fresh = table.next()


class _Table:
    """The pairs evaluated so far, each by its side without the first feature, and what they taught."""

    def __init__(self, n: int, total: int, generator: torch.Generator):
        self.n, self.total, self.generator = n, total, generator
        self.sides = torch.zeros(0, n, dtype=torch.bool)
        self.values: list[Tensor] = []
        self.logs = Kernel.prior(n)[0]
        sizes = torch.arange(1, n // 2 + 1, dtype=torch.float64)
        self._kernel, self._even = 1 / (sizes * (n - sizes)), torch.ones_like(sizes)
        room = [min(pairs_of_size(n, size), 10**300) for size in range(1, n // 2 + 1)]
        expected = expected_counts(room, self._kernel, min(total - 1, sum(room)))
        weights = torch.tensor([float(pairs) for pairs in room], dtype=torch.float64) / expected
        self._weights = torch.cat([torch.ones(1, dtype=torch.float64), weights])

    def first(self) -> Bool[Tensor, "k n"]:
        """(∅, N), and about n/2 pairs."""
        nothing = torch.zeros(1, self.n, dtype=torch.bool)
        return torch.cat([nothing, self._designed(nothing, min(self.total - 1, max(2, ceil(self.n / 2))))])

    def ask(self, fresh: Bool[Tensor, "k n"]) -> Draw:
        """The round that evaluates these pairs."""
        weights = self._weights[torch.minimum(fresh.sum(1), (~fresh).sum(1))]
        return Draw.of_pairs(fresh, weights, len(self.sides))

    def learn(self, fresh: Bool[Tensor, "k n"], values: Float[Tensor, "q t"]) -> None:
        """Remember the values of the pairs just evaluated."""
        self.sides = torch.cat([self.sides, fresh])
        self.values.append(values)

    def next(self) -> Bool[Tensor, "k n"]:
        """The pairs of the next round; none when the budget is spent."""
        left = self.total - len(self.sides)
        if left <= 0 or len(self.sides) >= MOST_DESIGNED:
            return self._unseen(self._kernel, left)
        if len(self.sides) > self.n:
            observations = Observations.of_pairs(self.sides, *split_complements(torch.cat(self.values)))
            self.logs = fit(observations, self.logs).logs.mul(ROUNDING).round() / ROUNDING
        return self._designed(self.sides, min(left, max(ceil(self.n / 2), round(GROWTH * len(self.sides))), MOST_DESIGNED))

    def _designed(self, known: Bool[Tensor, "m n"], count: int) -> Bool[Tensor, "k n"]:
        """So many of a pool of new pairs, by what is believed of the game."""
        pool = torch.cat([self._unseen(self._kernel, max(count, POOL // 2)), self._unseen(self._even, max(count, POOL // 2))])
        pool = pool[first_occurrences(pool)]
        chosen = most_telling(Kernel(self.logs), known.double() * 2 - 1, pool.double() * 2 - 1, count)
        others = torch.ones(len(pool), dtype=torch.bool)
        others[chosen] = False
        return torch.cat([pool[chosen], pool[others][: count - len(chosen)]])

    def _unseen(self, shares: Float[Tensor, "h"], count: int) -> Bool[Tensor, "k n"]:
        """So many pairs never evaluated, or all there are, sizes in proportion to `shares`."""
        drawn = stratified_pairs(self.n, len(self.sides) + max(count, 0), shares, self.generator).coalitions[0::2]
        seen = set(coalition_keys(self.sides))
        drawn = _without_first(drawn[torch.randperm(len(drawn), generator=self.generator)])
        new = [row for row, key in enumerate(coalition_keys(drawn)) if key not in seen]
        return drawn[torch.tensor(new, dtype=torch.int64)][: max(count, 0)]


def _without_first(coalitions: Tensor) -> Tensor:
    """The side of each pair that does not hold the first feature."""
    return coalitions ^ coalitions[:, :1]
