"""The samples of a run: which rows of the data are explained, and what each is."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, overload

from interpreto_mllm.metrics.truth_mask import Truth
from interpreto_mllm.similarity.tf_idf import TfIdfCosine
from interpreto_mllm.studies.causes import Causes
from interpreto_mllm.studies.columns import Reading, reading_of
from interpreto_mllm.studies.filter_expression import FilterExpression
from interpreto_mllm.studies.planted import INPUTS, TRUTH
from interpreto_mllm.studies.spec import Columns, DataSpec
from interpreto_mllm.studies.tables import Table, read_table


@dataclass(frozen=True)
class Sample:
    """What is explained.

    Args:
        identity: of the sample in its data, a text.
        inputs: a text, a chat, or a mapping with images or clips.
        targets: what is explained of it; None for the model's own answer.
        truth: which features caused the answer, where that is known.
        problem: why its row cannot be explained, if so.
    """

    identity: str
    inputs: Any
    targets: Any = None
    truth: Truth | None = None
    problem: str | None = None


class Samples(Sequence[Sample]):
    """The samples of the rows that are used, each made when it is asked for.

    Args:
        table: the rows.
        reading: which columns hold what.
        indices: of the rows that are used.
    """

    def __init__(self, table: Table, reading: Reading, indices: Sequence[int]):
        self._table, self._reading, self._indices = table, reading, list(indices)

    def __len__(self) -> int:
        return len(self._indices)

    @property
    def identities(self) -> list[str]:
        """Of all samples in order; their rows are not read for it, save a column of identities."""
        column = self._reading.columns.identity
        if column is None:
            return [_numbered(number) for number in self._indices]
        rows = self._table.only([column])
        return [str(rows[number][column]) for number in self._indices]

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> list[Sample]: ...
    def __getitem__(self, index: int | slice) -> Sample | list[Sample]:
        if isinstance(index, slice):
            return [self[one] for one in range(*index.indices(len(self)))]
        number = self._indices[index]
        return _sample(number, self._table.rows[number], self._reading)


def load_samples(data: DataSpec) -> Samples:
    """The samples of some data, in order.

    Raises:
        ValueError: for data that cannot be read, a column that there is not, or where nothing is left.
        ImportError: without `datasets`, for data that is not shipped.

    Example:
        >>> from interpreto_mllm.studies.spec import Selection
        >>> samples = load_samples(DataSpec(name="shipped:text", select=Selection(max=2, where="answer == 'red'")))
        >>> len(samples), samples[0].identity, samples[0].targets
        (2, '00003', 'red')
    """
    table, reading = _read(data)
    indices = _selected(data, table, reading)
    if not indices:
        kept = data.select.model_dump(exclude_defaults=True)
        why = f"the selection {kept} leaves nothing of {len(table.rows)} rows" if kept and table.rows else "there are no rows"
        raise ValueError(f"data {data.name!r}: {why}.")
    _check_identities(data, table, indices)
    return Samples(table, reading, indices)


def corpus(data: DataSpec) -> TfIdfCosine:
    """Tf–idf with the prompts and targets of all rows as its corpus, whichever of them are explained."""
    table, reading = _read(data)
    return TfIdfCosine.of(_texts(table, reading))


def _read(data: DataSpec) -> tuple[Table, Reading]:
    table = read_table(data)
    if not len(table.rows):
        raise ValueError(f"data {data.name!r}: there are no rows.")
    if INPUTS in table.columns and TRUTH in table.columns:
        return table, Reading(Columns(prompt="text", target="answer"))
    return table, reading_of(table, data.columns)


def _texts(table: Table, reading: Reading) -> Iterator[str]:
    columns = reading.columns
    used = [name for name in (columns.prompt, columns.chat, columns.target) if name is not None]
    for row in table.only(used):
        yield reading.text(row)
        if columns.target is not None and isinstance(row[columns.target], str):
            yield row[columns.target]


def _selected(data: DataSpec, table: Table, reading: Reading) -> list[int]:
    """The indices of the rows that are used: filtered, shuffled, from the start, at most so many."""
    select = data.select
    public = [name for name in table.columns if name not in (INPUTS, TRUTH)]
    where = None if select.where is None else FilterExpression(select.where, public)
    of_prompt = [name for name in (reading.columns.prompt, reading.columns.chat) if name is not None]
    by_length = select.min_length is not None or select.max_length is not None
    used = [*(where.columns if where else ()), *(of_prompt if by_length else ())]
    order = list(range(len(table.rows)))
    if select.shuffle is not None:
        random.Random(select.shuffle).shuffle(order)
    end = None if select.max is None else select.start + select.max
    if not used:
        return order[select.start : end]
    rows = table.only(used)
    low, high = select.min_length or 0, float("inf") if select.max_length is None else select.max_length
    kept = (
        index
        for index in order
        if (where is None or where(rows[index])) and (not by_length or low <= len(reading.text(rows[index])) <= high)
    )
    return list(islice(kept, select.start, end))


def _numbered(number: int) -> str:
    return f"{number:05d}"


def _sample(number: int, row: Mapping[str, Any], reading: Reading) -> Sample:
    columns = reading.columns
    name = _numbered(number) if columns.identity is None else str(row[columns.identity])
    if TRUTH in row:
        return Sample(name, row[INPUTS], row["answer"], row[TRUTH])
    try:
        inputs, target = reading.read(row)
    except ValueError as error:
        return Sample(name, None, problem=f"Row {number} cannot be explained: {error}")
    causes = None if columns.causes is None else row[columns.causes]
    texts = [causes] if isinstance(causes, str) else causes
    return Sample(name, inputs, target, Causes(texts=tuple(texts)) if texts else None)


def _check_identities(data: DataSpec, table: Table, indices: Sequence[int]) -> None:
    """Raise a ValueError for samples that have the same identity."""
    column = data.columns.identity
    if column is None:
        return
    rows, seen = table.only([column]), dict[str, int]()
    for index in indices:
        name = str(rows[index][column])
        if name in seen:
            raise ValueError(f"data.columns.identity: rows {seen[name]} and {index} both have {name!r} in {column!r}.")
        seen[name] = index
