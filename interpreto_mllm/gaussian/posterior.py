"""What the observations leave open of the Shapley values."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interpreto_mllm.gaussian.fit import factor
from interpreto_mllm.gaussian.kernel import Kernel
from interpreto_mllm.gaussian.observations import Observations


class Posterior:
    """A Gaussian process conditioned on observations; one factorisation serves all targets.

    Args:
        kernel: the covariance of the game.
        observations: what is known.
    """

    def __init__(self, kernel: Kernel, observations: Observations):
        self.kernel, self.signs = kernel, observations.signs
        self.parity, self.values = observations.telling
        self.lower = factor(kernel.covariance(self.signs, self.signs, self.parity))
        self.whitened = self._whiten(kernel.shapley_covariance(self.signs))

    def mean(self) -> Float[Tensor, "t n"]:
        """Of the Shapley values, on the scale of the observations."""
        return self._whiten(self.values).T @ self.whitened

    def variance(self) -> Float[Tensor, "n"]:
        """Of the Shapley values, the same for all targets on the scale of the observations."""
        return (self.kernel.shapley_variance() - self.whitened.square().sum(0)).clamp_min(0)

    def surprise(self) -> Float[Tensor, "m t"]:
        """Each observation's distance from what the others foretell, in standard deviations (Rasmussen & Williams 2006, 5.4.2)."""
        inverse = torch.cholesky_inverse(self.lower)
        return (inverse @ self.values) / inverse.diagonal().sqrt()[:, None]

    def most_telling(self, candidates: Float[Tensor, "q n"], count: int) -> Int[Tensor, "k"]:
        """Rows of `count` candidates to observe next, each the one that lowers the sum of the variances most, given those before.

        A candidate of which nothing is uncertain is never chosen.
        """
        known = self._whiten(self.kernel.covariance(self.signs, candidates, self.parity))
        covariance = self.kernel.shapley_covariance(candidates) - known.T @ self.whitened
        variance = self.kernel.variance(candidates, self.parity) - known.square().sum(0)
        floor = 1e-9 * self.kernel.variance(candidates, self.parity)
        chosen: list[int] = []
        steps = torch.zeros(count, len(candidates), dtype=torch.float64)
        for k in range(min(count, len(candidates))):
            gains = covariance.square().sum(1) / variance.clamp_min(1e-300)
            gains[variance <= floor] = -1
            gains[chosen] = -2
            row = int(gains.argmax())
            if gains[row] < 0:
                break
            chosen.append(row)
            prior = self.kernel.covariance(candidates[row : row + 1], candidates, self.parity)[0]
            step = (prior - known[:, row] @ known - steps[:k, row] @ steps[:k]) / variance[row].sqrt()
            covariance = covariance - torch.outer(step, covariance[row] / variance[row].sqrt())
            variance = variance - step.square()
            steps[k] = step
        return torch.tensor(chosen, dtype=torch.int64)

    def _whiten(self, columns: Tensor) -> Tensor:
        return torch.linalg.solve_triangular(self.lower, columns, upper=False)
