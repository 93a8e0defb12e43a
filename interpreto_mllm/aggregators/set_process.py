"""Interactions of sets as a Gaussian process sees them that is conditioned on the evaluations."""

from __future__ import annotations

import torch
from jaxtyping import Int
from torch import Tensor

from interpreto_mllm.aggregators.errors import seen_errors
from interpreto_mllm.aggregators.gaussian_process import (
    conditioned_rows,
    observe,
    observed_rows,
    shows_errors,
)
from interpreto_mllm.aggregators.process_errors import ProcessErrors
from interpreto_mllm.aggregators.set_estimate import SetEstimate, strongest_sets
from interpreto_mllm.core.evaluations import Evaluations
from interpreto_mllm.core.set_sums import all_sets
from interpreto_mllm.gaussian.set_mixture import SetMixture, set_kernels

SETS_AT_ONCE = 512
MOST_SEARCHED = 128
"""Features whose triples are all searched for the strongest; of more, those of the strongest pairs are."""
SAMPLED_SETS = 512
"""Sets that tell how uncertain sets are on average, where only some are read."""


class SetProcess:
    """The posterior of an index under the kernels of `set_kernels`, with variances widened as in `GaussianProcessAggregator`.

    Args:
        evaluations: what the process is conditioned on, however they were drawn.
        order: features in a set.
        index: one of `core.indices.INDICES`.

    Raises:
        ValueError: with no coalitions besides the empty and the full one.
    """

    def __init__(self, evaluations: Evaluations, order: int, index: str):
        if len(evaluations.coalitions) < 3:
            raise ValueError(
                "Interactions are read off stored coalitions, and only the empty and the full one are there: give a larger "
                "budget."
            )
        self.evaluations, self.order = evaluations, order
        rows = observed_rows(evaluations)
        observations = observe(evaluations, rows)
        kept = conditioned_rows(evaluations, len(rows))
        self.posterior = SetMixture.of(set_kernels(observations), observations.rows(kept), order, index)
        self.errors = ProcessErrors.of(evaluations, order)
        self.counted = self.errors.counted(observations.rows(kept))
        self.scales, self.observed, self.kept = observations.scales, len(rows), len(kept)

    def read(self, sets: Int[Tensor, "sets order"] | None = None) -> SetEstimate:
        """The posterior means and standard errors of some sets, or of all."""
        evaluations, n = self.evaluations, self.evaluations.n
        wanted = all_sets(n, self.order) if sets is None else sets
        asked = wanted if sets is None else torch.cat([sets, _sampled(n, self.order)])
        read = zip(*(self.posterior.read(some, self.counted) for some in asked.split(SETS_AT_ONCE)), strict=True)
        mean, posterior, jackknife = (torch.cat(parts, -1) for parts in read)
        raw = self.errors.raw(posterior, jackknife)
        prior = self.posterior.joint_variance(asked).mean(0, keepdim=True)
        variance = self.errors.variance(raw, raw.mean(1, keepdim=True), prior)
        errors = (variance * self.scales.square()[:, None]).sqrt()[:, : len(wanted)]
        shown = seen_errors(errors, evaluations.values) if shows_errors(evaluations.design) else None
        return SetEstimate(wanted, (mean * self.scales[:, None])[:, : len(wanted)], shown)

    def strongest(self, k: int) -> Int[Tensor, "kept order"]:
        """The sets of the k largest posterior means of each target; values of the other sets are never kept."""
        n = self.evaluations.n
        among = torch.arange(n) if self.order == 2 or n <= MOST_SEARCHED else self._promising()
        return among[strongest_sets(self.posterior.means(among), len(among), self.order, k)]

    def _promising(self) -> Int[Tensor, "some"]:
        """The features of the strongest pairs."""
        n = self.evaluations.n
        strength = torch.zeros(n, dtype=torch.float64)
        for first, values in enumerate(self.posterior.pairs().means(torch.arange(n))):
            strongest = values.abs().amax(0)
            strength[first] = torch.maximum(strength[first], strongest.max())
            strength[first + 1 :] = torch.maximum(strength[first + 1 :], strongest)
        return strength.topk(MOST_SEARCHED).indices.sort().values


def _sampled(n: int, order: int) -> Int[Tensor, "sets order"]:
    """Some sets, any as likely as any other."""
    generator = torch.Generator().manual_seed(0)
    return torch.rand(SAMPLED_SETS, n, generator=generator).argsort(1)[:, :order].sort(1).values
