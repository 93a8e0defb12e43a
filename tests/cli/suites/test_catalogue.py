"""The suites that come with the package can be run as they are written."""

from __future__ import annotations

from pathlib import Path

import pytest

from interpreto_mllm.cli.suite import suite_runs
from interpreto_mllm.cli.suites.catalogue import SUITES
from interpreto_mllm.metrics import METRICS
from interpreto_mllm.studies.data import load_samples

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("name", [name for name, suite in SUITES.items() if suite.config])
def test_the_runs_of_a_study_have_data_with_known_causes(name: str) -> None:
    runs = suite_runs(SUITES[name], samples=2, methods=["Sobol"])
    assert {run.method.name for run in runs} >= {"GaussianProcessShapley", "KernelShap", "Occlusion", "Sobol"}
    assert {metric.name for run in runs for metric in run.metric_specs()} <= set(METRICS)
    samples = load_samples(runs[0].data)
    assert len(samples) == 2 and all(sample.truth is not None for sample in samples)
    assert len(load_samples(suite_runs(SUITES[name])[0].data)) == 20


@pytest.mark.parametrize("name", [name for name, suite in SUITES.items() if suite.script])
def test_the_scripts_are_in_a_clone_and_take_what_they_are_given(name: str) -> None:
    suite = SUITES[name]
    text = (ROOT / "benchmarks" / str(suite.script)).read_text(encoding="utf-8")
    options = [option for option in (*suite.arguments, suite.count, "--out") if option and option.startswith("--")]
    assert all(f'"{option}"' in text for option in options)
    assert (suite.config is None) and suite.about and suite.takes
