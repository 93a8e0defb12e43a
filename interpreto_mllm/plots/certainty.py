"""The warning of a page whose strongest scores are not settled, and what it would take to settle them."""

from __future__ import annotations

import math

from interpreto_mllm.plots.scores import QUANTILE, TargetScores
from interpreto_mllm.results.record import Record

STRONGEST, WEAKEST = 5, 0.2
"""A page warns while the sign is open of one of so many strongest features, if it has such a share of the strongest score."""

COARSER = {"ALL_TOKENS": "TOKEN", "TOKEN": "WORD", "WORD": "SENTENCE"}


def warning(attribution: Record, row: TargetScores) -> str:
    """What a reader must know before trusting the colours, "" where the strongest scores are settled.

    The number of evaluations is the one at which the errors, which shrink with its square root, would settle them.
    """
    strongest = row.strongest(STRONGEST)
    doubtful = [feature for feature in strongest if feature in row.open_signs and abs(row.share(feature)) >= WEAKEST]
    if not doubtful or row.errors is None:
        return ""
    evaluations = attribution.counts.evaluations or len(attribution.evaluations.coalitions)
    text = (
        f"The sign of {len(row.open_signs):,} of {attribution.n:,} scores is not settled after {evaluations:,} evaluations, "
        f"{len(doubtful)} of the {len(strongest)} strongest among them."
    )
    ratios = [QUANTILE * row.errors[feature] / abs(row.scores[feature]) for feature in doubtful if row.scores[feature]]
    if ratios and all(map(math.isfinite, ratios)):
        text += f" About {_rounded(evaluations * max(ratios) ** 2):,} evaluations would settle these."
    coarser = COARSER.get(_granularity(attribution))
    return text + (f" Granularity.{coarser} needs fewer." if coarser else "")


def _granularity(attribution: Record) -> str:
    told = "" if attribution.settings is None else attribution.settings.readable().get("granularity", "")
    return told.rpartition(".")[2]


def _rounded(number: float) -> int:
    """Up to two digits."""
    step = 10 ** max(0, math.floor(math.log10(max(number, 1))) - 1)
    return math.ceil(number / step) * step
