"""Confidence intervals of scores."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from interpreto_mllm.results.record import Record


def interval(record: Record, level: float) -> tuple[Float[Tensor, "t n"], Float[Tensor, "t n"]]:
    """The scores minus and plus the normal quantile of the level times their standard errors.

    Exact scores are their own intervals; those of a target whose errors are not known are NaN.

    Raises:
        ValueError: for a level outside (0, 1), or a result without standard errors.
    """
    quantile, errors = normal_quantile(level), record.standard_errors
    if errors is None:
        raise ValueError(
            f"These scores ({record.estimand}, {record.method}) have no standard errors, so there are no intervals. "
            "Shapley estimators give them from a few evaluations per feature on, of coalitions whose perturbator says how they "
            "were drawn: explain again with a larger budget, reusing these with evaluations=[explanation]."
        )
    return record.attributions - quantile * errors, record.attributions + quantile * errors


def normal_quantile(level: float) -> Tensor:
    """How many standard errors an interval of this level reaches to each side.

    Raises:
        ValueError: for a level outside (0, 1).

    Example:
        >>> round(float(normal_quantile(0.95)), 3)
        1.96
    """
    if isinstance(level, bool) or not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, such as 0.95; got {level!r}.")
    return torch.special.ndtri(torch.tensor((1 + level) / 2, dtype=torch.float64))
