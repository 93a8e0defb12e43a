"""What can be read off a finished result, and how it is shown: none of it calls a model."""

from __future__ import annotations

from os import PathLike
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

    def show(self: Any) -> None:
        """Show the coloured prompt: in a notebook as HTML, elsewhere in the terminal."""
        from interpreto_mllm.plots.show import show

        show(self)

    def plot(self: Any, path: str | PathLike[str] | None = None, target: int | None = None, numbers: bool = False) -> Any:
        """A matplotlib figure, saved when `path` is given: bars for one target, a heat map for several.

        With images or clips, the prompt as it is read: heat maps and shaded segments over the coloured text, for one target or
        for the whole answer; `numbers` writes the scores where they fit.

        Raises:
            ImportError: without matplotlib.
            ValueError: when there is no such target.
        """
        from interpreto_mllm.plots.figure import figure

        return figure(self, path, target, numbers)

    def to_html(self: Any, path: str | PathLike[str]) -> None:
        """Write one self-contained HTML page with the coloured prompt; hovering tells scores, clicking a segment plays it."""
        from interpreto_mllm.plots.html import page

        with open(path, "w", encoding="utf-8") as file:
            file.write(page(self))

    def _repr_html_(self: Any) -> str:
        from interpreto_mllm.plots.html import fragment

        return fragment(self)
