"""What a page computes with in the browser: the scores of all targets, and those of spans that are not sums."""

from __future__ import annotations

import base64
import json
import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from interpreto_mllm.plots.areas import name, overlaps
from interpreto_mllm.results.record import Record

MOST_SPANS = 60
"""Spans aggregated beforehand where the scores of a span are not the sum of its tokens' scores."""


def page_data(attribution: Record, whole: Record | None) -> str:
    """As JSON that cannot close its script element. Scores have the precision of the result, errors that of float32.

    Args:
        attribution: what the page shows.
        whole: the scores of the whole answer, None where the rows have no common answer.
    """
    additive = whole is not None and bool(
        torch.allclose(whole.attributions[0], attribution.attributions.sum(0), rtol=1e-9, atol=1e-12)
    )
    content = {
        "unit": attribution.unit,
        "n": attribution.n,
        "additive": additive,
        "targets": list(attribution.targets),
        "names": [name(attribution, entry) for entry in range(attribution.n + len(overlaps(attribution)))],
        "overlaps": [list(cover) for cover in overlaps(attribution)],
        "text": [bool(feature.spans) for feature in attribution.features],
        **_row(attribution),
        "spans": _spans(attribution, whole, additive),
    }
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def _row(attribution: Record) -> dict[str, Any]:
    errors = attribution.standard_errors
    return {
        "scores": _packed(attribution.attributions.double()),
        "errors": None if errors is None else _packed(errors.float()),
        "empty": _finite(attribution.empty),
        "full": _finite(attribution.full),
    }


def _spans(attribution: Record, whole: Record | None, additive: bool) -> list[dict[str, Any]]:
    """The whole answer; and all other spans of several tokens where they are few and not sums."""
    if whole is None:
        return []
    t = attribution.t
    found = [{"start": 0, "end": t, **_row(whole)}]
    if not additive and t * (t - 1) // 2 <= MOST_SPANS and not attribution.normalisation:
        inner = [(start, end) for start in range(t) for end in range(start + 2, t + 1) if end - start < t]
        found += [{"start": start, "end": end, **_row(attribution.span(start, end))} for start, end in inner]
    return found


def _finite(values: Float[Tensor, "t"]) -> list[float | None]:
    """JSON knows no infinity."""
    return [value if math.isfinite(value) else None for value in values.tolist()]


def _packed(values: Float[Tensor, "t n"]) -> str:
    return base64.b64encode(values.contiguous().numpy().astype(values.numpy().dtype.newbyteorder("<")).tobytes()).decode()
