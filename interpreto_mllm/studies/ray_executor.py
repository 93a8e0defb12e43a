"""Workers on a Ray cluster."""

from __future__ import annotations

import pickle
import sys
from collections import deque
from typing import Any

from interpreto_mllm.core.optional import optional
from interpreto_mllm.studies.executors import (
    ATTEMPTS,
    Lost,
    Task,
    check_workers,
    cores,
    find_modules,
    performed,
    threads_of,
    use_threads,
)


class RayWorkers:
    """Does tasks in Ray actors. One that dies is replaced, and its task repeated.

    Args:
        workers: how many actors.
        address: of a cluster, "auto" for the one that this machine belongs to; without one, Ray is started on this machine and
            stopped at the end.
        gpus: that each actor takes, which may be a part of one.

    Raises:
        ImportError: without Ray.
        ConnectionError: when there is no cluster at this address.
    """

    def __init__(self, workers: int, address: str | None = None, gpus: float = 0):
        self._ray = ray = optional("ray", "executor='ray'", "ray")
        self.workers = check_workers(workers)
        self._started = not ray.is_initialized()
        if self._started:
            quiet = {"include_dashboard": False, "log_to_driver": False, "logging_level": "ERROR"}
            ray.init(**quiet, **({"num_cpus": max(cores(), workers)} if address is None else {"address": address}))
        share = 1.0 if self._started and address is None else 1.0 * threads_of(workers)
        self._kind = ray.remote(num_cpus=share, num_gpus=gpus)(Actor)
        self._actors = [self._started_actor() for _ in range(workers)]
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._busy: dict[Any, tuple[Any, int, bytes]] = {}
        self._ends: dict[int, int] = {}

    def submit(self, number: int, task: Task) -> None:
        """See `Executor`."""
        self._waiting.append((number, pickle.dumps(task)))
        self._hand_out()

    def finished(self) -> tuple[int, Any]:
        """See `Executor`."""
        while True:
            [done], _ = self._ray.wait(list(self._busy), num_returns=1)
            actor, number, task = self._busy.pop(done)
            try:
                outcome = self._ray.get(done)
            except self._ray.exceptions.RayActorError as error:
                outcome = self._repeated(number, task, error)
            except self._ray.exceptions.RayError as error:
                raise RuntimeError(
                    f"The Ray cluster went away ({error}). All that was finished is kept: resume when it is back."
                ) from error
            else:
                self._actors.append(actor)
            self._hand_out()
            if outcome is not None:
                return number, outcome

    def close(self) -> None:
        """See `Executor`."""
        for actor in [*self._actors, *(actor for actor, _, _ in self._busy.values())]:
            self._ray.kill(actor)
        self._waiting.clear()
        self._busy.clear()
        if self._started:
            self._ray.shutdown()

    def _started_actor(self) -> Any:
        return self._kind.remote(threads_of(self.workers), sys.path)

    def _hand_out(self) -> None:
        while self._waiting and self._actors:
            (number, task), actor = self._waiting.popleft(), self._actors.pop()
            self._busy[actor.perform.remote(task)] = actor, number, task

    def _repeated(self, number: int, task: bytes, error: Exception) -> Lost | None:
        """Have a task done again by an actor that takes the place of a dead one, unless it has ended too many."""
        self._actors.append(self._started_actor())
        self._ends[number] = self._ends.get(number, 0) + 1
        if self._ends[number] < ATTEMPTS:
            self._waiting.appendleft((number, task))
            return None
        return Lost(f"Its worker ended {self._ends[number]} times, at last so: {str(error).splitlines()[0]}")


class Actor:
    """A worker with one model at a time.

    Args:
        threads: that it computes with.
        paths: where the process that hands out the tasks finds its modules, the user's own among them.
    """

    def __init__(self, threads: int, paths: list[str]):
        use_threads(threads)
        find_modules(paths)

    def perform(self, task: bytes) -> Any:
        """Do a pickled task."""
        return performed(task)
