"""The posterior of interactions."""

from __future__ import annotations

from copy import copy

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interpreto_mllm.core.indices import held_coefficients, size_weights
from interpreto_mllm.gaussian.cholesky import factor
from interpreto_mllm.gaussian.kernel import Kernel, Parity
from interpreto_mllm.gaussian.observations import Observations
from interpreto_mllm.gaussian.presences import presences
from interpreto_mllm.gaussian.set_integrals import (
    set_coefficients,
    set_covariance,
    set_variance,
    size_coefficients,
    white_set_variance,
)


class SetFunctional:
    """An index of sets of one order, as a linear functional of a random game.

    Args:
        kernel: the covariance of the game.
        order: features in a set, two or more.
        index: one of `core.indices.INDICES`.
    """

    def __init__(self, kernel: Kernel, order: int, index: str):
        self.kernel, self.order, self.index = kernel, order, index
        self.presence = presences(index, order, kernel.n)
        self.weights = size_weights(kernel.n, order, index)
        self._sizes = size_coefficients(order, self.weights)
        counts = torch.arange(kernel.n + 1, dtype=torch.float64)
        self._alike = torch.exp(-(counts[:, None] - counts).abs() / kernel.length)

    def covariance(self, signs: Float[Tensor, "p n"], sets: Int[Tensor, "sets order"]) -> Float[Tensor, "p sets"]:
        """The covariance of v(x) with the index of each set. Constants and what is linear have none."""
        present = signs > 0
        covariance = self.kernel.size * self.size_covariance(present)[:, None]
        for scale, rates in self.kernel.products:
            covariance = covariance + scale * set_covariance(present, sets, rates, self.presence)
        return covariance + self.kernel.white * set_coefficients(present, sets, self.weights)

    def size_covariance(self, present: Bool[Tensor, "p n"]) -> Float[Tensor, "p"]:
        """The covariance of v(x) with the index of any set, of the part that depends on sizes and with a scale of 1."""
        return (self._alike @ self._sizes)[present.sum(1)]

    def held_coefficients(self, present: Bool[Tensor, "p n"]) -> Float[Tensor, "p counts"]:
        """What the index of a set takes v(x) times, where x holds 0 … order features of it."""
        return held_coefficients(present.sum(1), self.order, self.weights)

    def joint_variance(self, sets: Int[Tensor, "sets order"]) -> Float[Tensor, "sets"]:
        """What features that matter together, as far as the coarse rates say, add to `variance`."""
        scale, rates = self.kernel.products[0]
        return scale * set_variance(sets, rates, self.presence)

    def variance(self, sets: Int[Tensor, "sets order"]) -> Float[Tensor, "sets"]:
        """The variance of the index of each set, before anything is observed."""
        same = self.kernel.size * self._sizes @ self._alike @ self._sizes
        variance = same + self.kernel.white * white_set_variance(self.order, self.weights)
        for scale, rates in self.kernel.products:
            variance = variance + scale * set_variance(sets, rates, self.presence)
        return variance


class SetPosterior:
    """Interactions under a Gaussian process conditioned on observations.

    Pairs depend on even parts and triples on odd ones where the presence is as likely below one half as above; other indices
    depend on both.

    Args:
        functional: the index.
        observations: what the process is conditioned on.
    """

    def __init__(self, functional: SetFunctional, observations: Observations):
        self.functional, self.signs, self.blocks = functional, observations.signs, observations.blocks
        kernel = functional.kernel
        self._lowers = [factor(kernel.covariance(self.signs, self.signs, parity)) for parity, _ in self.blocks]
        self.left_out = [
            torch.cholesky_solve(values, lower) / torch.cholesky_inverse(lower).diagonal()[:, None]
            for (_, values), lower in zip(self.blocks, self._lowers, strict=True)
        ]
        """Of each block, how far off the process would be about each observation without it."""

    def under(self, functional: SetFunctional) -> SetPosterior:
        """The same process, of which another index is asked."""
        other = copy(self)
        other.functional = functional
        return other

    def weights(self) -> list[tuple[Parity, Float[Tensor, "u t"]]]:
        """Of each block, its parity and what the posterior mean takes the covariances with the observations times."""
        return [
            (parity, torch.cholesky_solve(values, lower))
            for (parity, values), lower in zip(self.blocks, self._lowers, strict=True)
        ]

    def read(
        self, sets: Int[Tensor, "sets order"], counted: Float[Tensor, "u 1"]
    ) -> tuple[Float[Tensor, "t sets"], Float[Tensor, "sets"], Float[Tensor, "t sets"]]:
        """The posterior mean, the posterior variance, and the jackknife's variance, on the scale of the observations.

        Args:
            sets: those read.
            counted: how much each observation counts in the jackknife.
        """
        near, far = (self.functional.covariance(signs, sets) for signs in (self.signs, -self.signs))
        variance, parts = self.functional.variance(sets), []
        for (parity, values), lower, left_out in zip(self.blocks, self._lowers, self.left_out, strict=True):
            covariance = parity[0] * near + parity[1] * far
            gain = torch.cholesky_solve(covariance, lower)
            variance = variance - (gain * covariance).sum(0)
            parts.append(torch.stack([values.T @ gain, (left_out.square() * counted).T @ gain.square()]))
        mean, jackknife = torch.stack(parts).sum(0)
        return mean, variance.clamp_min(0), jackknife
