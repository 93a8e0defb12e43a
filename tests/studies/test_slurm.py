"""Studies on a real Slurm of one node: `make cluster`."""

from __future__ import annotations

import os
import subprocess
import time
from functools import partial
from typing import Any

import pytest
from support.artifacts import files
from support.one_node_slurm import missing, one_node_slurm
from support.study_runs import light, shipped_runs
from support.study_tasks import Answer, EndsItsWorker

from interpreto_mllm.studies.coalitions import OverCoalitions
from interpreto_mllm.studies.executors import Lost
from interpreto_mllm.studies.runner import run_study
from interpreto_mllm.studies.slurm_executor import SlurmJobs

submitit = pytest.importorskip("submitit")

WANTED = bool(os.environ.get("CLUSTER"))
pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(not WANTED, reason="a real Slurm is started by make cluster"),
]


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    if missing():
        pytest.fail(f"These are missing: {', '.join(missing())}; as root: apt-get install slurm-wlm munge")
    with one_node_slurm(tmp_path_factory.mktemp("slurm") / "cluster") as folder:
        yield folder


def jobs():
    """The jobs that wait or run, by state."""
    found = subprocess.run(["squeue", "--noheader", "--array", "--format=%i %T"], capture_output=True, text=True, check=True)
    return dict(row.split() for row in found.stdout.splitlines())


@pytest.mark.parametrize("over", ["samples", "coalitions"])
def test_jobs_of_an_array_give_the_files_of_this_process(slurm, tmp_path, over):
    assert submitit.AutoExecutor(folder=tmp_path / "logs").cluster == "slurm"
    study = shipped_runs(4, "KernelShap", "NeymanShapley", metrics=("gini", "lds"))
    run_study(study, tmp_path / "here", progress=False)
    executor = SlurmJobs(2, tmp_path / "jobs")
    assert all("_" in name for name in executor._jobs)  # of an array
    run_study(study, tmp_path / "there", executor=executor if over == "samples" else OverCoalitions(executor), progress=False)
    assert files(tmp_path / "there") == files(tmp_path / "here")
    _gone()


def test_a_job_killed_by_sigkill_changes_no_byte_and_a_task_that_kills_each_is_given_up(slurm, tmp_path, monkeypatch):
    monkeypatch.setattr("interpreto_mllm.studies.slurm_executor.SECONDS_BETWEEN_CHECKS", 0.5)
    run_study(shipped_runs(8, "KernelShap"), tmp_path / "here", work=light, progress=False)
    kills, always = tmp_path / "kills", tmp_path / "always"
    kills.mkdir()
    always.mkdir()
    executor = SlurmJobs(2, tmp_path / "jobs")
    run_study(
        shipped_runs(8, "KernelShap"), tmp_path / "there", work=partial(light, kills=kills), executor=executor, progress=False
    )
    assert list(kills.iterdir()) and files(tmp_path / "there") == files(tmp_path / "here")
    executor = SlurmJobs(2, tmp_path / "more jobs")
    tasks: dict[int, Any] = {1: Answer(1), 2: EndsItsWorker(always, 99), 3: Answer(3)}
    for number, task in tasks.items():
        executor.submit(number, task)
    found = dict(executor.finished() for _ in tasks)
    executor.close()
    assert (found[1][0], found[3][0]) == (1, 3)
    assert isinstance(found[2], Lost) and "ended 3 times" in found[2].reason
    _gone()


def test_a_job_that_is_requeued_goes_on(slurm, tmp_path):
    executor = SlurmJobs(1, tmp_path / "jobs")
    for number in range(3):
        executor.submit(number, Answer(number, 3.0))
    first = executor.finished()
    [name] = executor._jobs
    subprocess.run(["scontrol", "requeue", name], check=True)
    found = dict([first, *(executor.finished() for _ in range(2))])
    assert {number: answer for number, (answer, _) in found.items()} == {0: 0, 1: 1, 2: 2}
    assert [*executor._jobs] == [name]  # the same job, not another
    executor.close()
    _gone()


def test_a_cluster_that_goes_away_is_an_error_in_words(slurm, tmp_path, monkeypatch):
    monkeypatch.setattr("interpreto_mllm.studies.slurm_executor.SECONDS_BETWEEN_CHECKS", 0.1)
    executor = SlurmJobs(1, tmp_path / "jobs")
    executor.submit(1, Answer(1, 20.0))
    monkeypatch.setenv("SLURM_CONF", str(tmp_path / "nowhere"))
    with pytest.raises(RuntimeError, match="The Slurm cluster went away"):
        executor.finished()
    monkeypatch.setenv("SLURM_CONF", str(slurm / "slurm.conf"))
    executor.close()
    _gone()


def _gone():
    """Wait until no jobs are left."""
    deadline = time.monotonic() + 60
    while jobs() and time.monotonic() < deadline:
        time.sleep(0.2)
