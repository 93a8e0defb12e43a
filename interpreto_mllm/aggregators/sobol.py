"""Sobol indices."""

from __future__ import annotations

from typing import Literal

import torch
from einops import reduce
from jaxtyping import Float
from torch import Tensor

from interpreto_mllm.aggregators.aggregator import Aggregator, Estimate
from interpreto_mllm.aggregators.errors import shared
from interpreto_mllm.core.coalitions import whole_chains
from interpreto_mllm.core.design import Design
from interpreto_mllm.core.evaluations import Evaluations

FEWEST_BLOCKS = 6
"""Blocks from which on the jackknife's standard errors hold what they promise."""


class SobolAggregator(Aggregator):
    """Share of the variance of the value that each feature explains, when all are present or absent by a coin flip.

    "first": alone, Var(E[v | feature]) / Var(v); "total": with all its interactions, E[Var(v | the others)] / Var(v).
    Exact when every coalition is known. From Saltelli blocks, the estimators of Saltelli et al. 2010 (first) and Jansen 1999
    (total). A game that does not vary has zeros. Standard errors are the jackknife's over blocks (Efron & Stein 1981):
    the ratio is estimated again without each of them. They are zero where every coalition is known; fewer than six blocks give
    none.

    Args:
        order: "first" or "total".

    Raises:
        ValueError: for another order, or when there is neither a Saltelli block nor every coalition.

    Example:
        >>> from interpreto_mllm.explainers.play import play
        >>> from interpreto_mllm.perturbators import SobolPerturbator
        >>> both = lambda s: (s[:, 0] & s[:, 1]).double()
        >>> play(both, SobolPerturbator(), SobolAggregator("total"), n_features=2).attributions.round(decimals=3).tolist()
        [[0.667, 0.667]]
    """

    def __init__(self, order: Literal["first", "total"] = "total"):
        if order not in ("first", "total"):
            raise ValueError(f"order must be 'first' or 'total'; got {order!r}.")
        self.order = order
        self.estimand = "Sobol first-order index" if order == "first" else "Sobol total index"

    def aggregate(self, evaluations: Evaluations) -> Estimate:
        negligible = 1e-20 * evaluations.values.square().mean(0)

        def shares(explained: Tensor, variance: Tensor) -> Tensor:
            return torch.where(variance <= negligible, 0.0, explained / variance.clamp_min(1e-300))

        if evaluations.complete:
            exact = shares(*self._exact(evaluations)).T
            return Estimate(exact, torch.zeros_like(exact))
        moments = self._moments(evaluations)
        blocks = len(moments[0])
        whole = shares(*self._parts([moment.mean(0) for moment in moments])).T
        if blocks < FEWEST_BLOCKS or evaluations.design is not Design.BLOCKS:
            return Estimate(whole)
        without = shares(*self._parts([(moment.sum(0) - moment) / (blocks - 1) for moment in moments]))
        spread = (without - without.mean(0)).square().sum(0)
        return Estimate(whole, shared((spread * (blocks - 1) / blocks).sqrt().T))

    def _exact(self, evaluations: Evaluations) -> tuple[Float[Tensor, "n t"], Float[Tensor, "t"]]:
        n = evaluations.n
        codes = evaluations.coalitions.long() @ (1 << torch.arange(n - 1, -1, -1))
        order = codes.argsort()
        values, present = evaluations.values[order], evaluations.coalitions[order]
        gains = [values[present[:, i]] - values[~present[:, i]] for i in range(n)]
        if self.order == "first":
            return torch.stack([gain.mean(0).square() / 4 for gain in gains]), values.var(0, correction=0)
        return torch.stack([gain.square().mean(0) / 4 for gain in gains]), values.var(0, correction=0)

    def _moments(self, evaluations: Evaluations) -> list[Float[Tensor, "c _ t"]]:
        """Of each block: mean and mean square of A and B, and per feature the term to average and v(AB_i) − v(A)."""
        values = self._blocks(evaluations)
        values = values - reduce(values[:, :2], "block ab t -> t", "mean")
        both, change = values[:, :2], values[:, 2:] - values[:, :1]
        term = values[:, 1:2] * change if self.order == "first" else change.square() / 2
        return [both.mean(1, keepdim=True), both.square().mean(1, keepdim=True), term, change]

    def _parts(self, moments: list[Tensor]) -> tuple[Float[Tensor, "*c n t"], Float[Tensor, "*c moments t"]]:
        """What each feature explains, and the variance: the numerator and the denominator of its index, from mean moments."""
        level, square, term, change = moments
        return term - level * change if self.order == "first" else term, square - level.square()

    def _blocks(self, evaluations: Evaluations) -> Float[Tensor, "c steps t"]:
        n = evaluations.n
        rows = whole_chains(evaluations.draws, evaluations.chains, n + 2)
        coalitions = evaluations.coalitions[rows]
        a, b = coalitions[:, :1], coalitions[:, 1:2]
        rows = rows[(coalitions[:, 2:] == torch.where(torch.eye(n, dtype=torch.bool), b, a)).all(2).all(1)]
        if not len(rows):
            raise ValueError(
                "SobolAggregator needs Saltelli blocks of coalitions, or every coalition. "
                "Use SobolPerturbator or ExactPerturbator."
            )
        return evaluations.values[rows]
