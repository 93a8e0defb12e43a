"""What can be read off a finished result: none of it calls a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jaxtyping import Float
from torch import Tensor

if TYPE_CHECKING:
    from interpreto_mllm.certificate import Certificate
    from interpreto_mllm.interactions import Interactions
    from interpreto_mllm.shares import Shares


class Readings:
    """The readings of an `Attribution`."""

    def interval(self: Any, level: float = 0.95) -> tuple[Float[Tensor, "t n"], Float[Tensor, "t n"]]:
        """Lower and upper ends of the confidence intervals of the scores, from their standard errors and the normal quantile.

        Raises:
            ValueError: for a level outside (0, 1), or a result without standard errors.
        """
        from interpreto_mllm.intervals import interval

        return interval(self, level)

    def interactions(self: Any, order: int = 2, index: str = "SII") -> Interactions:
        """What pairs of features are worth together beyond what they are worth apart, from the stored evaluations.

        Args:
            order: 2, pairs.
            index: "SII", the Shapley interaction index; "FSII", its faithful variant; "STII", the Shapley–Taylor one.

        Raises:
            ValueError: for another order or index, more than 128 features, or evaluations that cannot tell.
        """
        from interpreto_mllm.interactions import read

        return read(self, order, index)

    def modality_shares(self: Any, target: int | None = None) -> Shares:
        """The share of Σ|φ| that falls on text, images and audio, for one target or all together.

        Raises:
            ValueError: when there is no such target, or every score is zero.
        """
        from interpreto_mllm.shares import modality_shares

        return modality_shares(self, target)

    def synergy(self: Any, *modalities: str) -> Float[Tensor, "t"]:
        """What modalities are worth together beyond what each is worth alone: v(T∪I) − v(T) − v(I) + v(∅) for two of them.

        Positive: together worth more than apart. All modalities of the prompt unless some are named.

        Raises:
            ValueError: for fewer than two modalities, unknown ones, or coalitions that were not evaluated.
        """
        from interpreto_mllm.synergy import synergy

        return synergy(self, modalities)

    def certificate(self: Any) -> Certificate:
        """How far the scores, read as sums, predict coalitions that were held out, and pairs beside them.

        Raises:
            ValueError: with too few coalitions to hold any out.
        """
        from interpreto_mllm.certificate import certificate

        return certificate(self)
