"""How far off a Gaussian process may be."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from interpreto_mllm.core.design import Design
from interpreto_mllm.core.evaluations import Evaluations
from interpreto_mllm.gaussian.observations import Observations

CHOSEN_SHARE = 0.45
"""Of the jackknife's variance of a feature, where coalitions were chosen. It overestimates (Efron & Stein 1981), the more as
each chosen coalition tells of features what no other does. Learnt on games of models, see `docs/certainty.md`, like the next;
of sets, all of it counts."""
UNFORESEEN = 3.0
"""Of the prior's variance for each feature of a set, as a factor of (2n / p)⁴: what none of few observations shows."""


@dataclass(frozen=True)
class ProcessErrors:
    """Variances of what is read from a Gaussian process, from what its observations show and what they cannot.

    Args:
        learning: 1 + 2n / p for n rates learnt from p evaluations, which mostly come in pairs.
        share: of the jackknife's variance; None to raise the posterior's own half of the way to it.
        own: of the posterior's own variance.
        unforeseen: of the prior's variance.
        unseen: the share of all coalitions that were not evaluated.
    """

    learning: float
    share: float | None
    own: float
    unforeseen: float
    unseen: float

    @staticmethod
    def of(evaluations: Evaluations, order: int = 1) -> ProcessErrors:
        """Those of features, or of sets of so many, under a process fitted to these evaluations."""
        p, few, n = len(evaluations.coalitions), 2 * evaluations.n / len(evaluations.coalitions), evaluations.n
        unseen = 1 - p / 2**n
        unforeseen = min(1.0, UNFORESEEN * order * few**4) * unseen
        if evaluations.design is not Design.CHOSEN:
            return ProcessErrors(1 + few, None, 1.0, unforeseen, unseen)
        return ProcessErrors(1 + few, 1.0 if order > 1 else CHOSEN_SHARE, min(1.0, few**4), unforeseen, unseen)

    def counted(self, observations: Observations) -> Float[Tensor, "u 1"]:
        """How much each observation counts in the jackknife.

        Where coalitions were chosen, the share of those of its size that were not observed, so that nothing surprises where all
        were. Where they were drawn, the share of all coalitions: on random games, whose coalitions tell nothing of one another,
        the first gives intervals that are too narrow.
        """
        return torch.full_like(observations.unseen, self.unseen) if self.share is None else observations.unseen

    def raw(self, posterior: Float[Tensor, "... m"], jackknife: Float[Tensor, "t m"]) -> Float[Tensor, "t m"]:
        """What the observations show, before it is averaged over features."""
        if self.share is None:
            return posterior + (jackknife - posterior).clamp_min(0) / 2
        return self.own * posterior + self.share * jackknife

    def variance(
        self, raw: Float[Tensor, "t m"], typical: Float[Tensor, "t _"], prior: Float[Tensor, "_"]
    ) -> Float[Tensor, "t m"]:
        """The variances in full.

        Args:
            raw: see there.
            typical: the same on average over features.
            prior: the prior's variance of what features do together, on average over features.
        """
        return self.learning**2 * (raw + typical) / 2 + self.unforeseen * prior
