"""Everything but a window."""

from __future__ import annotations

import torch

from interpreto_mllm.core.design import Design
from interpreto_mllm.core.evaluations import Draw
from interpreto_mllm.perturbators.perturbator import Drawing, Perturbator


class OcclusionPerturbator(Perturbator):
    """The full coalition without each window of neighbouring features in turn (Zeiler & Fergus 2014).

    Args:
        window: how many neighbours are left out at once; all of them when there are fewer.
        stride: from one window to the next. The last window ends at the last feature.

    Raises:
        ValueError: when window or stride is not a positive int, or a stride above the window would skip features.

    Example:
        >>> next(OcclusionPerturbator(window=2).draw(4, 5, torch.Generator())).coalitions.int().tolist()
        [[0, 0, 1, 1], [1, 0, 0, 1], [1, 1, 0, 0]]
    """

    def __init__(self, window: int = 1, stride: int = 1):
        if window < 1 or not 1 <= stride <= window:
            raise ValueError(
                f"window must be at least 1 and stride between 1 and window; got window={window}, stride={stride}."
            )
        self.window, self.stride = window, stride

    def draw(self, n: int, budget: int, generator: torch.Generator) -> Drawing:
        starts = torch.tensor(self._starts(n))[:, None]
        features = torch.arange(n)
        yield Draw((features < starts) | (features >= starts + self.window), design=Design.FIXED)

    def minimum_budget(self, n: int) -> int:
        return 2 if n <= self.window else 2 + len(self._starts(n))

    def default_budget(self, n: int) -> int:
        return self.minimum_budget(n)

    def _starts(self, n: int) -> list[int]:
        last = max(n - self.window, 0)
        return sorted({*range(0, last + 1, self.stride), last})
