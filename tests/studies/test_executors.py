"""Workers of studies: in this process, in processes of their own, in Ray actors and in jobs."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.study_tasks import Answer, EndsItsWorker

from interpreto_mllm.studies.executors import Executor, InProcess, Lost, check_workers, threads_of
from interpreto_mllm.studies.processes import Processes
from interpreto_mllm.studies.queue_folder import QueueFolder, work_off


def outcomes(executor: Executor, tasks: dict[int, Callable[[], Any]]) -> dict[int, Any]:
    for number, task in tasks.items():
        executor.submit(number, task)
    return dict(executor.finished() for _ in tasks)


def test_in_process_does_the_tasks_in_their_order():
    found = outcomes(InProcess(), {number: Answer(number) for number in (3, 1, 2)})
    assert [(number, answer) for number, (answer, _) in found.items()] == [(3, 3), (1, 1), (2, 2)]
    assert {pid for _, pid in found.values()} == {os.getpid()}


def test_processes_share_the_tasks_and_repeat_one_whose_worker_was_killed(tmp_path):
    executor = Processes(2, threads=0)
    try:
        tasks: dict[int, Any] = {number: Answer(number, 0.05) for number in range(6)}
        found = outcomes(executor, {**tasks, 6: EndsItsWorker(tmp_path, 1)})
        assert found.pop(6) == "done"
        assert {number: answer for number, (answer, _) in found.items()} == {number: number for number in range(6)}
        assert os.getpid() not in {pid for _, pid in found.values()}
        always = tmp_path / "always"
        always.mkdir()
        lost = outcomes(executor, {9: EndsItsWorker(always, 99), 10: Answer(10)})
        assert isinstance(lost[9], Lost) and "ended 3 times" in lost[9].reason and "SIGKILL" in lost[9].reason
        assert lost[10][0] == 10
    finally:
        executor.close()


def test_workers_of_a_machine_split_its_cores(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("interpreto_mllm.studies.executors.cores", lambda: 8)
    assert [threads_of(workers) for workers in (1, 2, 3, 64)] == [8, 4, 2, 1]
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert [threads_of(workers) for workers in (1, 2, 3, 64)] == [3, 3, 2, 1]


@pytest.mark.parametrize("workers", [0, -1, 1.5, True, "two"])
def test_a_number_of_workers_that_cannot_be_is_refused(workers):
    with pytest.raises(ValueError, match="workers must be a positive int"):
        check_workers(workers)


def collected(queue: QueueFolder, count: int) -> dict[int, Any]:
    found: dict[int, Any] = {}
    deadline = time.monotonic() + 20
    while len(found) < count and time.monotonic() < deadline:
        found.update(queue.outcomes())
        time.sleep(0.01)
    return found


def test_a_queue_gives_each_task_to_one_worker_and_takes_back_what_a_dead_one_was_at(tmp_path):
    queue = QueueFolder(tmp_path / "queue")
    for number in range(20):
        queue.put(number, Answer(number))
    assert queue.take("dead") is not None
    workers = [threading.Thread(target=work_off, args=(queue, f"worker-{place}"), daemon=True) for place in range(4)]
    for worker in workers:
        worker.start()
    found = collected(queue, 19)
    assert queue.give_back("dead") == [0]
    found |= collected(queue, 1)
    queue.close()
    for worker in workers:
        worker.join()
    assert {number: answer for number, (answer, _) in found.items()} == {number: number for number in range(20)}


def test_jobs_without_a_cluster_are_refused_in_words(tmp_path):
    slurm_executor = pytest.importorskip("interpreto_mllm.studies.slurm_executor")
    pytest.importorskip("submitit")
    with pytest.raises(RuntimeError, match=r"There is no slurm cluster here|The cluster takes no jobs"):
        slurm_executor.SlurmJobs(2, Path(tmp_path), cluster="slurm")
