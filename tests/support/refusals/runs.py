"""Runs of studies that are refused."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from support.refusals.row import Row
from support.refusals.studies import study
from support.study_runs import light

from interpreto_mllm.studies.folder_lock import FolderLock
from interpreto_mllm.studies.logs import log_level
from interpreto_mllm.studies.processes import Processes
from interpreto_mllm.studies.runner import run_study


def again(resume: bool, **changed: Any) -> Any:
    """A study that is run twice, the second time with changes."""
    with TemporaryDirectory() as folder:
        for resumed, given in ((False, {}), (resume, changed)):
            runs = study(selection={"max": 1}, **given).runs()
            run_study(runs, folder, work=light, resume=resumed, progress=False)


def damaged() -> Any:
    """A study that is resumed from a sample's file that was cut."""
    with TemporaryDirectory() as folder:
        runs = study(selection={"max": 1}).runs()
        run_study(runs, folder, work=light, progress=False)
        [path] = Path(folder).glob("*/samples/*.json")
        path.write_text("{")
        run_study(runs, folder, work=light, resume=True, progress=False)


def together() -> Any:
    """A study in a folder that is in use."""
    with TemporaryDirectory() as folder:
        lock = FolderLock(Path(folder))
        try:
            run_study(study(selection={"max": 1}).runs(), folder, work=light, progress=False)
        finally:
            lock.release()


RUNS = [
    Row("no runs", lambda: run_study([], "nowhere"), "a study needs at least one."),
    Row("two runs of one name", lambda: run_study(study().runs() * 2, "nowhere"), "would have one folder: give each a name"),
    Row("a folder that holds the run, without resume", lambda: again(False), "holds a run already: resume it (--resume)"),
    Row("a run to resume whose config has changed", lambda: again(True, budget=64), "changed since: method.call.budget: 64"),
    Row("a file of a run that is damaged", damaged, "restore it or remove it."),
    Row("a folder in which another process runs a study", together, "wait until it has ended, end it, or give another folder."),
    Row("no workers", lambda: Processes(0), "workers must be a positive int; got 0."),
    Row("a log level that there is not", lambda: log_level("loud"), "it is one of debug, info, warning, error."),
]
