"""Workers in the jobs of a Slurm cluster."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from os import PathLike
from pathlib import Path
from typing import Any

from interpreto_mllm.core.optional import optional
from interpreto_mllm.studies.executors import ATTEMPTS, Lost, Task, check_workers, find_modules, use_threads
from interpreto_mllm.studies.queue_folder import QueueFolder, work_off

SECONDS_BETWEEN_CHECKS = 5.0
"""Between two questions which jobs there are."""


class SlurmJobs:
    """Does tasks in the jobs of an array, which take them from a folder. A job that ends early is replaced, its task repeated.

    Args:
        workers: how many jobs.
        folder: for tasks, outcomes and logs; every node must see it under the same path.
        parameters: of submitit, such as `{"slurm_partition": "gpu", "gpus_per_node": 1, "timeout_min": 240}`. Jobs that the
            cluster preempts, or that reach their time limit, are requeued and go on.
        cluster: "slurm"; "local" runs the jobs as processes of this machine.

    Raises:
        ImportError: without submitit.
        RuntimeError: when there is no Slurm here.
    """

    def __init__(
        self,
        workers: int,
        folder: str | PathLike[str],
        parameters: Mapping[str, Any] | None = None,
        cluster: str = "slurm",
    ):
        submitit = optional("submitit", "executor='slurm'", "slurm")
        self.workers = check_workers(workers)
        logs = Path(folder).absolute()
        self._queue = QueueFolder(logs / f"queue-{time.time_ns()}")
        try:
            self._executor = submitit.AutoExecutor(folder=logs / "%j", cluster=cluster)
        except RuntimeError as error:
            raise RuntimeError(f"There is no {cluster} cluster here ({error}): choose another executor.") from error
        given = {"timeout_min": 24 * 60, **(parameters or {})}
        if cluster == "slurm":
            given = {"slurm_array_parallelism": workers, **given}
        self._executor.update_parameters(name="interpreto-mllm", **given)
        self._slurm = cluster == "slurm"
        self._outcomes: list[tuple[int, Any]] = []
        self._ends: dict[int, int] = {}
        self._jobs: dict[str, Any] = {}
        self._start(workers)
        self._checked = time.monotonic()

    def submit(self, number: int, task: Task) -> None:
        """See `Executor`."""
        self._queue.put(number, task)

    def finished(self) -> tuple[int, Any]:
        """See `Executor`."""
        wait = 0.01
        while not self._outcomes:
            self._outcomes += self._queue.outcomes()
            if not self._outcomes:
                time.sleep(wait)
                wait = min(2 * wait, 0.2)
                if time.monotonic() - self._checked > SECONDS_BETWEEN_CHECKS:
                    self._check()
        return self._outcomes.pop(0)

    def close(self) -> None:
        """See `Executor`."""
        self._queue.close()
        for job in self._jobs.values():
            with suppress(Exception):
                job.cancel(check=False)
        self._queue.remove()

    def _start(self, jobs: int) -> None:
        try:
            started = self._executor.map_array(Job(self._queue.path), range(jobs))
        except Exception as error:
            raise RuntimeError(
                f"The cluster takes no jobs ({error}). All that was finished is kept: resume when it does."
            ) from error
        self._jobs.update((job.job_id, job) for job in started)

    def _check(self) -> None:
        """Replace the jobs that have ended, and have what they were at done again."""
        there = self._there()
        self._checked = time.monotonic()
        ended = [name for name in self._jobs if name not in there]
        for name in ended:
            del self._jobs[name]
            for number in self._queue.give_back(name):
                self._ends[number] = self._ends.get(number, 0) + 1
                if self._ends[number] >= ATTEMPTS:
                    self._queue.withdraw(number)
                    self._outcomes.append((number, Lost(f"Its job ended {ATTEMPTS} times, at last job {name}; see its logs.")))
        if ended:
            self._start(len(ended))

    def _there(self) -> set[str]:
        """The jobs that wait or run."""
        if not self._slurm:
            return {name for name, job in self._jobs.items() if not job.done()}
        return queued([name.split("_")[0] for name in self._jobs])


def queued(arrays: Sequence[str]) -> set[str]:
    """The jobs of some arrays that wait or run, as "12_3".

    Raises:
        RuntimeError: when Slurm does not answer.
    """
    command = ["squeue", "--noheader", "--array", "--format=%i", f"--jobs={','.join(sorted(set(arrays)))}"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=120)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise gone(str(error)) from error
    if found.returncode and "Invalid job id" not in found.stderr:
        raise gone(found.stderr.strip())
    return set(found.stdout.split())


def gone(reason: str) -> RuntimeError:
    """The error of a cluster that does not answer."""
    return RuntimeError(f"The Slurm cluster went away ({reason}). All that was finished is kept: resume when it is back.")


class Job:
    """What a job of the array does; submitit has it done again when the job is requeued.

    Args:
        queue: the folder that it takes tasks from.
    """

    def __init__(self, queue: Path):
        self._queue, self._paths = queue, list(sys.path)

    def __call__(self, place: int) -> None:
        """Do tasks until there are no further ones."""
        import submitit

        environment = submitit.JobEnvironment()
        find_modules(self._paths)
        granted = os.environ.get("SLURM_CPUS_PER_TASK", "")
        if granted.isdecimal():
            use_threads(int(granted))
        work_off(QueueFolder(self._queue), environment.job_id)

    def checkpoint(self, place: int) -> Any:
        """How the job goes on after it was preempted, or has reached its time limit."""
        import submitit

        return submitit.helpers.DelayedSubmission(self, place)
