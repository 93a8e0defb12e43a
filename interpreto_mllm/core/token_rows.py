"""The rows of tokens behind a result that has one row for each answer."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True, eq=False)
class TokenRows:
    """The values of the tokens of answers, which `Evaluations` of whole answers keep.

    Args:
        values: of each coalition for each token.
        repeats: the same under each of the repeats, where there are some.
        labels: one for each token.
        unit: what a column is, as in results.
    """

    values: Float[Tensor, "p columns"]
    repeats: Float[Tensor, "r p columns"] | None
    labels: tuple[str, ...]
    unit: str

    def of(self, kept: Bool[Tensor, "p"]) -> TokenRows:
        """Those of some of the coalitions."""
        repeats = None if self.repeats is None else self.repeats[:, kept]
        return TokenRows(self.values[kept], repeats, self.labels, self.unit)
