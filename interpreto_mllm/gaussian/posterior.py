"""What the observations leave open of the Shapley values."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interpreto_mllm.coefficients import shapley_coefficients
from interpreto_mllm.gaussian.inverse import DenseInverse, LowRankInverse
from interpreto_mllm.gaussian.kernel import Kernel
from interpreto_mllm.gaussian.observations import Observations

MOST_EXACT = 2048
INDUCING = 1024


class Posterior:
    """A Gaussian process conditioned on observations; one factorisation serves all targets.

    More than 2048 observations are known to one another only through 1024 of them (Snelson & Ghahramani 2006), the first two
    and evenly spaced others; what those cannot tell is held to be independent.

    Args:
        kernel: the covariance of the game.
        observations: what is known.
    """

    def __init__(self, kernel: Kernel, observations: Observations):
        self.kernel = kernel
        self.parity, self.values = observations.telling
        self.signs = observations.signs
        if len(self.signs) <= MOST_EXACT:
            self.inverse = DenseInverse(kernel.covariance(self.signs, self.signs, self.parity))
            self.covariance = kernel.shapley_covariance(self.signs)
        else:
            self.inverse, self.covariance = self._through_some()
        self._weights = self.inverse.times(self.covariance)

    def mean(self) -> Float[Tensor, "t n"]:
        """Of the Shapley values, on the scale of the observations."""
        return self.values.T @ self._weights

    def variance(self) -> Float[Tensor, "n"]:
        """Of the Shapley values, the same for all targets on the scale of the observations."""
        return (self.kernel.shapley_variance() - (self._weights * self.covariance).sum(0)).clamp_min(0)

    def jackknife(self) -> Float[Tensor, "t n"]:
        """Sum of the squared changes of the mean when one observation is left out, for all of them in turn, in closed form."""
        diagonal = self.inverse.diagonal()[:, None]
        left_out = self.inverse.times(self.values) / diagonal
        return left_out.square().T @ self._weights.square()

    def _through_some(self) -> tuple[LowRankInverse, Tensor]:
        kernel, white = self.kernel, self.parity[0] * self.kernel.white
        spread = torch.linspace(2, len(self.signs) - 1, INDUCING - 2).long()
        some: Int[Tensor, "k"] = torch.cat([torch.tensor([0, 1]), spread])
        between = kernel.covariance(self.signs[some], self.signs, self.parity)
        between[torch.arange(len(some)), some] -= white
        own = kernel.white * shapley_coefficients(self.signs > 0)
        smooth = kernel.shapley_covariance(self.signs[some]) - own[some]
        inverse = LowRankInverse(between[:, some], between, kernel.variance(self.signs, self.parity), white)
        return inverse, inverse.carried(smooth) + own
