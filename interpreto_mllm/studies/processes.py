"""Workers in processes of this machine."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
from collections import deque
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from interpreto_mllm.studies.executors import ATTEMPTS, Lost, Task, check_workers, performed, threads_of, use_threads

SECONDS_TO_END = 5.0
"""For a worker that has nothing to do."""


class Processes:
    """Does tasks in processes of this machine, which share its cores. One that ends early is replaced, and its task repeated.

    Args:
        workers: how many processes.
        gpus: how many GPUs they share: each process sees one, as its first.
        threads: of each process; the machine's cores are divided among them by default. 0 leaves them as they are.
    """

    def __init__(self, workers: int, gpus: int = 0, threads: int | None = None):
        self.workers = check_workers(workers)
        self._gpus, self._threads = gpus, threads_of(workers) if threads is None else threads
        self._context = multiprocessing.get_context("spawn")
        self._waiting: deque[_Given] = deque()
        self._idle: list[_Worker] = []
        self._busy: dict[_Worker, _Given] = {}
        self._places = list(range(workers))

    def submit(self, number: int, task: Task) -> None:
        """See `Executor`."""
        self._waiting.append(_Given(number, pickle.dumps(task)))
        self._hand_out()

    def finished(self) -> tuple[int, Any]:
        """See `Executor`."""
        while True:
            handles = {handle: worker for worker in self._busy for handle in (worker.connection, worker.process.sentinel)}
            found = self._received(handles[wait(list(handles))[0]])  # type: ignore[index]
            if found is not None:
                self._hand_out()
                return found

    def close(self) -> None:
        """See `Executor`."""
        for worker in self._busy:
            worker.process.kill()
        for worker in [*self._idle, *self._busy]:
            worker.connection.close()  # which ends an idle one
            worker.process.join(SECONDS_TO_END)
            worker.process.kill()
        self._waiting.clear()
        self._idle, self._busy = [], {}

    def _hand_out(self) -> None:
        while self._waiting and (self._idle or self._places):
            worker = self._idle.pop() if self._idle else self._started(self._places.pop(0))
            given = self._waiting.popleft()
            self._busy[worker] = given
            try:
                worker.connection.send_bytes(given.task)
            except OSError:
                self._ended(worker)

    def _received(self, worker: _Worker) -> tuple[int, Any] | None:
        """The outcome that a worker has sent; None where it ended instead, and its task waits again."""
        try:
            outcome = pickle.loads(worker.connection.recv_bytes())
        except (EOFError, OSError):
            return self._ended(worker)
        given = self._busy.pop(worker)
        self._idle.append(worker)
        return given.number, outcome

    def _ended(self, worker: _Worker) -> tuple[int, Any] | None:
        worker.process.join()
        worker.connection.close()
        given = self._busy.pop(worker)
        self._places.append(worker.place)
        given.ends.append(ending(worker.process.exitcode))
        if len(given.ends) < ATTEMPTS:
            self._waiting.appendleft(given)
            self._hand_out()
            return None
        return given.number, Lost(f"Its worker ended {len(given.ends)} times, at last {given.ends[-1]}.")

    def _started(self, place: int) -> _Worker:
        mine, theirs = self._context.Pipe()
        visible = str(place % self._gpus) if self._gpus else None
        process = self._context.Process(target=serve, args=(theirs, self._threads, visible), daemon=True)
        process.start()
        theirs.close()
        return _Worker(place, process, mine)


@dataclass(eq=False)
class _Worker:
    """A process, and what is said to it."""

    place: int
    process: BaseProcess
    connection: Connection


@dataclass(eq=False)
class _Given:
    """A task, pickled, and how its workers ended so far."""

    number: int
    task: bytes
    ends: list[str] = field(default_factory=list)


def ending(exitcode: int | None) -> str:
    """How a process ended, in words.

    Example:
        >>> ending(-9), ending(1)
        ('killed by SIGKILL, perhaps because memory ran out', 'with exit code 1')
    """
    if exitcode is None or exitcode >= 0:
        return f"with exit code {exitcode}"
    name = signal.Signals(-exitcode).name
    return f"killed by {name}{', perhaps because memory ran out' if name == 'SIGKILL' else ''}"


def serve(connection: Connection, threads: int, gpu: str | None) -> None:
    """The work of a process: tasks from a connection, one after the other, for as long as its parent lives."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends its workers
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    if threads:
        use_threads(threads)
    while True:
        try:
            task = connection.recv_bytes()
        except EOFError:
            return
        connection.send_bytes(pickle.dumps(performed(task)))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
