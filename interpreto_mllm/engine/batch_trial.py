"""Whether rows of a batch influence each other: tried with some of the rows that are asked about."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Generic, TypeVar

from jaxtyping import Float
from torch import Tensor

from interpreto_mllm.engine.batches import Batches, Grouping, out_of_memory
from interpreto_mllm.engine.counter import ForwardCounter
from interpreto_mllm.engine.findings import finding
from interpreto_mllm.engine.rounding import NOISE, excess, half, tolerance

logger = logging.getLogger(__name__)
Item = TypeVar("Item")

ROWS = 4
"""Rows of a trial."""

NOTES = {
    Grouping.EQUAL: "Rows of different lengths influence each other in this model: batches hold rows of one length.",
    Grouping.ALONE: "Rows in a batch influence each other in this model: each is computed by itself.",
}

ADVICE = "with what is in a batch; batch_size=1 and share_prefixes=False, or float32, rule that out."

EXPERTS = re.compile(r"^(moe_)?num_(local_)?experts$|^n_routed_experts$|^moe_num_experts$|^ffn_config$")
"""Settings that say how many experts a layer has, by the names that models give them."""


class _Known:
    """What was found of one kind of rows.

    Attributes:
        grouping: which rows may go together.
        lengths: those that were tried beside others.
        equal: whether rows of one length were tried.
        spread: how far a row's values were seen to change where they change beside its own copies too.
    """

    def __init__(self) -> None:
        self.grouping, self.lengths, self.equal, self.spread = Grouping.ANY, set[int](), False, 0.0


class BatchTrial(Generic[Item]):
    """Compares some rows of a batch with themselves alone: of different lengths, and of one.

    Rows that differ by more than rounding go together by length alone; if rows of one length differ too, each is computed by
    itself. In half precision, four times as much is rounding where a row differs beside copies of itself too; results say so.

    What was found is kept with the model. Lengths beyond those tried are tried again: a model may change its ways with the
    length. A trial takes at most nine forwards, which are not counted.

    Args:
        model: for what is known of it.
        kind: of rows; what holds for one kind says nothing about another.
        batches: is told which rows may go together.
        counter: is told what readers of a result must know.
        length: of a row.
        values: of some rows in one forward, and how many of a row's values count.
    """

    def __init__(
        self,
        model: Any,
        kind: Hashable,
        batches: Batches,
        counter: ForwardCounter,
        length: Callable[[Item], int],
        values: Callable[[Sequence[Item]], Float[Tensor, "b t"]],
    ):
        self.model, self.kind, self.batches, self.counter = model, kind, batches, counter
        self.length, self.values = length, values

    def __call__(self, rows: Sequence[Item]) -> None:
        """Try what is not known yet of rows such as these."""
        known = finding(self.model, ("batches", self.kind), _Known)
        if self.batches.size > 1 and len(rows) > 1 and known.grouping is not Grouping.ALONE:
            with self.counter.paused():
                self._try(known, rows)
        if known.grouping is Grouping.ALONE:
            self.counter.notes.pop(NOTES[Grouping.EQUAL], None)
        if known.grouping is not Grouping.ANY:
            self.batches.grouping = known.grouping
            self.counter.note(NOTES[known.grouping])
        elif known.spread:
            self.counter.note(f"{self._precision} changes values of this model by up to {known.spread:.2g} {ADVICE}")
        if self.batches.size > 1 and known.grouping is not Grouping.ALONE and half(self.model) and _has_experts(self.model):
            self.counter.note(f"{self._precision} may send a token to other experts, and so change single values, {ADVICE}")

    @property
    def _precision(self) -> str:
        return f"Rounding to {str(self.model.dtype).removeprefix('torch.')}"

    def _try(self, known: _Known, rows: Sequence[Item]) -> None:
        of_length: dict[int, list[Item]] = {}
        for row in rows:
            of_length.setdefault(self.length(row), []).append(row)
        lengths = sorted(of_length)
        new = len(lengths) > 1 and (
            not known.lengths
            or lengths[0] < min(known.lengths)
            or lengths[-1] > max(known.lengths)
            or (len(known.lengths) < ROWS and not known.lengths.issuperset(lengths))
        )
        if known.grouping is Grouping.ANY and new:
            chosen = _spread(lengths)
            known.lengths.update(chosen)
            if not self._independent(known, [of_length[length][0] for length in chosen]):
                known.grouping = Grouping.EQUAL
        several = [group for group in of_length.values() if len(group) > 1]
        if several and not known.equal and (known.grouping is Grouping.EQUAL or not known.lengths):
            known.equal = True
            if not self._independent(known, max(several, key=len)[:ROWS]):
                known.grouping = Grouping.ALONE

    def _independent(self, known: _Known, rows: Sequence[Item]) -> bool:
        """Whether rows have the values in a batch that they have alone; logged where not."""
        try:
            some, together = self._together(rows)
        except Exception as error:  # a model may refuse a batch in any way it likes: rows alone then decide
            logger.info("%s cannot read several rows at once (%s).", type(self.model).__name__, error)
            return False
        for row, beside in zip(some, together, strict=True):
            alone = self.values([row])[0]
            beside = beside[: len(alone)]
            over = excess(beside, alone, tolerance(self.model))
            if over <= 1:
                continue
            copies = self.values([row] * 3)[0][: len(alone)]
            noise = excess(copies, alone, tolerance(self.model)) if half(self.model) else 0.0
            if over > NOISE * min(noise, 1):
                logger.info("In a batch, %s gives other numbers (by %.1e tolerances).", type(self.model).__name__, over)
                return False
            known.spread = max(known.spread, float((beside - alone).abs().max()))
        return True

    def _together(self, rows: Sequence[Item]) -> tuple[Sequence[Item], Float[Tensor, "b t"]]:
        """As many of the rows as fit into memory, the first and the last of two, and their values in one forward."""
        while True:
            some = rows if len(rows) <= self.batches.size else [*rows[: self.batches.size - 1], rows[-1]]
            try:
                return some, self.values(some)
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error) or self.batches.size == 1:
                    raise
            self.batches.halve()


def _spread(lengths: Sequence[int]) -> list[int]:
    """Some of these, the first and the last among them."""
    places = {round(index * (len(lengths) - 1) / (ROWS - 1)) for index in range(ROWS)}
    return [lengths[place] for place in sorted(places)]


def _has_experts(model: Any) -> bool:
    """Whether tokens are sent to some of several experts, so that rounding can change which."""
    settings = model.config.get_text_config().to_dict()
    return any(EXPERTS.search(name) and (isinstance(value, dict) or (value or 0) > 1) for name, value in settings.items())
