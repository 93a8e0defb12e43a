"""The base of everything that draws coalitions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from interpreto_mllm.core.evaluations import Draw

Drawing = Generator[Draw | Bool[Tensor, "p n"], Float[Tensor, "p t"], None]


class Perturbator(ABC):
    """Draws coalitions of `n` features under a budget of distinct evaluations, from a seeded generator.

    A perturbator is a generator function: it yields coalitions (a boolean tensor, or a `Draw` that says more about them)
    and is sent their values, as many rounds as it likes. One round is the simple case.

    Attributes:
        nested: a larger budget extends, from the same seed, what a smaller one draws; up to a few coalitions.
        adaptive: what it has drawn after any of its rounds is a sample that can be aggregated.
            Rules that stop a play early need one of the two.

    Example:
        >>> class CoinFlips(Perturbator):
        ...     def draw(self, n, budget, generator):
        ...         yield torch.rand(budget - 2, n, generator=generator) < 0.5
    """

    nested: bool = False
    adaptive: bool = False

    @abstractmethod
    def draw(self, n: int, budget: int, generator: torch.Generator) -> Drawing:
        """Yield coalitions and receive their values, `Float[p t]` in the order asked.

        The empty and the full coalition are evaluated by the loop beforehand and are part of `budget`; drawing them again,
        or any coalition twice, costs nothing. Drawing more distinct coalitions than the budget ends the drawing.
        """

    def minimum_budget(self, n: int) -> int:
        """The fewest distinct evaluations, v(∅) and v(N) included, that make sense for `n` features."""
        return min(2**n, 3)

    def default_budget(self, n: int) -> int:
        """The budget used when the caller gives none."""
        return max(self.minimum_budget(n), min(2**n, 64 + 16 * n) if n < 20 else 64 + 16 * n)
