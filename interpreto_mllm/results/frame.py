"""Results as pandas frames."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from interpreto_mllm.results.interactions import SetValues
from interpreto_mllm.results.record import Record
from interpreto_mllm.results.summarised import SummarisedResults
from interpreto_mllm.results.trace import ThoughtFlow

if TYPE_CHECKING:
    import pandas


def frame(record: Record) -> pandas.DataFrame:
    """One line per target and feature: what it is, where it lies, its score and standard error.

    The standard error is 0.0 where the score is exact, and NaN where it is not known.

    Raises:
        ImportError: without pandas.
    """
    pandas = _pandas()
    t, n = record.t, record.n
    errors = record.standard_errors
    spans = [(feature.spans[0][0], feature.spans[-1][1]) if feature.spans else (None, None) for feature in record.features]
    return pandas.DataFrame(
        {
            "target_index": [row for row in range(t) for _ in range(n)],
            "target": [target for target in record.targets for _ in range(n)],
            "feature_index": list(range(n)) * t,
            "feature": [feature.text for feature in record.features] * t,
            "label": [feature.label for feature in record.features] * t,
            "modality": [feature.modality for feature in record.features] * t,
            "role": [feature.role for feature in record.features] * t,
            "turn": pandas.array([feature.turn for feature in record.features] * t, dtype="Int64"),
            "source": [feature.source for feature in record.features] * t,
            "trusted": pandas.array([feature.trusted for feature in record.features] * t, dtype="boolean"),
            "part": [feature.part for feature in record.features] * t,
            "start": pandas.array([start for start, _ in spans] * t, dtype="Int64"),
            "end": pandas.array([end for _, end in spans] * t, dtype="Int64"),
            "attribution": record.attributions.flatten().tolist(),
            "standard_error": [math.nan] * (t * n) if errors is None else errors.flatten().tolist(),
        }
    )


def interactions_frame(found: SetValues) -> pandas.DataFrame:
    """One line per target and set of features: who they are, their interaction and its standard error.

    Raises:
        ImportError: without pandas.
    """
    places = ("first", "second", "third")[: found.order]
    t, count = len(found.targets), len(found.sets)
    members = [(place, found.sets[:, number].tolist()) for number, place in enumerate(places)]
    errors = [math.nan] * (t * count) if found.errors is None else found.errors.flatten().tolist()
    return _pandas().DataFrame(
        {
            "target_index": [target for target in range(t) for _ in range(count)],
            "target": [target for target in found.targets for _ in range(count)],
            **{f"{place}_index": rows * t for place, rows in members},
            **{place: [found.features[member].text for member in rows] * t for place, rows in members},
            "interaction": found.scores.flatten().tolist(),
            "standard_error": errors,
        }
    )


def trace_frame(flow: ThoughtFlow) -> pandas.DataFrame:
    """One line per part of the prompt and per thought: what it did to the answer directly, through thoughts, and in all.

    A thought's total is what it did through later ones too; of that, `kept` is what it owes to nothing before it. Standard
    errors of the total, and of what is kept, are NaN where they are not known.

    Raises:
        ImportError: without pandas.
    """
    features, direct = [*flow.features, *flow.thoughts], flow.answer.attributions[0].double()
    total = [*flow.total.tolist(), *flow.carried.tolist()]
    errors, unknown = flow.standard_errors, [math.nan] * len(features)
    return _pandas().DataFrame(
        {
            "feature": [feature.text for feature in features],
            "label": [feature.label for feature in features],
            "part": ["prompt"] * flow.n + ["thoughts"] * flow.k,
            "direct": direct.tolist(),
            "through": [whole - own for whole, own in zip(total, direct.tolist(), strict=True)],
            "total": total,
            "kept": [math.nan] * flow.n + flow.kept.tolist(),
            "standard_error": unknown if errors is None else [*errors.total.tolist(), *errors.carried.tolist()],
            "kept_error": unknown if errors is None else [math.nan] * flow.n + errors.kept.tolist(),
        }
    )


def entries_frame(summary: SummarisedResults) -> pandas.DataFrame:
    """One line per entry; the ends of intervals are NaN where there are none.

    Raises:
        ImportError: without pandas.
    """
    nothing = (math.nan, math.nan)
    return _pandas().DataFrame(
        [
            {
                summary.by: entry.name,
                "prompts": len(entry.scores),
                "share": entry.share,
                "share_low": (entry.share_interval or nothing)[0],
                "share_high": (entry.share_interval or nothing)[1],
                "mean": entry.mean,
                "mean_low": (entry.mean_interval or nothing)[0],
                "mean_high": (entry.mean_interval or nothing)[1],
            }
            for entry in summary.entries
        ]
    )


def _pandas() -> Any:
    try:
        import pandas
    except ImportError as error:
        raise ImportError("to_frame() needs pandas: pip install interpreto_mllm[frame]") from error
    return pandas
