"""Experiment trackers that are told of a study: Weights & Biases and MLflow."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from interpreto_mllm.core.optional import optional
from interpreto_mllm.studies.spec import RunSpec


@runtime_checkable
class Tracker(Protocol):
    """Is told of every run and sample of a study. One that raises is told no more; the study goes on."""

    def started(self, run: RunSpec, folder: Path) -> None:
        """A run begins, or is resumed."""
        ...

    def sample(self, run: RunSpec, number: int, content: Mapping[str, Any]) -> None:
        """A sample is finished; what its file holds."""
        ...

    def finished(self, run: RunSpec, summary: Mapping[str, Any], folder: Path) -> None:
        """A run is finished; what `aggregate_metrics.json` holds."""
        ...

    def interrupted(self, run: RunSpec) -> None:
        """A run has ended before it was finished; it may be resumed."""
        ...


def sample_metrics(content: Mapping[str, Any]) -> dict[str, float]:
    """What is tracked of a sample: its metrics, and the evaluations it took."""
    found = {name: value for name, value in content.get("metrics", {}).items() if value is not None}
    counted = {"evaluations": content["evaluations"]} if "evaluations" in content else {}
    return {**found, **counted, "failed": float(content["status"] == "failed")}


def summary_metrics(summary: Mapping[str, Any]) -> dict[str, float]:
    """The means of all metrics, and counts.

    Example:
        >>> summary_metrics({"samples": 2, "done": 2, "failed": 0, "evaluations": 8, "metrics": {"gini": {"mean": 0.5}}})
        {'mean/gini': 0.5, 'samples': 2, 'done': 2, 'failed': 0, 'evaluations': 8}
    """
    means = {f"mean/{name}": found["mean"] for name, found in summary["metrics"].items() if found["mean"] is not None}
    return {**means, **{name: summary[name] for name in ("samples", "done", "failed", "evaluations")}}


def settings_of(run: RunSpec) -> dict[str, Any]:
    """The run as flat parameters, such as "method.name"."""
    flat: dict[str, Any] = {}

    def add(path: str, value: Any) -> None:
        if isinstance(value, dict):
            for key, one in value.items():
                add(f"{path}.{key}" if path else key, one)
        elif value is not None:
            flat[path] = value

    add("", run.model_dump(mode="json"))
    return flat


class Wandb:
    """Tracks runs with Weights & Biases; a resumed run goes on under the same id.

    Args:
        project: its name there.
        mode: "offline" writes to `folder` alone, for `wandb sync`; "online" needs an account.
        folder: for the files of Weights & Biases; that of the run unless given.

    Raises:
        ImportError: without wandb.
    """

    def __init__(self, project: str = "interpreto_mllm", mode: str = "offline", folder: Path | None = None):
        self._wandb = optional("wandb", "tracking by Weights & Biases", "wandb")
        self._project, self._mode, self._folder = project, mode, folder
        self._runs: dict[str, Any] = {}

    def started(self, run: RunSpec, folder: Path) -> None:
        """See `Tracker`."""
        where = folder / "tracking" if self._folder is None else self._folder
        where.mkdir(parents=True, exist_ok=True)
        self._runs[run.name] = self._wandb.init(
            project=self._project,
            name=run.name,
            id=f"{run.folder_name()}-{run.identity()[:12]}",
            resume="allow",
            mode=self._mode,
            dir=where,
            config=settings_of(run),
            reinit="create_new",
            settings=self._wandb.Settings(silent=True, console="off", x_disable_stats=True),
        )

    def sample(self, run: RunSpec, number: int, content: Mapping[str, Any]) -> None:
        """See `Tracker`."""
        self._runs[run.name].log({"sample": number, **sample_metrics(content)})

    def finished(self, run: RunSpec, summary: Mapping[str, Any], folder: Path) -> None:
        """See `Tracker`."""
        tracked = self._runs.pop(run.name)
        tracked.summary.update(summary_metrics(summary))
        artifact = self._wandb.Artifact(run.folder_name(), type="study-run")
        artifact.add_file(str(folder / "spec.json"))
        artifact.add_dir(str(folder / "summary"), name="summary")
        tracked.log_artifact(artifact)
        tracked.finish()

    def interrupted(self, run: RunSpec) -> None:
        """See `Tracker`."""
        self._runs.pop(run.name).finish(exit_code=1)


class Mlflow:
    """Tracks runs with MLflow; a resumed run goes on in the same MLflow run.

    Args:
        experiment: its name there.
        uri: of the store: a server, or a local one such as "sqlite:///mlflow.db".
        artifacts: a folder for artifacts, of an experiment that is new; the store's own unless given.

    Raises:
        ImportError: without mlflow.
    """

    def __init__(self, experiment: str = "interpreto_mllm", uri: str | None = None, artifacts: Path | None = None):
        optional("mlflow", "tracking by MLflow", "mlflow")
        self._client = optional("mlflow.tracking", "tracking by MLflow", "mlflow").MlflowClient(tracking_uri=uri)
        found = self._client.get_experiment_by_name(experiment)
        where = None if artifacts is None else artifacts.absolute().as_uri()
        self._experiment = self._client.create_experiment(experiment, where) if found is None else found.experiment_id
        self._runs: dict[str, str] = {}

    def started(self, run: RunSpec, folder: Path) -> None:
        """See `Tracker`."""
        tags = {"interpreto_mllm.identity": run.identity(), "interpreto_mllm.folder": str(folder.resolve())}
        query = " and ".join(f"tags.`{name}` = '{value}'" for name, value in tags.items())
        known = self._client.search_runs([self._experiment], query, max_results=1)
        if known:
            self._runs[run.name] = known[0].info.run_id
            return
        self._runs[run.name] = self._client.create_run(self._experiment, run_name=run.name, tags=tags).info.run_id
        for name, value in settings_of(run).items():
            self._client.log_param(self._runs[run.name], name, str(value)[:500])

    def sample(self, run: RunSpec, number: int, content: Mapping[str, Any]) -> None:
        """See `Tracker`."""
        for name, value in sample_metrics(content).items():
            self._client.log_metric(self._runs[run.name], name.replace("@", "/"), value, step=number)

    def finished(self, run: RunSpec, summary: Mapping[str, Any], folder: Path) -> None:
        """See `Tracker`."""
        tracked = self._runs.pop(run.name)
        for name, value in summary_metrics(summary).items():
            self._client.log_metric(tracked, name.replace("@", "/"), value)
        self._client.log_artifact(tracked, str(folder / "spec.json"))
        self._client.log_artifacts(tracked, str(folder / "summary"), "summary")
        self._client.set_terminated(tracked)

    def interrupted(self, run: RunSpec) -> None:
        """See `Tracker`."""
        self._client.set_terminated(self._runs.pop(run.name), "KILLED")
