"""The seconds of a call, divided among its results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from interpreto_mllm.attribution import Attribution
from interpreto_mllm.core.counts import Stages


def timed(results: Sequence[Attribution], stages: Stages) -> list[Attribution]:
    """The results of one call with its seconds, in proportion to the evaluations made for each; evenly where none were made."""
    paid = sum(result.counts.paid for result in results)
    parts = [result.counts.paid / paid if paid else 1 / len(results) for result in results]
    return [
        replace(result, counts=result.counts.timed(stages.share(part))) for result, part in zip(results, parts, strict=True)
    ]
