"""The command `suite`: a benchmark that comes with the package."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import typer

from interpreto_mllm.cli.problems import FAILED, Problem
from interpreto_mllm.cli.suites.catalogue import SUITES, Suite

FOLDER = Path("suites")
BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def run(name: str, out: Path | None, samples: int | None, methods: Sequence[str], workers: int, quiet: bool) -> None:
    """Run a suite, and show its table and where its page is.

    Raises:
        Problem: for an unknown suite, or options that it does not have.
    """
    from interpreto_mllm.studies.names import unknown

    if name not in SUITES:
        raise unknown("suite", name, SUITES)
    suite, folder = SUITES[name], out or FOLDER / name
    if suite.script is not None:
        if methods:
            raise Problem(f"--method is for suites that are studies; {name} is the script benchmarks/{suite.script}.")
        _script(suite, folder, samples)
    else:
        _study(suite, folder, samples, methods, workers, quiet)


def _study(suite: Suite, folder: Path, samples: int | None, methods: Sequence[str], workers: int, quiet: bool) -> None:
    from interpreto_mllm.cli.study import Where, carry_out, finish

    runs = suite_runs(suite, samples, methods)
    finish(carry_out(runs, folder, True, Where(workers=workers), (), quiet), folder, True, suite.name, suite.about)


def suite_runs(suite: Suite, samples: int | None = None, methods: Sequence[str] = ()) -> list[Any]:
    """The runs of a suite that is a study.

    Args:
        suite: it.
        samples: how many at most; as many as the suite has by default.
        methods: that run beside its own.
    """
    from interpreto_mllm.studies.config import Study
    from interpreto_mllm.studies.reading import read_config

    with as_file(files("interpreto_mllm.cli.suites") / str(suite.config)) as path:
        values = {"name": suite.name, **read_config(path).values}
    if samples is not None:
        data = values["data"]
        values["data"] = {**data, "select": {**data.get("select", {}), "max": samples}}
    values["method"] = [*values["method"], *methods]
    return Study.from_values(values).runs()


def _script(suite: Suite, folder: Path, samples: int | None) -> None:
    """A script of the folder benchmarks, which is part of a clone."""
    script = BENCHMARKS / str(suite.script)
    if not script.is_file():
        raise Problem(f"The suite {suite.name} is the script benchmarks/{suite.script} of a clone; there is no {script}.")
    count = [] if samples is None else [suite.count, str(samples)] if suite.count else None
    if count is None:
        raise Problem(f"--samples says nothing to the suite {suite.name}.")
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, str(script), *suite.arguments, *count, "--out", str(folder)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(BENCHMARKS.parent), os.environ.get("PYTHONPATH", "")])}
    if subprocess.run(command, env=environment, check=False).returncode:
        raise typer.Exit(FAILED)
