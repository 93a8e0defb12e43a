"""Interactions under several kernels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interpreto_mllm.gaussian.fit import fit_kernel
from interpreto_mllm.gaussian.kernel import Kernel
from interpreto_mllm.gaussian.observations import Observations
from interpreto_mllm.gaussian.set_means import set_means
from interpreto_mllm.gaussian.set_posterior import SetFunctional, SetPosterior

MOST_MIXED = 256
"""Observations up to which there are several kernels; more determine one well enough."""
SHARPNESS = 2
"""Kernels count by their squared error about what is left out, to the power of minus this. Powers from 0 to 4 differ by 2 % on
the tuning half of `benchmarks/real_games.py`; with 0, sparse games that one kernel knows are lost to the others."""


def set_kernels(observations: Observations) -> list[Kernel]:
    """Kernels fitted to all that was observed and, where odd and even parts were, to each of these alone.

    Few observations leave the rates uncertain, and which of the parts tells more about interactions differs between games. On
    the tuning half of `benchmarks/real_games.py`, the mean under the three has 0.93, 0.98 and 0.97 times the squared error of
    the first at 5n, 10n and 20n for pairs.
    """
    fitted = [fit_kernel(observations)]
    if len(observations.blocks) > 1 and len(observations.signs) <= MOST_MIXED:
        fitted += [fit_kernel(Observations(observations.signs, (block,), observations.scales)) for block in observations.blocks]
    return fitted


class SetMixture:
    """The posterior of an index under several kernels, each the more probable the better it predicts what is left out.

    Args:
        posteriors: one under each kernel, of the same observations.
    """

    def __init__(self, posteriors: Sequence[SetPosterior]):
        self.posteriors, self.signs = posteriors, posteriors[0].signs
        off = torch.stack([torch.stack(one.left_out).square().mean() for one in posteriors])
        self.weights = torch.softmax(-SHARPNESS * off.clamp_min(1e-300).log(), 0)

    @staticmethod
    def of(kernels: Sequence[Kernel], observations: Observations, order: int, index: str) -> SetMixture:
        """Under these kernels, of the index of sets of this order."""
        return SetMixture([SetPosterior(SetFunctional(kernel, order, index), observations) for kernel in kernels])

    def pairs(self) -> SetMixture:
        """The same for the sets of two features."""
        functionals = [SetFunctional(one.functional.kernel, 2, one.functional.index) for one in self.posteriors]
        return SetMixture([one.under(of_pairs) for one, of_pairs in zip(self.posteriors, functionals, strict=True)])

    @property
    def left_out(self) -> list[Float[Tensor, "u t"]]:
        """Of each block, how far off the mean would be about each observation without it."""
        return [self._mean(parts) for parts in zip(*(one.left_out for one in self.posteriors), strict=True)]

    def means(self, among: Int[Tensor, "some"]) -> Iterator[Float[Tensor, "t sets"]]:
        """The means of the sets of some features, see `set_means`."""
        for slices in zip(*(set_means(one, among) for one in self.posteriors), strict=True):
            yield self._mean(slices)

    def joint_variance(self, sets: Int[Tensor, "sets order"]) -> Float[Tensor, "sets"]:
        """That of `SetFunctional`, averaged."""
        return self._mean([one.functional.joint_variance(sets) for one in self.posteriors])

    def read(
        self, sets: Int[Tensor, "sets order"], counted: Float[Tensor, "u 1"]
    ) -> tuple[Float[Tensor, "t sets"], Float[Tensor, "t sets"], Float[Tensor, "t sets"]]:
        """The mean, the variance, that between the kernels included, and the jackknife's variance, averaged."""
        means, variances, jackknives = zip(*(one.read(sets, counted) for one in self.posteriors), strict=True)
        mean = self._mean(means)
        between = self._mean([(one - mean).square() for one in means])
        return mean, self._mean(variances) + between, self._mean(jackknives)

    def _mean(self, parts: Sequence[Float[Tensor, "..."]]) -> Float[Tensor, "..."]:
        """By the weights of the kernels."""
        return torch.einsum("k, k ... -> ...", self.weights, torch.stack(tuple(parts)))
