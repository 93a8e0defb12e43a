"""How far a mixture of experts in half precision is off: values as they were computed, beside those of rows alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor

from interpreto_mllm.engine.batch_trial import ADVICE, spread_out
from interpreto_mllm.engine.counter import ForwardCounter
from interpreto_mllm.engine.findings import finding
from interpreto_mllm.engine.queries import Score, Scored
from interpreto_mllm.engine.rounding import half, has_experts

ROWS = 16
"""Rows that are compared, once for each model."""


class _Seen:
    """How many rows were compared, how far a value was off, and what was said of that."""

    def __init__(self) -> None:
        self.rows, self.spread, self.note = 0, 0.0, ""


class ExpertsTrial:
    """Compares some values of a mixture of experts in half precision with those of rows alone, and says how far they are off.

    In another batch, behind a cache or in a row of several prompts, rounding may send a token to other experts. That is seldom,
    and no trial beforehand excludes it.

    Args:
        model: for its precision, its experts, and what is known of it.
        counter: is told what readers of a result must know.
        alone: the values of one query, by a plain forward.
    """

    def __init__(self, model: Any, counter: ForwardCounter, alone: Callable[[Score], Float[Tensor, "t"]]):
        self.model, self.counter, self.alone = model, counter, alone

    def __call__(self, queries: Sequence[Score], scored: Iterator[Scored]) -> Iterator[Scored]:
        """The same values; what they are of is in `queries`."""
        if not (half(self.model) and has_experts(self.model)):
            yield from scored
            return
        for indices, values in scored:
            seen = finding(self.model, "experts", _Seen)
            with self.counter.trying():
                for place in spread_out(range(len(indices)), ROWS - seen.rows):
                    alone = self.alone(queries[indices[place]])
                    differences = (values[place][: len(alone)] - alone).abs().nan_to_num()
                    seen.rows, seen.spread = seen.rows + 1, max(seen.spread, float(differences.max()))
            self.counter.notes.pop(seen.note, None)
            precision = str(self.model.dtype).removeprefix("torch.")
            said = f"Rounding to {precision} may send a token to other experts in another batch, and so change single values: "
            said += f"by up to {seen.spread:.2g} in {seen.rows} rows that were compared, perhaps by more in others; {ADVICE}"
            seen.note = said
            self.counter.note(seen.note)
            yield indices, values
