"""Several plays side by side."""

from __future__ import annotations

from collections.abc import Iterator

from interpreto_mllm.core.progress import progress_bar
from interpreto_mllm.evaluation.session import SamplingSession
from interpreto_mllm.games.game import ModelGame, evaluate


def run_sessions(games: list[ModelGame], hands: list[SamplingSession], progress: bool) -> Iterator[tuple[int, int]]:
    """Play all hands to their ends, every round of all of them in shared batches.

    Yields:
        (index of a hand, how many values it has just recorded), so that what is known can be kept as it comes.
    """
    with progress_bar(sum(hand.budget for hand in hands), progress) as advance:
        while active := [(i, rows) for i, hand in enumerate(hands) if (rows := hand.missing()) is not None]:
            for place, done, values in evaluate([games[i] for i, _ in active], [rows for _, rows in active]):
                i, rows = active[place]
                hands[i].record(rows[done], values)
                advance(len(done))
                yield i, len(done)
