"""The commands about studies, as a user types them."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
from support.run_folders import write_run
from typer.testing import CliRunner

from interpreto_mllm.cli.app import app
from interpreto_mllm.cli.problems import INCOMPLETE, UNUSABLE, Problem
from interpreto_mllm.cli.study import Where, executor_for, trackers_for

CONFIG = """
model: shipped:text
data: {name: "shipped:text", select: {max: 2}}
method: [KernelShap, Occlusion]
budget: 24
pinned: punctuation
metrics: [pointing, gini]
"""
cli = CliRunner()


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each test has a folder of its own."""
    monkeypatch.chdir(tmp_path)
    Path("study.yaml").write_text(CONFIG)


def typed(*arguments: object) -> Any:
    with warnings.catch_warnings():
        return cli.invoke(app, [str(one) for one in arguments])


def test_a_study_is_run_reported_resumed_and_its_metrics_stand_beside_baselines() -> None:
    said = typed("run", "study.yaml", "-q")
    assert said.exit_code == 0, said.output
    assert (
        "KernelShap" in said.output and "leave-one-out" in said.output and "Report: runs/study/report/index.html" in said.output
    )
    folders = sorted(path.parent.name for path in Path("runs/study").glob("*/spec.json"))
    assert len(folders) == 2
    [sample, _] = sorted(Path("runs/study", folders[0], "samples").glob("*.json"))
    assert set(json.loads(sample.read_text())["baselines"]) == {"random", "length", "position", "leave-one-out"}
    again = typed("run", "study.yaml", "-q")
    assert again.exit_code == UNUSABLE, again.output and "--resume" in again.output
    assert typed("run", "study.yaml", "-q", "--resume", "--no-report").exit_code == 0
    Path("study.yaml").write_text(CONFIG + "seed: 7\n")
    changed = typed("run", "study.yaml", "-q", "--resume")
    assert changed.exit_code == UNUSABLE and "seed: 7" in changed.output


def test_a_plan_has_a_line_for_each_run_and_a_sum() -> None:
    said = typed("plan", "study.yaml", "--price", 1_000_000, 0, "--seconds", 0.5)
    assert said.exit_code == 0, said.output
    rows = [line.split() for line in said.output.splitlines() if "KernelShap" in line or line.strip().startswith("all")]
    kernel, everything = rows
    assert kernel[1:3] == ["2", "48"] and kernel[-3:-1] == ["24", "s"]
    assert float(kernel[-1].replace(",", "")) == float(kernel[3].replace(",", ""))
    assert everything[1] == "4"


def test_a_config_is_validated_with_its_key_and_line() -> None:
    assert typed("validate", "study.yaml").output == "study.yaml is valid: 2 runs.\n"
    Path("study.yaml").write_text(CONFIG.replace("KernelShap", "KernalShap"))
    said = typed("validate", "study.yaml")
    assert said.exit_code == UNUSABLE and "line 4" in said.output and "did you mean 'KernelShap'?" in said.output
    Path("study.yaml").write_text(CONFIG.replace('name: "shipped:text"', "name: missing.csv").replace("pointing, ", ""))
    said = typed("validate", "study.yaml", "--check-data")
    assert said.exit_code == UNUSABLE and "missing.csv" in said.output
    assert typed("validate", "missing.yaml").exit_code == UNUSABLE


def test_samples_that_fail_are_told_by_the_exit_code() -> None:
    Path("data.jsonl").write_text('{"prompt": "the apple is red . what is the apple ?"}\n{"prompt": ""}\n')
    Path("study.yaml").write_text(
        CONFIG.replace('{name: "shipped:text", select: {max: 2}}', "data.jsonl").replace("pointing, ", "")
    )
    said = typed("run", "study.yaml", "-q")
    assert said.exit_code == INCOMPLETE, said.output
    assert "samples of" in said.output and "Traceback" not in said.output


def test_a_report_is_of_folders_with_runs(tmp_path: Path) -> None:
    write_run(tmp_path / "s", "Lime", {"pointing": [0.5, 1.0]}, archives=False)
    said = typed("report", "s", "--out", "page", "--title", "mine")
    assert said.exit_code == 0 and "Report: page/index.html" in said.output
    assert "<title>mine</title>" in Path("page/index.html").read_text()
    assert "holds no runs" in typed("report", tmp_path).output


def test_a_suite_is_run_with_a_method_of_ones_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "own_cli_method.py").write_text("from interpreto_mllm import Lime\nclass Mine(Lime):\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(
        "interpreto_mllm.cli.suite.suite_runs", _only_own(__import__("interpreto_mllm.cli.suite").cli.suite.suite_runs)
    )
    said = typed("suite", "planted-text", "-n", 1, "-q", "--method", "own_cli_method:Mine")
    assert said.exit_code == 0, said.output
    assert "Mine" in said.output and Path("suites/planted-text/report/index.html").is_file()
    assert "did you mean 'planted-text'?" in typed("suite", "planted-txt").output
    assert "is the script" in typed("suite", "speed", "--method", "Lime").output
    assert "says nothing" in typed("suite", "speed", "-n", 2).output


def _only_own(runs_of: Any) -> Any:
    """The runs of the method of one's own under its smallest budget, to save time."""
    return lambda *given: [run for run in runs_of(*given) if ":" in run.method.name][:1]


def test_the_schema_is_that_of_configs() -> None:
    found = json.loads(typed("schema").output)
    assert "method" in found["properties"] and found["additionalProperties"] is False


def test_executors_and_trackers_are_chosen_by_name(tmp_path: Path) -> None:
    assert executor_for(Where(), tmp_path) is None
    for where in (Where(ray_address="auto"), Where(cluster_options=("a=1",)), Where("slurm", cluster_options=("a",))):
        with pytest.raises(Problem):
            executor_for(where, tmp_path)
    with pytest.raises(Problem, match="wandb or mlflow"):
        trackers_for(["tensorboard"])


@pytest.mark.parametrize("what", ["methods", "metrics", "suites"])
def test_lists_have_a_line_for_each(what: str) -> None:
    said = typed("list", what).output
    for name in {"methods": ("Lasso", "limited_cc"), "metrics": ("lds", "Yeh"), "suites": ("planted-audio",)}[what]:
        assert name in said
