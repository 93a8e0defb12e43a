"""What a report is made of: runs read from their folders, and their samples' numbers by method and budget."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any

from interpreto_mllm.studies.spec import RunSpec
from interpreto_mllm.studies.sweeps import label

BUDGETS = ("budget", "fraction")


@dataclass(frozen=True)
class RunResult:
    """A run in its folder.

    Args:
        path: of the folder.
        run: what was asked.
        samples: what became of each, as its file says.
        costs: what each sample cost, by identity.
        made: versions and the commit of the code.
    """

    path: Path
    run: RunSpec
    samples: tuple[dict[str, Any], ...]
    costs: dict[str, dict[str, Any]] = field(default_factory=dict)
    made: dict[str, Any] = field(default_factory=dict)

    @property
    def done(self) -> list[dict[str, Any]]:
        """The samples that were explained."""
        return [one for one in self.samples if one["status"] == "done"]

    @property
    def failed(self) -> list[dict[str, Any]]:
        """Those that could not be."""
        return [one for one in self.samples if one["status"] != "done"]

    def archive(self, identity: str) -> Path | None:
        """The file with the whole result of a sample, where there is one."""
        from interpreto_mllm.studies.names_of_files import file_name

        path = self.path / "evaluations" / f"{file_name(identity)}.json"
        return path if path.is_file() else None


@dataclass(frozen=True)
class Entry:
    """A method under one budget: one line of the leaderboard. Runs that differ in their seed alone are one entry.

    Args:
        label: what sets it apart from other entries, without the budget.
        budget: as the config says it; None where there is only one.
        runs: of it.
        baseline: whether it is one of the trivial rankings that run beside every study.
        numbers: of a baseline, by metric and sample.
    """

    label: str
    budget: str | None
    runs: tuple[RunResult, ...]
    baseline: bool = False
    numbers: dict[str, dict[str, float]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The label and the budget."""
        return self.label if self.budget is None else f"{self.label} · {self.budget}"

    def values(self, metric: str) -> dict[str, float]:
        """A metric's value of each sample that has it, over seeds the mean."""
        if self.baseline:
            return self.numbers.get(metric, {})
        found: dict[str, list[float]] = {}
        for run in self.runs:
            for sample in run.done:
                value = sample.get("metrics", {}).get(metric)
                if value is not None:
                    found.setdefault(sample["identity"], []).append(value)
        return {identity: fmean(values) for identity, values in found.items()}

    @cached_property
    def metrics(self) -> list[str]:
        """The names of all metrics that a sample has."""
        if self.baseline:
            return list(self.numbers)
        return list(dict.fromkeys(name for run in self.runs for one in run.done for name in one.get("metrics", {})))

    @property
    def evaluations(self) -> float | None:
        """Of a sample, in the mean."""
        found = [one["evaluations"] for run in self.runs for one in run.done]
        return fmean(found) if found else None

    @property
    def seconds(self) -> float | None:
        """Of a sample, in the mean."""
        found = [one["seconds"] for run in self.runs for one in run.costs.values() if one.get("seconds") is not None]
        return fmean(found) if found else None


def read_runs(paths: Iterable[str | Path]) -> list[RunResult]:
    """The runs in these folders, each of a run or of a study.

    Raises:
        ValueError: for a folder without runs, and a damaged file.
    """
    found: dict[Path, RunResult] = {}
    for given in map(Path, paths):
        if not given.is_dir():
            raise ValueError(f"There is no folder {given}: give the folder of a run, or of a study with its runs.")
        folders = [given] if (given / "spec.json").exists() else sorted(one.parent for one in given.glob("*/spec.json"))
        if not folders:
            raise ValueError(f"{given} holds no runs: the folder of a run has a spec.json. `interpreto-mllm run` makes them.")
        for folder in folders:
            found.setdefault(folder.resolve(), read_run(folder))
    return list(found.values())


def read_run(folder: Path) -> RunResult:
    """The run in a folder, as far as it is.

    Raises:
        ValueError: when a file is damaged.
    """
    spec = _read(folder / "spec.json")
    if "run" not in spec:
        raise ValueError(f"{folder / 'spec.json'} is not that of a run.")
    samples = tuple(_read(path) for path in sorted((folder / "samples").glob("*.json")))
    costs: dict[str, dict[str, Any]] = {}
    if (folder / "costs.jsonl").is_file():
        for line in (folder / "costs.jsonl").read_text(encoding="utf-8").splitlines():
            one = _of_line(line)
            costs[str(one.get("identity"))] = one
    made = {"versions": spec.get("versions", {}), "commit": spec.get("commit")}
    return RunResult(folder, RunSpec.model_validate(spec["run"]), samples, costs, made)


def entries_of(runs: Sequence[RunResult]) -> list[Entry]:
    """The runs by method and budget, and after them the baselines that were measured beside them."""
    labels = [_labels(run.run) for run in runs]
    varying = [key for key in dict.fromkeys(key for one in labels for key in one) if len({one.get(key) for one in labels}) > 1]
    grouped: dict[tuple[str, str | None], list[RunResult]] = {}
    for run, parts in zip(runs, labels, strict=True):
        further = [f"{key} {parts[key]}" for key in varying if key in parts and key not in ("method", *BUDGETS)]
        budget = next((parts[key] for key in BUDGETS if key in parts and key in varying), None)
        grouped.setdefault((", ".join([parts["method"], *further]), budget), []).append(run)
    found = [Entry(name, budget, tuple(members)) for (name, budget), members in grouped.items()]
    return [*found, *_baselines(runs)]


def _baselines(runs: Sequence[RunResult]) -> list[Entry]:
    """What random and other trivial rankings got: {baseline: {metric: value}} of each sample, over runs the mean."""
    found: dict[str, dict[str, dict[str, list[float]]]] = {}
    for run in runs:
        for sample in run.done:
            for name, metrics in (sample.get("baselines") or {}).items():
                for metric, value in metrics.items():
                    if value is not None:
                        of_metric = found.setdefault(name, {}).setdefault(metric, {})
                        of_metric.setdefault(sample["identity"], []).append(value)
    return [
        Entry(name, None, (), True, {metric: {one: fmean(v) for one, v in by.items()} for metric, by in metrics.items()})
        for name, metrics in found.items()
    ]


def _labels(run: RunSpec) -> dict[str, str]:
    """What a run is, in a few words by key, without its seed."""
    labels = {"model": label(run.model), "data": label(run.data), "method": label(run.method, "call")}
    return labels | {key: label(value) for key, value in run.method.call.items()}


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read ({error}): restore it, or remove it and resume the run.") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path} holds no object: restore it, or remove it and resume the run.")
    return found


def _of_line(line: str) -> dict[str, Any]:
    """A line of a file that is appended to; its last one may be half written."""
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
