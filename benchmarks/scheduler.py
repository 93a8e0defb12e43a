"""What a study costs beside its explanations, and how well it keeps many workers busy.

    python benchmarks/scheduler.py [--samples 200] [--budget 64] [--tasks 5] [--seconds 10]

Overhead: samples of the shipped text model, explained with three methods by `run_study` and by calls of the explainers on the
same prompts, sample by sample in turns, so that both meet the same load of the machine. Processor seconds, all artifacts
included. The study is that of users: its files are written, and every evaluation is kept.

Workers: a model that answers in a fixed time, in processes of their own, which are started before the time is taken; efficiency
is the time that so many workers would need without anything between the samples, divided by the time that it took.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interpreto_mllm.studies.executors import InProcess, Task
from interpreto_mllm.studies.outcomes import Outcome
from interpreto_mllm.studies.processes import Processes
from interpreto_mllm.studies.spec import DataSpec, MethodSpec, ModelSpec, RunSpec, Selection

# What imports torch is imported in functions: 64 workers import this file, and need none of it.

METHODS = ("KernelShap", "PermutationShapley", "NeymanShapley")
WORKERS = (1, 2, 4, 8, 64)


def runs(methods: tuple[str, ...], samples: int, budget: int) -> list[RunSpec]:
    """A run of each method over as many samples."""
    return [
        RunSpec(
            name=method,
            model=ModelSpec(name="shipped:text"),
            data=DataSpec(name="shipped:text", select=Selection(max=samples), arguments={"count": samples}),
            method=MethodSpec(name=method, call={"budget": budget}),
        )
        for method in methods
    ]


class Alternating(InProcess):
    """Explains each sample by a direct call, too, once before and once after its task in turn, and takes the time of that.

    Attributes:
        direct: processor seconds of the direct calls.
    """

    def __init__(self, study: list[RunSpec]):
        super().__init__()
        from interpreto_mllm.studies.build import build_explainer, load_model

        model = load_model(study[0].model)
        self._explainers = {run.name: build_explainer(run, model) for run in study}
        self.direct, self._count = 0.0, 0

    def finished(self) -> tuple[int, Any]:
        task: Any = self._waiting[0][1]
        self._count += 1
        if self._count % 2:
            self._call(task)
        found = super().finished()
        if not self._count % 2:
            self._call(task)
        return found

    def _call(self, task: Any) -> None:
        since = time.process_time()
        self._explainers[task.run.name].explain(task.sample.inputs, task.sample.targets)
        self.direct += time.process_time() - since


def overhead(samples: int, budget: int) -> list[str]:
    """Samples, evaluations, processor seconds of direct calls and of a study, and their ratio."""
    from interpreto_mllm.studies.runner import run_study

    study = runs(METHODS, samples, budget)
    with tempfile.TemporaryDirectory() as folder:
        run_study(runs(METHODS, 2, budget), Path(folder) / "warm", progress=False)
        executor = Alternating(study)
        for run in study:  # what is tried of the model on first use
            executor._explainers[run.name].explain("the apple is red . what is the apple ?", " red")
        since = time.process_time()
        result = run_study(study, Path(folder) / "study", executor=executor, progress=False)
        whole = time.process_time() - since - executor.direct
    assert result.exit_code == 0
    done = sum(run.done for run in result.runs)
    return [str(done), f"{done * budget:,}", f"{executor.direct:.1f} s", f"{whole:.1f} s", f"{whole / executor.direct:.2f}×"]


@dataclass(frozen=True)
class Sleeping:
    """Stands in for the explanation of a sample by a model that answers in a fixed time."""

    identity: str
    seconds: float

    def __call__(self) -> Outcome:
        time.sleep(self.seconds)
        content = {
            "identity": self.identity,
            "status": "done",
            "targets": ["red"],
            "features": [{"text": f"word {place}", "modality": "text"} for place in range(12)],
            "attributions": [[place / 7 for place in range(12)]],
            "standard_errors": None,
            "evaluations": 256,
            "metrics": {"gini": 0.5},
        }
        return Outcome(self.identity, content, b"x" * 20_000, {"seconds": self.seconds, "evaluations": 256, "paid": 256})


def started(workers: int) -> Processes:
    """As many processes, all of which have answered once."""
    executor = Processes(workers, threads=0)
    for number in range(workers):
        executor.submit(number, Sleeping("warm", 1.0))
    for _ in range(workers):
        executor.finished()
    return executor


def efficiencies(tasks: int, seconds: float) -> Iterator[list[str]]:
    """A row for each number of workers."""
    from interpreto_mllm.studies.runner import run_study

    def work(run: RunSpec, sample: Any, checkpoint: Path) -> Task:
        return Sleeping(sample.identity, seconds)

    for workers in WORKERS:
        executor, study = started(workers), runs(("KernelShap",), tasks * workers, 256)
        with tempfile.TemporaryDirectory() as folder:
            since = time.perf_counter()
            run_study(study, Path(folder) / "study", executor=executor, work=work, progress=False)
            took = time.perf_counter() - since
        ideal = tasks * seconds
        yield [str(workers), str(tasks * workers), f"{ideal:.1f} s", f"{took:.1f} s", f"{ideal / took:.1%}"]


def main() -> None:
    """Print and write both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--budget", type=int, default=64)
    parser.add_argument("--tasks", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0)
    given = parser.parse_args()
    from report import Report

    report = Report("scheduler")
    report.add(
        "explanations",
        ["evaluations", "direct calls", "as a study", "ratio"],
        [overhead(given.samples, given.budget)],
        "overhead",
    )
    columns = ["samples", "ideal", "took", "efficiency"]
    report.add("workers", columns, list(efficiencies(given.tasks, given.seconds)), "workers")
    report.save()


if __name__ == "__main__":
    main()
