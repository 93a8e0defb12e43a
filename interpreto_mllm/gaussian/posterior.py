"""The posterior of the Shapley values."""

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
        observations: what it is conditioned on.
    """

    def __init__(self, kernel: Kernel, observations: Observations):
        self.kernel, self.signs = kernel, observations.signs
        self.parity, self.values = observations.shapley_block
        self._lower = factor(kernel.covariance(self.signs, self.signs, self.parity))
        self._covariance = kernel.shapley_covariance(self.signs)
        self._gain = torch.cholesky_solve(self._covariance, self._lower)
        self._solved = torch.cholesky_solve(self.values, self._lower)

    def mean(self) -> Float[Tensor, "t n"]:
        """The posterior mean of the Shapley values, on the scale of the observations."""
        return self.values.T @ self._gain

    def variance(self) -> Float[Tensor, "n"]:
        """The posterior variance of the Shapley values, the same for all targets on the scale of the observations."""
        return (self.kernel.shapley_variance() - (self._gain * self._covariance).sum(0)).clamp_min(0)

    def variance_of_sums(self, members: Float[Tensor, "n sums"]) -> Float[Tensor, "sums"]:
        """The same of sums of Shapley values; ones in `members` say whose are added."""
        explained = ((self._gain @ members) * (self._covariance @ members)).sum(0)
        return (self.kernel.shapley_variance_of_sums(members) - explained).clamp_min(0)

    def jackknife(self, counted: Float[Tensor, "u 1"], members: Float[Tensor, "n sums"] | None = None) -> Float[Tensor, "t _"]:
        """Sum of the squared changes of the mean when one observation is left out, for all of them in turn, in closed form.

        Args:
            counted: how much each of them counts.
            members: sums of Shapley values, in place of each of them.
        """
        left_out = self._solved / torch.cholesky_inverse(self._lower).diagonal()[:, None]
        gain = self._gain if members is None else self._gain @ members
        return (left_out.square() * counted).T @ gain.square()

    def predict(self, signs: Float[Tensor, "p n"]) -> Float[Tensor, "p t"]:
        """The posterior mean of what the observations observe, at other coalitions."""
        return torch.cat([self.kernel.covariance(some, self.signs, self.parity) @ self._solved for some in signs.split(1024)])
