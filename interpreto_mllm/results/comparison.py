"""Several results next to each other: how far their scores agree."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from interpreto_mllm.core.ranks import ranks
from interpreto_mllm.results.record import Record
from interpreto_mllm.results.whole import whole_answer

TOP = 5


@dataclass(frozen=True, eq=False)
class ComparedResults:
    """Results next to each other, each by the scores of its whole answer, or of its first target where there is no whole.

    Args:
        results: what is compared.
        names: what each is called.

    Raises:
        ValueError: for fewer than two results, or other than one name each.
    """

    results: tuple[Record, ...]
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.results) < 2:
            raise ValueError(f"compare() puts two or more results side by side; got {len(self.results)}.")
        if len(self.names) != len(self.results):
            raise ValueError(f"{len(self.results)} results call for as many names; got {len(self.names)}.")

    @property
    def same_features(self) -> bool:
        """Whether all have the same features, so that their scores can be put in one table."""
        return len({tuple((one.text, one.spans, one.pieces) for one in result.features) for result in self.results}) == 1

    @property
    def scores(self) -> Float[Tensor, "m n"]:
        """One line for each result.

        Raises:
            ValueError: when the results have different features.
        """
        if not self.same_features:
            raise ValueError("These results have different features, so their scores have no common order.")
        return torch.stack([(whole_answer(result) or result).attributions[0].double() for result in self.results])

    def rank_correlations(self) -> Float[Tensor, "m m"]:
        """Spearman's correlation of the scores of each pair of results; NaN where all scores of one are equal.

        Raises:
            ValueError: when the results have different features.
        """
        return torch.corrcoef(torch.stack([ranks(scores) for scores in self.scores]))

    def shared_top(self, k: int = TOP) -> Float[Tensor, "m m"]:
        """The share of the `k` features with the largest absolute scores that each pair of results has in common.

        Raises:
            ValueError: when the results have different features.
        """
        strongest = [set(scores.abs().argsort(descending=True, stable=True)[:k].tolist()) for scores in self.scores]
        return torch.tensor([[len(one & two) / max(len(one), 1) for two in strongest] for one in strongest])
