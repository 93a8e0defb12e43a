"""The rows of the tokens of answers, of a result with one row for each answer."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from interpreto_mllm.results.record import Record

Kept = TypeVar("Kept", bound=Record)


def token_rows(record: Kept) -> Kept:
    """The result with a row for each token, from the stored values; itself where it has these rows.

    Raises:
        ValueError: for a result that has no tokens.
    """
    tokens = record.evaluations.tokens
    if tokens is None:
        if record.unit == "token":
            return record
        raise ValueError(f"The rows of this result are of kind {record.unit!r}, and no tokens are stored of them.")
    again = record.aggregated(record.evaluations.of_tokens, record.aggregator, list(tokens.labels), record.aggregator.estimand)
    return replace(again, unit=tokens.unit)
