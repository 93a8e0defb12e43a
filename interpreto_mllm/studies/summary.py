"""The summary of a run: metrics over all samples, and tables of all rows."""

from __future__ import annotations

import io
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from interpreto_mllm.core.optional import optional


def aggregated(samples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Counts of samples, and each metric's mean, spread and quantiles over the samples that have it.

    Example:
        >>> samples = [{"status": "done", "evaluations": 8, "metrics": {"gini": 0.5}}, {"status": "failed"}]
        >>> aggregated(samples)["metrics"]["gini"]
        {'count': 1, 'mean': 0.5, 'standard_deviation': None, 'standard_error': None, 'min': 0.5, 'median': 0.5, 'max': 0.5}
    """
    done = [one for one in samples if one["status"] == "done"]
    names = sorted({name for one in done for name in one.get("metrics", {})})
    return {
        "samples": len(samples),
        "done": len(done),
        "failed": len(samples) - len(done),
        "evaluations": sum(one["evaluations"] for one in done),
        "metrics": {name: _described(_numbers(done, name)) for name in names},
    }


def _numbers(samples: Iterable[Mapping[str, Any]], name: str) -> list[float]:
    found = (one.get("metrics", {}).get(name) for one in samples)
    return [number for number in found if number is not None]


def _described(numbers: Sequence[float]) -> dict[str, float | int | None]:
    spread = statistics.stdev(numbers) if len(numbers) > 1 else None
    return {
        "count": len(numbers),
        "mean": statistics.fmean(numbers) if numbers else None,
        "standard_deviation": spread,
        "standard_error": None if spread is None else spread / len(numbers) ** 0.5,
        "min": min(numbers, default=None),
        "median": statistics.median(numbers) if numbers else None,
        "max": max(numbers, default=None),
    }


def sample_rows(run: str, samples: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row for each sample, with a column for each metric."""
    return [
        {
            "run": run,
            "sample": one["identity"],
            "status": one["status"],
            "features": len(one["features"]) if "features" in one else None,
            "evaluations": one.get("evaluations"),
            "error": one["error"]["message"] if "error" in one else None,
            **one.get("metrics", {}),
        }
        for one in samples
    ]


def score_rows(run: str, samples: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row for each feature of each target of each sample."""
    return [
        {
            "run": run,
            "sample": one["identity"],
            "target": target,
            "feature": place,
            "text": feature["text"],
            "modality": feature["modality"],
            "score": one["attributions"][row][place],
            "standard_error": None if one["standard_errors"] is None else one["standard_errors"][row][place],
        }
        for one in samples
        if one["status"] == "done"
        for row, target in enumerate(one["targets"])
        for place, feature in enumerate(one["features"])
    ]


def parquet(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """The bytes of a parquet file of these rows; columns that only some have are empty in the others.

    Raises:
        ImportError: without pyarrow.
    """
    pyarrow, writer = optional("pyarrow", "a study", "study"), optional("pyarrow.parquet", "a study", "study")
    names = list(dict.fromkeys(name for row in rows for name in row))
    table = pyarrow.table({name: [row.get(name) for row in rows] for name in names})
    sink = io.BytesIO()
    writer.write_table(table, sink)
    return sink.getvalue()
