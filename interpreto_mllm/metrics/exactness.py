"""Metrics against exact values of the same estimand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from interpreto_mllm.metrics.correlations import kendall
from interpreto_mllm.metrics.rows import NotApplicable, rows_of
from interpreto_mllm.results.intervals import interval
from interpreto_mllm.results.record import Record

Numbers = dict[str, float]
TOPS = (1, 3, 5)
LEVEL = 0.95


def exact_rows(exact: Any, record: Record) -> list[Float[Tensor, "n"]]:
    """The exact values of each row of a result.

    Raises:
        ValueError: for values of other features, targets or estimand.
    """
    rows = rows_of(record)
    if isinstance(exact, Record):
        if exact.estimand != record.estimand:
            raise NotApplicable(f"The exact values are of the {exact.estimand}, and the scores of the {record.estimand}.")
        values = [row.attributions[0].double() for row in rows_of(exact)]
    else:
        given = torch.as_tensor(exact).double()
        values = list(given[None] if given.ndim == 1 else given)
    if len(values) != len(rows) or any(tuple(value.shape) != (record.n,) for value in values):
        raise ValueError(
            f"exact has {len(values)} rows of {len(values[0]) if values else 0} values, the result {len(rows)} of {record.n}."
        )
    return values


def squared_error(record: Record, exact: Float[Tensor, "n"]) -> Numbers:
    """Σ(φ − φ*)² / Σφ*²; NaN where all exact values are zero."""
    whole = float(exact.square().sum())
    error = float((record.attributions[0].double() - exact).square().sum())
    return {"squared_error": error / whole if whole else math.nan}


def kendall_tau(record: Record, exact: Float[Tensor, "n"]) -> Numbers:
    """Kendall's τ-b of the scores and the exact values (Kendall 1945)."""
    return {"kendall_tau": kendall(record.attributions[0].double(), exact)}


def top_k_overlap(record: Record, exact: Float[Tensor, "n"], tops: Sequence[int] = TOPS) -> Numbers:
    """The share of the k strongest features, by |φ|, that are among the k truly strongest, for k = 1, 3, 5."""
    strengths, true = record.attributions[0].double().abs(), exact.abs()
    found = {}
    for k in (k for k in tops if k <= record.n):
        mine, best = (set(values.argsort(descending=True, stable=True)[:k].tolist()) for values in (strengths, true))
        found[f"top_k_overlap@{k}"] = len(mine & best) / k
    return found


def interval_coverage(record: Record, exact: Float[Tensor, "n"]) -> Numbers:
    """The share of the features whose 95 % interval holds the exact value; it should be 0.95."""
    if record.standard_errors is None:
        raise NotApplicable(f"{record.method or 'This method'} gives no standard errors here, so there are no intervals.")
    low, high = (end[0].double() for end in interval(record, LEVEL))
    known = low.isfinite() & high.isfinite()
    if not known.any():
        raise NotApplicable("The standard errors of this result are unknown, so there are no intervals.")
    slack = 1e-9 * float(exact.abs().max())
    inside = (low - slack <= exact) & (exact <= high + slack)
    return {"interval_coverage": float(inside[known].double().mean())}
