"""Pairs of complementary coalitions, in each round those that are most informative of the Shapley values."""

from __future__ import annotations

from math import ceil

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interpreto_mllm.core.coalitions import coalition_keys, first_occurrences, split_complements, without_first_feature
from interpreto_mllm.core.design import Design
from interpreto_mllm.core.evaluations import Draw
from interpreto_mllm.gaussian.design import greedy_design
from interpreto_mllm.gaussian.fit import fit_kernel
from interpreto_mllm.gaussian.kernel import Kernel
from interpreto_mllm.gaussian.observations import Observations
from interpreto_mllm.perturbators.inclusion import shares
from interpreto_mllm.perturbators.perturbator import Drawing, Perturbator
from interpreto_mllm.perturbators.stratified_pairs import draw_stratified_pairs
from interpreto_mllm.perturbators.subsets import expected_counts, pairs_of_size

POOL_PAIRS = 1024
"""New pairs from which a round is chosen."""
MOST_DESIGNED_PAIRS = 2048
"""Pairs of all rounds together that are chosen by design; the rest is drawn."""
ROUND_GROWTH = 0.5
"""Pairs of a round per pair of all rounds before it."""
WORK, WORK_PER_PAIR = 1.5e10, 1.5e7
"""Multiplications of one fit: 0.6 s, and 0.6 ms per pair, on one core; as rounds grow, all fits take three times the latter."""
STEPS_PER_LOG = 10
"""Fitted logarithms are rounded to one in so many."""


class ActivePerturbator(Perturbator):
    """Complementary pairs (S, N∖S), chosen round by round to lower the uncertainty of the Shapley values the most.

    Each size of coalition gets its share of the pairs under the Shapley kernel, as with `KernelPerturbator`. Within this, from
    a pool of new pairs, half of them drawn by the kernel and half uniformly over sizes, those are taken one by one that lower
    Σᵢ Var(φᵢ) most under a Gaussian process. The first n pairs or so, in two rounds, are chosen by its prior, which treats all
    features alike: rates fitted to few values mislead a design. From then on the process is fitted to all values so far. A
    round is half as large as all before it together, so there are few rounds, and the model gets full batches. Past 2048 pairs
    the rest is drawn by the Shapley kernel. No pair is drawn twice, a budget of 2^n draws all of them, and one evaluation of an
    odd budget stays unspent. Fitted logarithms are rounded to a tenth, so that rounding errors of the values
    seldom lead to another design. A fit ends after a number of multiplications that grows with that of the pairs, so that the
    time of its own is a bounded share of that of the evaluations, with equal results on every machine.

    Meant for `GaussianProcessAggregator`; any aggregator that takes pairs can be used. Weights are those that the pairs would
    have had if the Shapley kernel had drawn them, so that `KernelAggregator` counts all pairs alike. Since it has not drawn
    them, the sums of `ShapleyAggregator` are biased.

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
        state = _DesignState(n, total, generator)
        fresh = state.first()
        while len(fresh):
            state.learn(fresh, (yield state.ask(fresh)))
            fresh = state.next()


class _DesignState:
    """The pairs evaluated so far, each by its side without feature 0, and the kernel fitted to their values."""

    def __init__(self, n: int, total: int, generator: torch.Generator):
        self.n, self.total, self.generator = n, total, generator
        self.sides = torch.zeros(0, n, dtype=torch.bool)
        self.values: list[Tensor] = []
        self.logs = Kernel.prior(n)[0]
        sizes = torch.arange(1, n // 2 + 1, dtype=torch.float64)
        self._kernel_shares, self._equal_shares = 1 / (sizes * (n - sizes)), torch.ones_like(sizes)
        self._existing = [pairs_of_size(n, size) for size in range(1, n // 2 + 1)]
        self._weights, self._log_weights = shares([1, *self._existing], [1.0, *self._expected(total - 1).tolist()])

    def first(self) -> Bool[Tensor, "q n"]:
        """(∅, N), and about n/2 pairs."""
        empty = torch.zeros(1, self.n, dtype=torch.bool)
        return torch.cat([empty, self._designed(empty, min(self.total - 1, max(2, ceil(self.n / 2))))])

    def ask(self, fresh: Bool[Tensor, "q n"]) -> Draw:
        """The round that evaluates these pairs."""
        sizes = torch.minimum(fresh.sum(1), (~fresh).sum(1))
        logs = None if self._log_weights is None else self._log_weights[sizes]
        return Draw.of_pairs(fresh, self._weights[sizes], len(self.sides), Design.CHOSEN, logs)

    def learn(self, fresh: Bool[Tensor, "q n"], values: Float[Tensor, "p t"]) -> None:
        """Remember the values of the pairs just evaluated."""
        self.sides = torch.cat([self.sides, fresh])
        self.values.append(values)

    def next(self) -> Bool[Tensor, "q n"]:
        """The pairs of the next round; none when the budget is spent."""
        left = self.total - len(self.sides)
        if left <= 0 or len(self.sides) >= MOST_DESIGNED_PAIRS:
            return self._unseen(self._kernel_shares, left)
        if len(self.sides) > self.n:
            observations = Observations.of_pairs(self.sides, *split_complements(torch.cat(self.values)))
            work = WORK + WORK_PER_PAIR * len(self.sides)
            self.logs = fit_kernel(observations, self.logs, work).logs.mul(STEPS_PER_LOG).round() / STEPS_PER_LOG
        count = max(ceil(self.n / 2), round(ROUND_GROWTH * len(self.sides)))
        return self._designed(self.sides, min(left, count, MOST_DESIGNED_PAIRS))

    def _designed(self, known: Bool[Tensor, "known n"], count: int) -> Bool[Tensor, "q n"]:
        """`count` of a pool of new pairs, chosen under the current kernel."""
        by_each = max(count, POOL_PAIRS // 2)
        pool = torch.cat([self._unseen(self._kernel_shares, by_each), self._unseen(self._equal_shares, by_each)])
        pool = pool[first_occurrences(pool)]
        room = self._room(known, len(known) - 1 + count)
        chosen = greedy_design(Kernel(self.logs), known.double() * 2 - 1, pool.double() * 2 - 1, count, room)
        others = torch.ones(len(pool), dtype=torch.bool)
        others[chosen] = False
        return torch.cat([pool[chosen], pool[others][: count - len(chosen)]])

    def _expected(self, total: int) -> Float[Tensor, "sizes"]:
        """The share of each size in so many pairs under the Shapley kernel, (∅, N) aside."""
        return expected_counts(self._existing, self._kernel_shares, min(total, sum(self._existing)))

    def _room(self, known: Bool[Tensor, "known n"], total: int) -> Int[Tensor, "sizes"]:
        """How many pairs of each size are lacking from its share of so many, rounded up."""
        seen = torch.bincount(torch.minimum(known.sum(1), (~known).sum(1)), minlength=self.n // 2 + 1)[1:]
        lacking = self._expected(total).sub(1e-9).ceil().long() - seen
        return torch.cat([torch.zeros(1, dtype=torch.int64), lacking.clamp_min(0)])

    def _unseen(self, shares: Float[Tensor, "sizes"], count: int) -> Bool[Tensor, "q n"]:
        """`count` pairs never evaluated, or all there are if fewer, sizes in proportion to `shares`."""
        draw = draw_stratified_pairs(self.n, len(self.sides) + max(count, 0), shares, self.generator)
        drawn, _ = split_complements(draw.coalitions)
        seen = set(coalition_keys(self.sides))
        drawn = without_first_feature(drawn[torch.randperm(len(drawn), generator=self.generator)])
        new = [row for row, key in enumerate(coalition_keys(drawn)) if key not in seen]
        return drawn[torch.tensor(new, dtype=torch.int64)][: max(count, 0)]
