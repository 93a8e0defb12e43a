"""What is lost when a window is left out."""

from __future__ import annotations

import torch

from interpreto_mllm.aggregators.aggregator import Aggregator, Estimate
from interpreto_mllm.core.evaluations import Evaluations


class LeaveOneOutAggregator(Aggregator):
    """v(N) minus the mean of v(N∖W) over the windows W that contain the feature.

    Works on any evaluations that hold the full coalition without each window, and ignores the others. Nothing is sampled: the
    standard errors are zero.

    Args:
        window: length of the windows of neighbouring features; all features when there are fewer.

    Raises:
        ValueError: when the window is not positive, or some feature lies in no window that was left out.

    Example:
        >>> from interpreto_mllm.explainers.play import play
        >>> from interpreto_mllm.perturbators import OcclusionPerturbator
        >>> glove = lambda s: (s[:, 0] & (s[:, 1] | s[:, 2])).double()
        >>> play(glove, OcclusionPerturbator(), LeaveOneOutAggregator(), n_features=3).attributions.tolist()
        [[1.0, 0.0, 0.0]]
    """

    def __init__(self, window: int = 1):
        if window < 1:
            raise ValueError(f"window must be at least 1; got {window}.")
        self.window = window
        self.estimand = "leave-one-out" if window == 1 else f"occlusion of {window} neighbours"

    def aggregate(self, evaluations: Evaluations) -> Estimate:
        n, window = evaluations.n, min(self.window, evaluations.n)
        absent = ~evaluations.coalitions
        place = torch.arange(n)
        first = torch.where(absent, place, n).amin(1)
        last = torch.where(absent, place, -1).amax(1)
        windows = (absent.sum(1) == window) & (last - first + 1 == window)
        inside = absent[windows].double()
        uncovered = (inside.sum(0) == 0).nonzero()[:, 0].tolist()
        if uncovered:
            raise ValueError(
                f"LeaveOneOutAggregator(window={self.window}) needs every feature left out in a window of {window}, and "
                f"{len(uncovered)} of {n} are in none, feature {uncovered[0]} the first. "
                f"Use OcclusionPerturbator(window={self.window}) or ExactPerturbator."
            )
        without = inside.T @ evaluations.values[windows] / inside.sum(0)[:, None]
        attributions = (evaluations.full - without).T
        return Estimate(attributions, torch.zeros_like(attributions), exact=True)
