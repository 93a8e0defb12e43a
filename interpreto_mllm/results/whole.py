"""The scores of the whole answer."""

from __future__ import annotations

from typing import TypeVar

from interpreto_mllm.results.record import Record

Kept = TypeVar("Kept", bound=Record)


def whole_answer(record: Kept) -> Kept | None:
    """One row for the whole answer, on the same scale, where the targets are its tokens and can be joined; else None."""
    if record.unit != "token" or record.t < 2:
        return None
    try:
        return record.span().normalized(record.normalisation or "identity")
    except ValueError:
        return None
