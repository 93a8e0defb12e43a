"""Results as pandas frames."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from interpreto_mllm.results.interactions import PairValues
from interpreto_mllm.results.record import Record

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


def pairs_frame(pairs: PairValues) -> pandas.DataFrame:
    """One line per target and pair of features: who they are, their interaction and its standard error.

    Raises:
        ImportError: without pandas.
    """
    return _pandas().DataFrame(
        [
            {
                "target_index": target,
                "target": pairs.targets[target],
                "first_index": pair.first,
                "second_index": pair.second,
                "first": pairs.features[pair.first].text,
                "second": pairs.features[pair.second].text,
                "interaction": pair.value,
                "standard_error": math.nan if pair.standard_error is None else pair.standard_error,
            }
            for target in range(len(pairs.targets))
            for pair in sorted(pairs.top(pairs.n**2, target), key=lambda pair: (pair.first, pair.second))
        ]
    )


def _pandas() -> Any:
    try:
        import pandas
    except ImportError as error:
        raise ImportError("to_frame() needs pandas: pip install interpreto_mllm[frame]") from error
    return pandas
