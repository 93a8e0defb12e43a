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

    Values are recorded as they arrive, and written to the checkpoint from time to time and at the end, also after an error.
    """
    watch = reporter.watch
    try:
        watch.enter("aggregation")
        while active := [(run, rows) for run in runs if (rows := run.session.missing()) is not None]:
            reporter.drawn(sum(len(rows) for _, rows in active))
            watch.enter("model")
            for place, done, values in evaluate([run.game for run, _ in active], [rows for _, rows in active]):
                run, rows = active[place]
                run.record(rows[done], values)
                reporter.evaluated(len(done))
                if checkpoint is not None and checkpoint.due:
                    checkpoint.save([run.evaluations() for run in runs])
            watch.enter("aggregation")
    finally:
        if checkpoint is not None:
            checkpoint.save([run.evaluations() for run in runs])
