"""Folders of runs, as a study leaves them, from given numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from support.pages import explained, worded

from interpreto_mllm.studies.spec import DataSpec, MethodSpec, ModelSpec, RunSpec

TEXT = "the apple is <b>red</b> & round"


def write_run(
    study: Path,
    method: str,
    numbers: Mapping[str, Sequence[float]],
    budget: int | None = None,
    seed: int = 0,
    baselines: Mapping[str, Mapping[str, Sequence[float]]] | None = None,
    failing: Sequence[int] = (),
    archives: bool = True,
) -> Path:
    """A run with one sample for each of the numbers of its metrics.

    Args:
        study: its folder is within this one.
        method, budget, seed: of the run.
        numbers: by metric.
        baselines: by name and metric.
        failing: samples that failed.
        archives: whether whole results are there.
    """
    call = {} if budget is None else {"budget": budget}
    parts = {"model": ModelSpec(name="shipped:text"), "data": DataSpec(name="shipped:text")}
    name = f"method={method},budget={budget},seed={seed}"
    run = RunSpec(name=name, method=MethodSpec(name=method, call=call), seed=seed, **parts)  # type: ignore[arg-type]
    folder = study / run.folder_name()
    for part in ("samples", "evaluations"):
        (folder / part).mkdir(parents=True)
    made = {"versions": {"interpreto_mllm": "0.1.0"}, "commit": "0123456789abcdef"}
    (folder / "spec.json").write_text(json.dumps({"run": run.model_dump(mode="json"), **made}))
    for place in range(len(next(iter(numbers.values())))):
        identity = f"{place:05d}"
        content: dict[str, Any] = {"identity": identity, "status": "failed", "error": {"message": "too <long>"}}
        if place not in failing:
            metrics = {name: values[place] for name, values in numbers.items()}
            others = {one: {name: values[place] for name, values in by.items()} for one, by in (baselines or {}).items()}
            content = {"identity": identity, "status": "done", "targets": ["yes"], "evaluations": budget or 7}
            content |= {"metrics": metrics, "baselines": others}
            if archives:
                result = explained([[0.5, -1.0, 2.0, 0.0, 1.0, 0.1]], worded(TEXT), TEXT, targets=["<i>yes</i>"], method=method)
                result.save(folder / "evaluations" / f"{identity}.json")
        (folder / "samples" / f"{identity}.json").write_text(json.dumps(content))
        with (folder / "costs.jsonl").open("a") as file:
            file.write(json.dumps({"identity": identity, "seconds": 0.5}) + "\n")
    return folder
