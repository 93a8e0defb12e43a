"""The loop that evaluates the games of several runs side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor

from interpreto_mllm.core.points import Gradients
from interpreto_mllm.evaluation.checkpoint import Checkpoint
from interpreto_mllm.evaluation.reporter import Reporter
from interpreto_mllm.evaluation.run import G, Run

Found = Float[Tensor, "_ _"] | Gradients
Evaluate = Callable[[Sequence[G], Sequence[Any]], Iterator[tuple[int, list[int], Found]]]
"""Evaluates coalitions, or points, of several games together; yields the index of a game, indices of its coalitions or points,
and their values, or gradients."""


def run_sessions(
    runs: Sequence[Run[G]], evaluate: Evaluate[G], *, reporter: Reporter, checkpoint: Checkpoint | None = None
) -> None:
    """Carry out all runs to their ends, each round of all of them in shared batches.

    Values are recorded as they arrive, and appended to the checkpoint.
    """
    watch = reporter.watch
    watch.enter("aggregation")
    while active := [(index, rows) for index, run in enumerate(runs) if (rows := run.session.missing()) is not None]:
        reporter.drawn(sum(len(rows) for _, rows in active))
        watch.enter("model")
        for place, done, values in evaluate([runs[index].game for index, _ in active], [rows for _, rows in active]):
            index, rows = active[place]
            some = rows[done]
            runs[index].record(some, values)
            if checkpoint is not None and isinstance(some, Tensor) and isinstance(values, Tensor):
                checkpoint.add(index, runs[index].completed(some, values))
            reporter.evaluated(len(done) if isinstance(some, Tensor) else int((some.shares > 0).sum()))
        watch.enter("aggregation")
