"""Which features truly caused the answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Bool, Shaped
from torch import Tensor

from interpreto_mllm.core.feature import Feature
from interpreto_mllm.results.record import Record

Truth = Callable[[Feature], bool] | Sequence[int] | Shaped[Tensor, "_"]
"""One bool, or 0 or 1, for each feature, or a function from a feature to a bool."""


def truth_mask(truth: Truth | None, record: Record) -> Bool[Tensor, "n"]:
    """One bool for each feature of a result.

    Raises:
        ValueError: for another number of bools.
    """
    given = [truth(feature) for feature in record.features] if callable(truth) else truth
    mask = torch.as_tensor(given)
    if tuple(mask.shape) != (record.n,) or (mask.dtype != torch.bool and not bool(((mask == 0) | (mask == 1)).all())):
        raise ValueError(
            f"truth is one bool for each of the {record.n} features, or a function from a feature to a bool; got "
            f"{tuple(mask.shape)} of {mask.dtype}."
        )
    return mask.bool()
