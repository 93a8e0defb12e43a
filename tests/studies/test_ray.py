"""Studies on Ray: what its workers make is what this process makes, whatever happens to them."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from support.artifacts import files
from support.study_runs import light, shipped_runs
from support.study_tasks import Answer, EndsItsWorker

from interpreto_mllm.studies.executors import Lost
from interpreto_mllm.studies.runner import run_study

ray = pytest.importorskip("ray")


def workers(count=2):
    from interpreto_mllm.studies.ray_executor import RayWorkers

    return RayWorkers(count)


@pytest.mark.filterwarnings("ignore")  # of Ray on its own account
def test_a_worker_killed_by_sigkill_changes_no_byte(tmp_path):
    run_study(shipped_runs(8, "KernelShap"), tmp_path / "here", work=light, progress=False)
    kills = tmp_path / "kills"
    kills.mkdir()
    with ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR"):
        study, executor = shipped_runs(8, "KernelShap"), workers()
        run_study(study, tmp_path / "there", work=partial(light, kills=kills), executor=executor, progress=False)
        assert list(kills.iterdir()) and files(tmp_path / "there") == files(tmp_path / "here")
    assert not ray.is_initialized()


@pytest.mark.thorough
@pytest.mark.filterwarnings("ignore")
def test_a_task_that_ends_each_of_its_workers_is_given_up(tmp_path):
    executor = workers()
    tasks: dict[int, Any] = {1: Answer(1), 2: EndsItsWorker(tmp_path, 99), 3: Answer(3)}
    for number, task in tasks.items():
        executor.submit(number, task)
    found = dict(executor.finished() for _ in tasks)
    executor.close()
    assert (found[1][0], found[3][0]) == (1, 3)
    assert isinstance(found[2], Lost) and "ended 3 times" in found[2].reason


@pytest.mark.thorough
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("over", ["samples", "coalitions"])
def test_models_in_ray_workers_give_the_files_of_this_process(tmp_path, over):
    from interpreto_mllm.studies.coalitions import OverCoalitions

    study = shipped_runs(4, "KernelShap", "NeymanShapley", metrics=("gini", "lds"))
    run_study(study, tmp_path / "here", progress=False)
    executor = workers()
    run_study(study, tmp_path / "there", executor=executor if over == "samples" else OverCoalitions(executor), progress=False)
    assert files(tmp_path / "there") == files(tmp_path / "here")
