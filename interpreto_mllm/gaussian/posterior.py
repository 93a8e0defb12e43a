"""What the observations leave open of the Shapley values."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from interpreto_mllm.gaussian.cholesky import factor
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
        self._lower = factor(kernel.covariance(self.signs, self.signs, self.parity))
        self._covariance = kernel.shapley_covariance(self.signs)
        self._shares = torch.cholesky_solve(self._covariance, self._lower)
        self._pulls = torch.cholesky_solve(self.values, self._lower)

    def mean(self) -> Float[Tensor, "t n"]:
        """Of the Shapley values, on the scale of the observations."""
        return self.values.T @ self._shares

    def variance(self) -> Float[Tensor, "n"]:
        """Of the Shapley values, the same for all targets on the scale of the observations."""
        return (self.kernel.shapley_variance() - (self._shares * self._covariance).sum(0)).clamp_min(0)

    def jackknife(self) -> Float[Tensor, "t n"]:
        """Sum of the squared changes of the mean when one observation is left out, for all of them in turn, in closed form."""
        left_out = self._pulls / torch.cholesky_inverse(self._lower).diagonal()[:, None]
        return left_out.square().T @ self._shares.square()

    def foretold(self, signs: Float[Tensor, "p n"]) -> Float[Tensor, "p t"]:
        """The mean of what the observations are, at coalitions that were not observed."""
        return torch.cat([self.kernel.covariance(some, self.signs, self.parity) @ self._pulls for some in signs.split(1024)])
