"""What interrupted calls have paid for."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from threading import get_ident

from interpreto_mllm.core.evaluations import Evaluations
from interpreto_mllm.core.responses import Response
from interpreto_mllm.evaluation.run import Run
from interpreto_mllm.games.game import ModelGame
from interpreto_mllm.thoughts.thinker import Thought


class Unfinished:
    """The evaluations of the last call of each thread, if that was interrupted.

    Example:
        >>> unfinished = Unfinished()
        >>> unfinished.begin()
        >>> unfinished.keep([])
        >>> unfinished.evaluations
        []
    """

    def __init__(self) -> None:
        self._of_threads: dict[int, list[Evaluations] | None] = {}
        self._intermediate: dict[int, dict[bytes, Response]] = {}
        self._thoughts: dict[int, dict[Hashable, dict[bytes, tuple[Thought, ...]]]] = {}

    def begin(self) -> None:
        """A call begins in this thread."""
        self._of_threads.pop(get_ident(), None)
        self._of_threads[get_ident()] = None

    def keep(self, runs: Sequence[Run[ModelGame]]) -> None:
        """The call of this thread was interrupted after these runs had come so far."""
        self._of_threads[get_ident()] = [_evaluations(run) for run in runs]

    def finish(self) -> None:
        """The call of this thread was not interrupted."""
        self._thoughts.pop(get_ident(), None)

    def thoughts(self, of: Hashable) -> dict[bytes, tuple[Thought, ...]]:
        """Those that coalitions of one prompt led to in this thread's call, for one that goes on after an interruption."""
        return self._thoughts.setdefault(get_ident(), {}).setdefault(of, {})

    @property
    def evaluations(self) -> list[Evaluations] | None:
        """Those of this thread's last call; in a thread without calls, those of the call that began last."""
        last = next(reversed(self._of_threads.values()), None)
        return self._of_threads.get(get_ident(), last)

    @property
    def intermediate_responses(self) -> dict[bytes, Response]:
        """Those that this thread got while it extended a conversation, for a call that goes on after an interruption."""
        return self._intermediate.setdefault(get_ident(), {})


def _evaluations(run: Run[ModelGame]) -> Evaluations:
    """Those of a run; without what its game knows of them where it fails to say it."""
    try:
        return run.evaluations()
    except Exception:
        return run.session.evaluations()
