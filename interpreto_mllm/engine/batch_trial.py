"""Whether rows of a batch influence each other: tried with some of the rows that are asked about."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Generic, TypeVar

from jaxtyping import Float
from torch import Tensor

from interpreto_mllm.engine.batches import Batches, Grouping, out_of_memory
from interpreto_mllm.engine.counter import ForwardCounter
from interpreto_mllm.engine.findings import finding
from interpreto_mllm.engine.rounding import NOISE, excess, half, has_experts, tolerance

logger = logging.getLogger(__name__)
Item = TypeVar("Item")

ROWS, BESIDE = 4, 8
"""Rows of a trial that are compared with themselves alone, and rows of its batch; all are where tokens are sent to experts."""

NOTES = {
    Grouping.EQUAL: "Rows of different lengths influence each other in this model: batches hold rows of one length.",
    Grouping.ALONE: "Rows in a batch influence each other in this model: each is computed by itself.",
}

ADVICE = "batch_size=1 and share_prefixes=False, or float32, rule that out."


class _Known:
    """What was found of one kind of rows.

    Attributes:
        grouping: which rows may go together.
        lengths: those that were compared beside others.
        equal: whether rows of one length were tried.
        compared: how many rows were compared.
        spread: how far a value was seen to change where that is rounding.
        note: what was said of that.
    """

    def __init__(self) -> None:
        self.grouping, self.lengths, self.equal = Grouping.ANY, set[int](), False
        self.compared, self.spread, self.note = 0, 0.0, ""


class BatchTrial(Generic[Item]):
    """Compares some rows of a batch with themselves alone: of different lengths, and of one.

    Rows that differ by more than rounding go together by length alone; if rows of one length differ too, each is computed by
    itself. In half precision, four times as much is rounding where a row differs beside copies of itself too; results say so,
    and how far rows were seen to differ in a mixture of experts.

    Rows so long that each has a batch to itself are not tried. What was found is kept with the model. Lengths beyond those
    compared are tried again, all of them: a model may change its ways with the length. A trial takes a forward over a batch,
    and one for each row that is compared.

    Args:
        model: for what is known of it.
        kind: of rows; what holds for one kind says nothing about another.
        batches: is told which rows may go together.
        counter: is told what readers of a result must know.
        length: of a row.
        values: of some rows in one forward, and how many of a row's values count.
        unit: of these values, in words.
        experts: whether to say what experts may do; not where it is said otherwise.
    """

    def __init__(
        self,
        model: Any,
        kind: Hashable,
        batches: Batches,
        counter: ForwardCounter,
        length: Callable[[Item], int],
        values: Callable[[Sequence[Item]], Float[Tensor, "b t"]],
        unit: str = "logits",
        experts: bool = True,
    ):
        self.model, self.kind, self.batches, self.counter = model, kind, batches, counter
        self.length, self.values, self.unit = length, values, unit
        self._experts = experts and half(model) and has_experts(model)
        self._rows = BESIDE if self._experts else ROWS

    def __call__(self, rows: Sequence[Item]) -> None:
        """Try what is not known yet of rows such as these."""
        known = finding(self.model, ("batches", self.kind), _Known)
        rows = [row for row in rows if self.batches.most(self.length(row)) > 1]
        if self.batches.size > 1 and len(rows) > 1 and known.grouping is not Grouping.ALONE:
            with self.counter.trying():
                self._try(known, rows)
        for said in (NOTES[Grouping.EQUAL], known.note):
            self.counter.notes.pop(said, None)
        if known.grouping is not Grouping.ANY:
            self.batches.grouping = known.grouping
            self.counter.note(NOTES[known.grouping])
        if known.grouping is not Grouping.ALONE and self.batches.size > 1 and (note := self._note(known)):
            known.note = note
            self.counter.note(note)

    def _note(self, known: _Known) -> str:
        """What readers must know of rounding; empty where there is nothing."""
        precision = f"Rounding to {str(self.model.dtype).removeprefix('torch.')}"
        seen = f"by up to {known.spread:.2g} ({self.unit}) in {known.compared} rows that were compared"
        if self._experts and known.compared:
            said = "may send a token to other experts in another batch, and so change single values"
            return f"{precision} {said}: {seen}, perhaps by more in others; {ADVICE}"
        return f"{precision} changes values of this model with what is in a batch, {seen}; {ADVICE}" if known.spread else ""

    def _try(self, known: _Known, rows: Sequence[Item]) -> None:
        of_length: dict[int, list[Item]] = {}
        for row in sorted(rows, key=self.length):
            of_length.setdefault(self.length(row), []).append(row)
        chosen = self._untried(known, list(of_length)) if known.grouping is Grouping.ANY else []
        if chosen:
            known.lengths.update(chosen)
            beside = spread_out(
                [group[-1] for length, group in of_length.items() if length not in chosen], BESIDE - len(chosen)
            )
            if not self._independent(known, [of_length[length][0] for length in chosen], beside):
                known.grouping = Grouping.EQUAL
        several = [group for group in of_length.values() if len(group) > 1]
        if several and not known.equal and (known.grouping is Grouping.EQUAL or not known.lengths):
            known.equal = True
            if not self._independent(known, max(several, key=len)[: self._rows]):
                known.grouping = Grouping.ALONE

    def _untried(self, known: _Known, lengths: Sequence[int]) -> list[int]:
        """Lengths to compare of these: some of all where they go beyond what is known, else as many new ones as are missing."""
        if len(lengths) < 2:
            return []
        if not known.lengths or lengths[0] < min(known.lengths) or lengths[-1] > max(known.lengths):
            return spread_out(lengths, self._rows)
        return spread_out([length for length in lengths if length not in known.lengths], self._rows - len(known.lengths))

    def _independent(self, known: _Known, rows: Sequence[Item], beside: Sequence[Item] = ()) -> bool:
        """Whether rows have the values in a batch, beside others, that they have alone; logged where not."""
        batch = [*rows[:-1], *beside, rows[-1]]
        compared = {*range(len(rows) - 1), len(batch) - 1}
        try:
            places, together = self._together(batch)
        except Exception as error:  # a model may refuse a batch in any way it likes: rows alone then decide
            logger.info("%s cannot read several rows at once (%s).", type(self.model).__name__, error)
            return False
        return all(self._same(known, batch[at], values) for at, values in zip(places, together, strict=True) if at in compared)

    def _same(self, known: _Known, row: Item, beside: Float[Tensor, "t"]) -> bool:
        """Whether a row's values beside others are those that it has alone, up to rounding."""
        alone = self.values([row])[0]
        beside = beside[: len(alone)]
        over = excess(beside, alone, tolerance(self.model))
        if over > 1:
            copies = self.values([row] * 3)[0][: len(alone)]
            noise = excess(copies, alone, tolerance(self.model)) if half(self.model) else 0.0
            if over > NOISE * min(noise, 1):
                logger.info("In a batch, %s gives other numbers (by %.1e tolerances).", type(self.model).__name__, over)
                return False
        known.compared += 1
        if over > 1 or self._experts:
            known.spread = max(known.spread, float((beside - alone).abs().nan_to_num().max()))
        return True

    def _together(self, rows: Sequence[Item]) -> tuple[list[int], Float[Tensor, "b t"]]:
        """As many of the rows as fit into memory, the first and the last of two, and their values in one forward."""
        places = list(range(len(rows)))
        longest = max(self.length(row) for row in rows)
        while True:
            most = self.batches.most(longest)
            some = places if len(places) <= most else [*places[: most - 1], places[-1]]
            try:
                return some, self.values([rows[place] for place in some])
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error) or self.batches.size == 1:
                    raise
            self.batches.halve()


def spread_out(some: Sequence[Any], count: int) -> list[Any]:
    """As many of these, evenly, the first and the last among them; the last where there is room for one."""
    if count < 1 or not some:
        return []
    steps = max(min(count, len(some)) - 1, 1)
    places = {round((index if count > 1 else 1) * (len(some) - 1) / steps) for index in range(min(count, len(some)))}
    return [some[place] for place in sorted(places)]
