"""Trackers: the real clients of Weights & Biases, offline, and of MLflow, on a local store. `make tracking` installs them."""

from __future__ import annotations

import json
from functools import partial

import pytest
from support.study_runs import light, shipped_runs

from interpreto_mllm.studies.executors import InProcess
from interpreto_mllm.studies.runner import run_study
from interpreto_mllm.studies.tracking import Mlflow, Wandb, settings_of

pytestmark = pytest.mark.filterwarnings("ignore")  # of the clients on their own account


class Ends(InProcess):
    """Ends the study after two tasks."""

    left = 2

    def finished(self):
        self.left -= 1
        if self.left < 0:
            raise RuntimeError("ended")
        return super().finished()


class Recorded:
    """A tracker that fails when it is told of a sample."""

    def __init__(self, fails=False):
        self.told, self.fails = [], fails

    def started(self, run, folder):
        self.told.append(("started", run.name))

    def sample(self, run, number, content):
        if self.fails:
            raise OSError("the server is away")
        self.told.append((run.name, number, content["status"]))

    def finished(self, run, summary, folder):
        self.told.append(("finished", summary["done"], (folder / "summary" / "rows.parquet").exists()))

    def interrupted(self, run):
        self.told.append(("interrupted", run.name))


def test_trackers_are_told_of_every_run_and_sample_and_one_that_fails_does_not_end_the_study(tmp_path, caplog):
    good, bad = Recorded(), Recorded(fails=True)
    result = run_study(shipped_runs(4, "KernelShap"), tmp_path, work=light, trackers=[bad, good], progress=False)
    assert result.exit_code == 0 and bad.told == [("started", "KernelShap")]
    samples = [("KernelShap", number, "done") for number in range(4)]
    assert good.told == [("started", "KernelShap"), *samples, ("finished", 4, True)]
    assert "Recorded failed (the server is away), and is told no more of KernelShap" in caplog.text
    again = Recorded()
    run_study(shipped_runs(4, "KernelShap"), tmp_path, work=light, trackers=[again], resume=True, progress=False)
    assert again.told == []  # it was told of all of it
    with pytest.raises(RuntimeError, match="ended"):
        run_study(
            shipped_runs(4, "KernelShap"), tmp_path / "ends", work=light, trackers=[again], executor=Ends(), progress=False
        )
    assert again.told[0] == ("started", "KernelShap") and again.told[-1] == ("interrupted", "KernelShap")


def test_parameters_are_flat():
    flat = settings_of(shipped_runs(4, "KernelShap")[0])
    assert flat["method.call.budget"] == 40 and flat["model.name"] == "shipped:text" and "model.url" not in flat


def test_weights_and_biases_gets_samples_summary_and_artifact_and_goes_on_under_the_same_id(tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb")
    for name in ("DATA_DIR", "CACHE_DIR", "CONFIG_DIR"):
        monkeypatch.setenv(f"WANDB_{name}", str(tmp_path / name))
    ids, logged, artifacts = [], [], []
    kind = type(wandb.init(mode="offline", dir=tmp_path, settings=wandb.Settings(silent=True)))
    wandb.finish()
    real_log, real_artifact = kind.log, kind.log_artifact
    monkeypatch.setattr(
        kind,
        "log",
        lambda self, data, *rest, **more: (ids.append(self.id), logged.append(data), real_log(self, data, *rest, **more)),
    )
    monkeypatch.setattr(
        kind,
        "log_artifact",
        lambda self, one, *rest, **more: (
            artifacts.append(sorted(one.manifest.entries)),
            real_artifact(self, one, *rest, **more),
        )[1],
    )
    study = partial(run_study, shipped_runs(4, "KernelShap"), tmp_path / "study", work=light, progress=False)
    with pytest.raises(RuntimeError, match="ended"):
        study(trackers=[Wandb("demo")], executor=Ends())
    study(trackers=[Wandb("demo")], resume=True)
    assert [one["sample"] for one in logged] == [0, 1, 2, 3] and logged[0]["gini"] > 0 and len(set(ids)) == 1
    assert artifacts == [
        ["spec.json", *(f"summary/{name}" for name in ("aggregate_metrics.json", "rows.parquet", "samples.parquet"))]
    ]
    written = list((tmp_path / "study" / "KernelShap" / "tracking").rglob("*.wandb"))
    assert len(written) == 2 and all(path.stat().st_size for path in written)


def test_mlflow_gets_parameters_samples_summary_and_artifacts_and_goes_on_in_the_same_run(tmp_path):
    mlflow = pytest.importorskip("mlflow")
    store = f"sqlite:///{tmp_path}/mlflow.db"
    study = partial(run_study, shipped_runs(4, "KernelShap"), tmp_path / "study", work=light, progress=False)
    with pytest.raises(RuntimeError, match="ended"):
        study(trackers=[Mlflow("demo", store, tmp_path / "artifacts")], executor=Ends())
    study(trackers=[Mlflow("demo", store, tmp_path / "artifacts")], resume=True)
    client = mlflow.tracking.MlflowClient(tracking_uri=store)
    [run] = client.search_runs([client.get_experiment_by_name("demo").experiment_id])
    assert run.info.status == "FINISHED" and run.data.params["method.call.budget"] == "40"
    history = client.get_metric_history(run.info.run_id, "gini")
    samples = [json.loads(path.read_text()) for path in sorted((tmp_path / "study" / "KernelShap" / "samples").iterdir())]
    assert [(one.step, one.value) for one in history] == [(step, one["metrics"]["gini"]) for step, one in enumerate(samples)]
    assert run.data.metrics["samples"] == 4 and run.data.metrics["mean/gini"] > 0
    names = {one.path for one in client.list_artifacts(run.info.run_id, "summary")}
    assert names == {f"summary/{name}" for name in ("aggregate_metrics.json", "rows.parquet", "samples.parquet")}
