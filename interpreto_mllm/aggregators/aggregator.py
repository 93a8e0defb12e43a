"""The base of everything that turns the values of coalitions into attributions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from interpreto_mllm.aggregators.sums import Sums
from interpreto_mllm.core.evaluations import Evaluations


@dataclass(frozen=True, eq=False)
class Estimate:
    """Attributions, one row per target, and their standard errors where the aggregator has them.

    Args:
        attributions: of each feature for each target.
        standard_errors: None where the way the coalitions were drawn, or their number, does not show how far off they are.
        exact: that nothing was estimated from a sample, so that standard errors of zero mean what they say. This need not be
            said where all coalitions are known.
        sums: gives the standard errors of sums of attributions, which the covariance of these decides; None where that is
            not known.
        notes: what a reader must know of them.
    """

    attributions: Float[Tensor, "t n"]
    standard_errors: Float[Tensor, "t n"] | None = None
    exact: bool = False
    sums: Sums | None = None
    notes: tuple[str, ...] = ()


class Aggregator(ABC):
    """Turns evaluations into attributions. It knows nothing of models, nor of the perturbator that drew the coalitions.

    `estimand` names what the attributions estimate: "Shapley value", "Banzhaf value", "Owen value", "leave-one-out", ….

    Example:
        >>> class MeanWhenPresent(Aggregator):
        ...     estimand = "mean value when present"
        ...     def aggregate(self, evaluations):
        ...         present = evaluations.coalitions.double()
        ...         return Estimate((present.T @ evaluations.values / present.sum(0)[:, None]).T)
    """

    estimand: str = "unnamed"

    @abstractmethod
    def aggregate(self, evaluations: Evaluations) -> Estimate:
        """Attributions of the `n` features for each of the `t` targets.

        Raises:
            ValueError: when these coalitions cannot serve this aggregator; the message names the perturbators that fit.
        """
