"""Carries out the runs of a study: every sample explained, kept at once, and summed up."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from os import PathLike
from pathlib import Path
from typing import Any

from interpreto_mllm.core.optional import optional
from interpreto_mllm.studies.artifacts import RunFolder
from interpreto_mllm.studies.data import Sample, Samples, load_samples
from interpreto_mllm.studies.executors import Executor, InProcess, Lost, Task
from interpreto_mllm.studies.folder_lock import FolderLock
from interpreto_mllm.studies.live import Watcher, watcher
from interpreto_mllm.studies.outcomes import Failure, Outcome, failed
from interpreto_mllm.studies.run_state import RunState
from interpreto_mllm.studies.spec import DataSpec, RunSpec
from interpreto_mllm.studies.tracking import Tracker

logger = logging.getLogger(__name__)

TASKS_PER_WORKER = 2
"""Tasks that are handed out at a time, so that no worker waits for the process that writes the artifacts."""

Work = Callable[[RunSpec, Sample, Path], Task]
"""Makes the task of explaining a sample whose evaluations are kept in a file."""


@dataclass(frozen=True)
class FinishedRun:
    """What became of a run.

    Args:
        run: it.
        folder: with its artifacts.
        done: how many samples have a result.
        failed: how many have none; their files say why.
        metric_errors: how many have a result of which a metric failed.
        problem: why the run could not be carried out, such as a model that does not load; None where it was.
    """

    run: RunSpec
    folder: Path
    done: int
    failed: int
    metric_errors: int = 0
    problem: Failure | None = None

    @property
    def succeeded(self) -> bool:
        """Whether every sample has a result and all its metrics."""
        return self.problem is None and not self.failed and not self.metric_errors


@dataclass(frozen=True)
class StudyResult:
    """What became of the runs of a study."""

    runs: tuple[FinishedRun, ...]

    @property
    def exit_code(self) -> int:
        """0 where every run has succeeded, else 1."""
        return 0 if all(run.succeeded for run in self.runs) else 1


def run_study(
    runs: Sequence[RunSpec],
    folder: str | PathLike[str],
    *,
    executor: Executor | None = None,
    resume: bool = False,
    trackers: Sequence[Tracker] = (),
    progress: bool = True,
    work: Work | None = None,
) -> StudyResult:
    """Explain all samples of all runs; each run has a folder of its own within `folder`.

    Whatever ends the study, each sample that was finished is kept, and so is every evaluation of those under way. With
    `resume=True` the same call goes on from there, and its files hold what those of an uninterrupted study hold.

    Args:
        runs: of the study; those of one model should follow each other.
        folder: for the artifacts; see `studies/artifacts.py`.
        executor: does the work; this process unless given. It is closed at the end.
        resume: go on with runs that the folder holds already. Samples that failed are tried again.
        trackers: are told of every run and sample.
        progress: show a table of the runs; lines of text where there is no terminal.
        work: makes the tasks; see `SampleTask`, which they are unless given.

    Raises:
        ValueError: when the folder is in use or holds another study, or two runs would share a folder, before any model call.
        OSError: when the disk is full; the message says that the study can be resumed.
    """
    executor = InProcess() if executor is None else executor
    try:
        optional("pyarrow", "a study", "study")
        root = Path(folder)
        check_folders(runs)
        root.mkdir(parents=True, exist_ok=True)
        lock = FolderLock(root)
        try:
            for run in runs:
                RunFolder.check(root / run.folder_name(), run, resume)
            with watcher(progress) as shown:
                return _Study(runs, root, executor, resume, trackers, shown, work or _sample_task).carried_out()
        finally:
            lock.release()
    finally:
        executor.close()


def _sample_task(run: RunSpec, sample: Sample, checkpoint: Path) -> Task:
    """The explanation of a sample; torch is imported no earlier."""
    from interpreto_mllm.studies.tasks import SampleTask

    return SampleTask(run, sample, checkpoint)


def check_folders(runs: Sequence[RunSpec]) -> None:
    """Raise a ValueError where there are no runs, or two would have one folder."""
    if not runs:
        raise ValueError("There are no runs: a study needs at least one.")
    names: dict[str, str] = {}
    for run in runs:
        folder = run.folder_name().lower()
        if folder in names:
            raise ValueError(f"The runs {names[folder]!r} and {run.name!r} would have one folder: give each a name of its own.")
        names[folder] = run.name


class _Study:
    """A study under way."""

    def __init__(
        self,
        runs: Sequence[RunSpec],
        root: Path,
        executor: Executor,
        resume: bool,
        trackers: Sequence[Tracker],
        shown: Watcher,
        work: Work,
    ):
        self.runs, self.root, self.executor, self.resume = runs, root, executor, resume
        self.trackers, self.shown, self.work = trackers, shown, work
        self.states: list[RunState] = []
        self._data: tuple[DataSpec, Samples] | None = None
        self._numbers = count()
        self._under_way: dict[int, tuple[RunState, str]] = {}

    def carried_out(self) -> StudyResult:
        """All of them, one task after the other as workers are free."""
        self.shown.begin([run.name for run in self.runs])
        try:
            tasks, exhausted = self._tasks(), False
            while not exhausted or self._under_way:
                while not exhausted and len(self._under_way) < TASKS_PER_WORKER * self.executor.workers:
                    exhausted = not self._submitted(tasks)
                if self._under_way:
                    self._receive()
        finally:
            for state in self.states:
                state.close()
        return StudyResult(
            tuple(
                FinishedRun(one.run, one.folder.path, one.done, one.failed, one.metric_errors, one.problem)
                for one in self.states
            )
        )

    def _tasks(self) -> Iterator[tuple[RunState, Sample]]:
        """The samples that are still to be explained, run by run."""
        for run in self.runs:
            samples = self._samples(run.data)
            folder = RunFolder(self.root / run.folder_name(), run, self.resume)
            state = RunState(run, folder, len(samples), self.trackers, self.shown)
            self.states.append(state)
            pending = state.begin(samples.identities)
            for place, identity in enumerate(samples.identities):
                if state.problem is not None:
                    break
                if identity in pending:
                    yield state, samples[place]
            state.all_submitted = True
            state.finish_if_done()

    def _samples(self, data: DataSpec) -> Samples:
        if self._data is None or self._data[0] != data:
            self._data = data, load_samples(data)
        return self._data[1]

    def _submitted(self, tasks: Iterator[tuple[RunState, Sample]]) -> bool:
        """Whether there was another task, which is now under way."""
        following = next(tasks, None)
        if following is None:
            return False
        state, sample = following
        number = next(self._numbers)
        self._under_way[number] = state, sample.identity
        state.under_way += 1
        self.executor.submit(number, self.work(state.run, sample, state.folder.checkpoint(sample.identity)))
        return True

    def _receive(self) -> None:
        number, found = self.executor.finished()
        state, identity = self._under_way.pop(number)
        state.under_way -= 1
        outcome: Any = failed(identity, Failure("LostWorker", found.reason)) if isinstance(found, Lost) else found
        assert isinstance(outcome, Outcome)
        state.take(outcome)
        state.finish_if_done()
