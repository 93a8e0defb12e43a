"""Every coalition there is."""

from __future__ import annotations

import torch

from interpreto_mllm.core.design import Design
from interpreto_mllm.core.evaluations import Draw
from interpreto_mllm.perturbators.perturbator import Drawing, Perturbator
from interpreto_mllm.perturbators.subsets import counting

MOST_FEATURES = 24
COALITIONS_PER_ROUND = 1 << 16


class ExactPerturbator(Perturbator):
    """All 2^n coalitions, in the order of binary counting, so that neighbours agree on a long prefix.

    Raises:
        ValueError: above 24 features, with the number of evaluations that would take.

    Example:
        >>> next(ExactPerturbator().draw(2, 4, torch.Generator())).coalitions.int().tolist()
        [[0, 0], [0, 1], [1, 0], [1, 1]]
    """

    def draw(self, n: int, budget: int, generator: torch.Generator) -> Drawing:
        total = self.minimum_budget(n)
        for start in range(0, total, COALITIONS_PER_ROUND):
            yield Draw(counting(n, torch.arange(start, min(start + COALITIONS_PER_ROUND, total))), design=Design.FIXED)

    def minimum_budget(self, n: int) -> int:
        if n > MOST_FEATURES:
            raise ValueError(
                f"Exact values of {n} features take 2^{n} = {2**n:,} evaluations; "
                f"at most {MOST_FEATURES} features are accepted. "
                "Use KernelShap, PermutationShapley or MonteCarloShapley (KernelPerturbator, PermutationPerturbator, "
                "MonteCarloPerturbator), or fewer features: a coarser granularity, groups, or pinned features."
            )
        return 2**n

    def default_budget(self, n: int) -> int:
        return self.minimum_budget(n)
