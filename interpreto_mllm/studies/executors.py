"""Where the work of a study is done: tasks in, outcomes out as they finish, in any order."""

from __future__ import annotations

import os
import pickle
import sys
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from interpreto_mllm.studies.logs import VARIABLE, set_log_level

Task = Callable[[], Any]
"""Work that can be pickled. It raises nothing of its own: what goes wrong is part of what it returns."""

ATTEMPTS = 3
"""How often a task is given to a worker before the task is held responsible for the ends of its workers."""


@dataclass(frozen=True)
class Lost:
    """What stands in for the outcome of a task whose workers ended, each time, before it was done.

    Args:
        reason: how the last of them ended.
    """

    reason: str


def performed(pickled: bytes) -> Any:
    """What a task returns; `Lost` where a worker cannot even read it, such as one that does not find its modules.

    Example:
        >>> performed(pickle.dumps(str)), performed(b"nothing").reason.split(" (")[0]
        ('', 'Its worker cannot do it')
    """
    try:
        return pickle.loads(pickled)()
    except Exception as error:
        return Lost(f"Its worker cannot do it ({type(error).__name__}: {error}).")


def find_modules(paths: Sequence[str]) -> None:
    """Have this worker find modules where the process that hands out the tasks does, the user's own among them."""
    sys.path += [path for path in paths if path not in sys.path]


@runtime_checkable
class Executor(Protocol):
    """Does tasks in one or more workers."""

    @property
    def workers(self) -> int:
        """How many tasks are worked on at the same time."""
        ...

    def submit(self, number: int, task: Task) -> None:
        """Take on a task.

        Args:
            number: by which its outcome is known.
            task: see `Task`.
        """
        ...

    def finished(self) -> tuple[int, Any]:
        """Wait for the next outcome: the number of its task, and what that returned, or `Lost`.

        Raises:
            RuntimeError: when there are no workers any more, and none can be started.
        """
        ...

    def close(self) -> None:
        """End the workers, whatever they are at."""
        ...


class InProcess:
    """Does the tasks in this process, one after the other.

    Example:
        >>> executor = InProcess()
        >>> executor.submit(7, lambda: "done")
        >>> executor.finished()
        (7, 'done')
    """

    workers = 1

    def __init__(self) -> None:
        self._waiting: deque[tuple[int, Task]] = deque()

    def submit(self, number: int, task: Task) -> None:
        """See `Executor`."""
        self._waiting.append((number, task))

    def finished(self) -> tuple[int, Any]:
        """See `Executor`."""
        number, task = self._waiting.popleft()
        return number, task()

    def close(self) -> None:
        """See `Executor`."""
        self._waiting.clear()


def cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads_of(workers: int) -> int:
    """How many threads each of several workers on this machine may use; never more than OMP_NUM_THREADS."""
    limit = os.environ.get("OMP_NUM_THREADS", "")
    share = max(1, cores() // workers)
    return min(share, int(limit)) if limit.isdecimal() and int(limit) else share


def use_threads(threads: int) -> None:
    """Have this process, which is a worker's, compute with so many threads, and log as the environment says."""
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(threads)  # read when torch is imported
    if VARIABLE in os.environ:
        set_log_level()
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)


def check_workers(workers: object) -> int:
    """The number of workers, or a ValueError."""
    if not isinstance(workers, int) or isinstance(workers, bool) or workers < 1:
        raise ValueError(f"workers must be a positive int; got {workers!r}.")
    return workers
