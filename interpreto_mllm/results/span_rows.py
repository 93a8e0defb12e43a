"""Which rows of a result a span of its answer is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interpreto_mllm.core.labels import joined
from interpreto_mllm.core.shown import shown

if TYPE_CHECKING:
    from interpreto_mllm.results.record import Record


def span_rows(record: Record, start: int | None, end: int | None) -> slice:
    """The rows from `start` to `end`, as in a slice.

    Raises:
        ValueError: where rows are no parts of one answer, or the span holds none or leaves the answer.
    """
    if record.unit == "response":
        raise ValueError("span() joins tokens of an answer, but each target here is a whole answer: pick its row instead.")
    if record.unit == "class":
        raise ValueError("span() joins tokens of an answer, but each target here is a class: pick one class's row instead.")
    rows = range(record.t)[start:end]
    if not rows or any(bound is not None and not -record.t <= bound <= record.t for bound in (start, end)):
        raise ValueError(
            f"span({start}, {end}) holds no target or leaves the answer; it has {record.t} targets, 0 to {record.t - 1}."
        )
    answers = _answers(record)
    if answers and not any(rows.start >= answer.start and rows.stop <= answer.stop for answer in answers):
        said = ", ".join(
            f"{shown(joined(record.targets[one.start : one.stop]))} (rows {one.start}:{one.stop})" for one in answers
        )
        first = answers[0]
        raise ValueError(
            f"span() joins tokens of one answer, and rows {rows.start}:{rows.stop} are of several: {said}. Take one of them, "
            f'such as span({first.start}, {first.stop}), or explain with rows="answer", which has a row for each.'
        )
    return slice(rows.start, rows.stop)


def _answers(record: Record) -> list[range]:
    """The rows of each of several answers; none where rows are no tokens of several."""
    widths = record.evaluations.answers
    if record.unit != "token" or widths is None or int(widths.sum()) != record.t:
        return []
    ends = widths.cumsum(0).tolist()
    return [range(end - width, end) for width, end in zip(widths.tolist(), ends, strict=True)]
