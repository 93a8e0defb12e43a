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


def set_kernels(observations: Observations) -> list[Kernel]:
    """Kernels fitted to all that was observed and, where odd and even parts were, to each of these alone.

    Few observations leave the rates uncertain, and which of the parts tells more about interactions differs between games. On
    the tuning half of `benchmarks/real_games.py`, the mean under the three has 0.91, 0.96 and 0.96 times the squared error of
    the first at 5n, 10n and 20n for pairs, and 0.93, 0.97 and 1.00 times for triples.
    """
    fitted = [fit_kernel(observations)]
    if len(observations.blocks) > 1 and len(observations.signs) <= MOST_MIXED:
        fitted += [fit_kernel(Observations(observations.signs, (block,), observations.scales)) for block in observations.blocks]
    return fitted


class SetMixture:
    """The posterior of an index where each of several kernels is as probable as the others.

    Args:
        posteriors: one under each kernel, of the same observations.
    """

    def __init__(self, posteriors: Sequence[SetPosterior]):
        self.posteriors, self.signs = posteriors, posteriors[0].signs

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
        return [torch.stack(parts).mean(0) for parts in zip(*(one.left_out for one in self.posteriors), strict=True)]

    def means(self, among: Int[Tensor, "some"]) -> Iterator[Float[Tensor, "t sets"]]:
        """The means of the sets of some features, see `set_means`."""
        for slices in zip(*(set_means(one, among) for one in self.posteriors), strict=True):
            yield torch.stack(slices).mean(0)

    def joint_variance(self, sets: Int[Tensor, "sets order"]) -> Float[Tensor, "sets"]:
        """That of `SetFunctional`, averaged."""
        return torch.stack([one.functional.joint_variance(sets) for one in self.posteriors]).mean(0)

    def read(
        self, sets: Int[Tensor, "sets order"], counted: Float[Tensor, "u 1"]
    ) -> tuple[Float[Tensor, "t sets"], Float[Tensor, "t sets"], Float[Tensor, "t sets"]]:
        """The mean, the variance, that between the kernels included, and the jackknife's variance, averaged."""
        means, variances, jackknives = zip(*(one.read(sets, counted) for one in self.posteriors), strict=True)
        mean, between = torch.stack(means).mean(0), torch.stack(means).var(0, correction=0)
        return mean, torch.stack(variances).mean(0) + between, torch.stack(jackknives).mean(0)
