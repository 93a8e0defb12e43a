"""Methods, metrics and functions of one's own, by import path and by entry point."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from interpreto_mllm import KernelShap
from interpreto_mllm.studies import names
from interpreto_mllm.studies.methods import find_method, method_names, resolved_method
from interpreto_mllm.studies.metrics import find_metric, metric_names
from interpreto_mllm.studies.options import explainer_options
from interpreto_mllm.studies.spec import MethodSpec, MetricSpec

MODULE = """
from interpreto_mllm import KernelShap

class Mine(KernelShap):
    def __init__(self, model, tokenizer=None, *, power, size_effects=True, **options):
        super().__init__(model, tokenizer, size_effects=size_effects, **options)

def strongest(explanation, power=1):
    return float(explanation.attributions.abs().max()) ** power

def halves(text):
    return [(0, len(text) // 2), (len(text) // 2, len(text))]
"""


@pytest.fixture
def own_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_study_module.py").write_text(MODULE, encoding="utf-8")
    (tmp_path / "own_broken_module.py").write_text("import no_such_package\n", encoding="utf-8")
    (tmp_path / "own_failing_module.py").write_text("1 / 0\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])


@pytest.fixture
def entry_points(own_module: None, monkeypatch: pytest.MonkeyPatch) -> None:
    points = {
        names.METHODS_GROUP: [EntryPoint("mine", "own_study_module:Mine", names.METHODS_GROUP)],
        names.METRICS_GROUP: [
            EntryPoint("lost", "no_such_module:f", names.METRICS_GROUP),
            EntryPoint("peak", "own_study_module:strongest", names.METRICS_GROUP),
        ],
    }
    monkeypatch.setattr(names, "entry_points", lambda group: points[group])


@pytest.mark.usefixtures("own_module")
def test_by_import_path(recall: Any) -> None:
    assert issubclass(find_method("own_study_module:Mine"), KernelShap)
    metric = find_metric(MetricSpec(name="own_study_module:strongest", arguments={"power": 2}))
    [explanation] = KernelShap(*recall, budget=16)("the apple is red .", " red")
    assert metric.compute(explanation) == {"strongest": pytest.approx(float(explanation.attributions.abs().max()) ** 2)}
    options = explainer_options({"granularity": "own_study_module:halves"}, 0)
    assert callable(options.get("granularity"))


@pytest.mark.usefixtures("entry_points")
def test_by_entry_point() -> None:
    assert find_method("mine").__name__ == "Mine" and "mine" in method_names()
    assert find_metric("peak").name == "peak" and "peak" in metric_names()
    with pytest.raises(ValueError, match=r"The entry point 'lost' \(no_such_module:f\) fails: ModuleNotFoundError"):
        find_metric("lost")


@pytest.mark.usefixtures("own_module")
@pytest.mark.parametrize(
    "path, said",
    [
        ("own_study_module:Mien", "has no 'Mien'; did you mean 'Mine'?"),
        ("own_study_modul:Mine", "there is no module own_study_modul"),
        ("own_broken_module:Mine", "needs no_such_package, which is not installed"),
        ("own_failing_module:Mine", "fails when it is imported: ZeroDivisionError"),
        ("own_study_module:halves", "is no method: a method is a class derived from"),
    ],
)
def test_paths_that_lead_nowhere(path: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        find_method(path)


@pytest.mark.usefixtures("own_module")
def test_arguments_are_checked_by_name() -> None:
    with pytest.raises(ValueError, match="needs arguments: power"):
        resolved_method(MethodSpec(name="own_study_module:Mine"))
    with pytest.raises(ValueError, match="has no argument 'powre'; did you mean 'power'"):
        find_metric(MetricSpec(name="own_study_module:strongest", arguments={"powre": 2}))
