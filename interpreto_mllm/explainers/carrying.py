"""Carrying out the runs of a call."""

from __future__ import annotations

from collections.abc import Sequence

from interpreto_mllm.core.counts import Spent
from interpreto_mllm.evaluation.blocks import current_blocks
from interpreto_mllm.evaluation.checkpoint import Checkpoint
from interpreto_mllm.evaluation.loop import run_sessions
from interpreto_mllm.evaluation.reporter import Reporter
from interpreto_mllm.evaluation.run import Run
from interpreto_mllm.games.game import ModelGame
from interpreto_mllm.games.presences import evaluated


def carry_out(runs: Sequence[Run[ModelGame]], checkpoint: Checkpoint | None, reporter: Reporter) -> Spent:
    """Evaluate all games, and say what that has cost."""
    spent = runs[0].game.scorer.counter.of_call
    before = spent.passes
    blocks = current_blocks()
    run_sessions(runs, evaluated if blocks is None else blocks, reporter=reporter, checkpoint=checkpoint)
    forwards, tokens, backwards = (now - then for now, then in zip(spent.passes, before, strict=True))
    return Spent(sum(run.paid for run in runs), forwards, tokens, spent.trials, backwards)
