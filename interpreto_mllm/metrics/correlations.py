"""Rank correlations."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from interpreto_mllm.results.fidelity import rank_correlation


def spearman(first: Float[Tensor, "p"], second: Float[Tensor, "p"]) -> float:
    """Spearman's correlation, ties sharing their mean rank; NaN where all of one are tied.

    Example:
        >>> round(spearman(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 8.0, 9.0])), 12)
        1.0
    """
    return float(rank_correlation(first.double()[:, None], second.double()[:, None]))


def kendall(first: Float[Tensor, "n"], second: Float[Tensor, "n"]) -> float:
    """Kendall's τ-b: concordant less discordant pairs, over the pairs that are not tied; NaN where all of one are tied.

    Example:
        >>> kendall(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 3.0, 2.0]))
        0.333...
    """
    one, two = (torch.sign(values[:, None] - values).double() for values in (first, second))
    scale = float(one.abs().sum() * two.abs().sum()) ** 0.5
    return float((one * two).sum()) / scale if scale else math.nan
