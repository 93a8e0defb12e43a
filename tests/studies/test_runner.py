"""Runs of a study: what is kept, what an interruption costs, and what is refused."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import random
import signal
import time
import warnings
from dataclasses import replace
from functools import partial

import pytest
from support.artifacts import files
from support.study_runs import light, shipped_runs

from interpreto_mllm.attribution import Attribution
from interpreto_mllm.evaluation import blocks as blocks_module
from interpreto_mllm.studies import kept_game as kept_game_module
from interpreto_mllm.studies.data import Samples
from interpreto_mllm.studies.executors import InProcess
from interpreto_mllm.studies.held import held_explainer
from interpreto_mllm.studies.processes import Processes
from interpreto_mllm.studies.runner import run_study
from interpreto_mllm.studies.spec import DataSpec, MethodSpec

METRICS = ("gini", "precision", "deletion_auc", "lds")


def runs(samples=8, methods=("KernelShap",), budget=40, metrics=METRICS, model="shipped:text"):
    return shipped_runs(samples, *methods, metrics=metrics, budget=budget, model=model)


def forked(work):
    """The process of a function that runs beside this one and ends with it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that this process has threads: the child's use none of them
        child = os.fork()
    if child:
        return child
    with contextlib.suppress(BaseException):
        work()
    os._exit(0)


def killed_after(seconds, work):
    """Kill the process of a function after so long; whether it was still at work."""
    child = forked(work)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def test_a_run_leaves_each_sample_its_evaluations_a_summary_and_what_it_was_made_with(tmp_path):
    pyarrow = pytest.importorskip("pyarrow.parquet")
    result = run_study(runs(samples=2), tmp_path / "study", progress=False)
    [finished] = result.runs
    folder = finished.folder
    assert (result.exit_code, finished.done, finished.failed, folder.name) == (0, 2, 0, "KernelShap")
    spec = json.loads((folder / "spec.json").read_text())
    assert spec["run"]["method"]["call"] == {"budget": 40} and spec["versions"]["torch"] and "commit" in spec
    assert spec["game"]["model"] == "Lfm2ForCausalLM" and "text" not in spec["game"]
    names = sorted(path.name for path in (folder / "samples").iterdir())
    assert names == sorted(path.name for path in (folder / "evaluations").iterdir()) and len(names) == 2
    sample = json.loads((folder / "samples" / names[0]).read_text())
    explanation = Attribution.load(folder / "evaluations" / names[0])
    assert sample["attributions"] == explanation.attributions.tolist() and explanation.counts.seconds == 0
    assert len(explanation.coalitions) == 40 and sample["metrics"]["gini"] > 0
    again = explanation.reaggregate(explanation.aggregator)
    assert again.attributions.equal(explanation.attributions)
    summary = json.loads((folder / "summary" / "aggregate_metrics.json").read_text())
    both = [json.loads(path.read_text())["metrics"]["lds"] for path in sorted((folder / "samples").iterdir())]
    assert summary["metrics"]["lds"]["mean"] == pytest.approx(sum(both) / 2) and summary["evaluations"] == 80
    rows = pyarrow.read_table(folder / "summary" / "rows.parquet").to_pylist()
    assert [row["score"] for row in rows[: explanation.n]] == explanation.attributions[0].tolist()
    assert pyarrow.read_table(folder / "summary" / "samples.parquet").to_pylist()[0]["gini"] == sample["metrics"]["gini"]
    assert json.loads((folder / "checkpoint.json").read_text()) == {"samples": 2, "done": 2, "failed": 0, "finished": True}
    assert not (folder / "checkpoints").exists()


@pytest.mark.parametrize("kills", [4, pytest.param(20, marks=pytest.mark.thorough)])
def test_killed_at_random_moments_and_resumed_the_files_are_the_same_and_no_block_is_paid_twice(tmp_path, monkeypatch, kills):
    study = runs(samples=2 if kills < 20 else 5)
    evaluate, log = blocks_module.evaluate_block, tmp_path / "blocks"

    def counted(game, coalitions):
        with log.open("a") as file:
            file.write(f"{game.prompt.text} {coalitions.int().tolist()}\n")
        return evaluate(game, coalitions)

    for module in (blocks_module, kept_game_module):
        monkeypatch.setattr(module, "evaluate_block", counted)
    held_explainer(study[0])  # children have the model at once
    since = time.monotonic()
    run_study(study, tmp_path / "whole", progress=False)
    took, expected = time.monotonic() - since, log.read_text().splitlines()
    assert len(set(expected)) == len(expected)
    log.unlink()
    draw, hit = random.Random(kills), 0
    for _ in range(kills):
        resumed = partial(run_study, study, tmp_path / "killed", resume=True, progress=False)
        hit += killed_after(draw.uniform(0, 2 * took / kills), resumed)
    assert hit
    assert run_study(study, tmp_path / "killed", resume=True, progress=False).exit_code == 0
    assert files(tmp_path / "killed") == files(tmp_path / "whole")
    paid = log.read_text().splitlines()
    assert set(paid) == set(expected) and len(paid) <= len(expected) + hit  # a block under way when its process was killed


def test_killed_while_it_writes_the_files_are_the_same(tmp_path):
    study, work = runs(samples=30), partial(light, seconds=0.004)
    run_study(study, tmp_path / "whole", work=work, progress=False)
    draw, hit = random.Random(0), 0
    for _ in range(20):
        resumed = partial(run_study, study, tmp_path / "killed", work=work, resume=True, progress=False)
        hit += killed_after(draw.uniform(0.01, 0.06), resumed)
    assert hit
    result = run_study(study, tmp_path / "killed", work=work, resume=True, progress=False)
    assert result.exit_code == 1 and result.runs[0].failed == 3  # samples 7, 17 and 27
    assert files(tmp_path / "killed") == files(tmp_path / "whole")


def test_workers_give_the_files_of_this_process_also_when_one_is_killed(tmp_path):
    study = runs(samples=12)
    run_study(study, tmp_path / "here", work=light, progress=False)
    (tmp_path / "kills").mkdir()
    work = partial(light, kills=tmp_path / "kills")
    result = run_study(study, tmp_path / "there", work=work, executor=Processes(2, threads=0), progress=False)
    assert list((tmp_path / "kills").iterdir())
    assert result.runs[0].done == 11 and files(tmp_path / "there") == files(tmp_path / "here")


@pytest.mark.thorough
@pytest.mark.parametrize("kind", ["processes", "coalitions"])
def test_processes_with_models_of_their_own_give_the_files_of_this_process(tmp_path, kind):
    from interpreto_mllm.studies.coalitions import OverCoalitions

    study = runs(samples=4, methods=("KernelShap", "NeymanShapley", "Saliency"), budget=64)
    study[2] = study[2].model_copy(update={"method": MethodSpec(name="Saliency"), "metrics": ("gini",)})
    run_study(study, tmp_path / "here", progress=False)
    workers = Processes(2)
    executor = workers if kind == "processes" else OverCoalitions(workers)
    run_study(study, tmp_path / "there", executor=executor, progress=False)
    assert files(tmp_path / "there") == files(tmp_path / "here")


def test_a_sample_that_fails_is_kept_with_its_traceback_and_the_exit_code_says_so(tmp_path, monkeypatch):
    study = runs(samples=3, metrics=("gini",))
    real = Samples.__getitem__

    def broken(samples, index):
        found = real(samples, index)
        return replace(found, targets=3.5) if index == 1 else found

    monkeypatch.setattr(Samples, "__getitem__", broken)
    result = run_study(study, tmp_path, progress=False)
    assert (result.exit_code, result.runs[0].done, result.runs[0].failed) == (1, 2, 1)
    contents = [json.loads(path.read_text()) for path in tmp_path.glob("*/samples/*")]
    [failed] = [content for content in contents if content["status"] == "failed"]
    assert failed["error"]["type"] == "TypeError" and "got 3.5" in failed["error"]["message"]
    assert failed["error"]["traceback"].startswith("Traceback") and "explain_sample" in failed["error"]["traceback"]
    monkeypatch.setattr(Samples, "__getitem__", real)
    assert run_study(study, tmp_path, resume=True, progress=False).exit_code == 0


def test_a_model_that_does_not_load_ends_its_run_and_no_other(tmp_path):
    [good] = runs(samples=2, metrics=())
    [bad] = runs(samples=2, metrics=(), model="shipped:nowhere")
    bad = bad.model_copy(update={"name": "bad"})
    result = run_study([bad, good], tmp_path / "study", progress=False)
    assert result.exit_code == 1 and [run.done for run in result.runs] == [0, 2]
    assert result.runs[0].problem is not None and "nowhere" in result.runs[0].problem.message
    assert "nowhere" in json.loads((tmp_path / "study" / "bad" / "checkpoint.json").read_text())["problem"]["message"]


def test_a_changed_config_is_refused_and_the_message_says_what_differs(tmp_path, monkeypatch):
    run_study(runs(), tmp_path, work=light, progress=False)
    with pytest.raises(ValueError, match=r"holds a run already: resume it"):
        run_study(runs(), tmp_path, work=light, progress=False)
    with pytest.raises(ValueError, match=r"changed since: method\.call\.budget: 64, there 40"):
        run_study(runs(budget=64), tmp_path, work=light, resume=True, progress=False)
    monkeypatch.setattr("interpreto_mllm.studies.artifacts.versions", lambda: {"torch": "1.0"})
    with pytest.raises(ValueError, match=r"changed since: .*torch: \S+ there, 1.0 here"):
        run_study(runs(), tmp_path, work=light, resume=True, progress=False)


@pytest.mark.parametrize("file", ["questions.csv", "data/questions.csv"])
def test_data_that_were_edited_since_are_refused(file, tmp_path):
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    path.write_text("prompt\nwhat is red ?\n")
    [run] = runs()
    run = run.model_copy(
        update={"data": DataSpec(name=str(path if file == path.name else path.parent), columns={"prompt": "prompt"})}
    )
    run_study([run], tmp_path / "study", work=light, progress=False)
    run_study([run], tmp_path / "study", work=light, resume=True, progress=False)
    path.write_text("prompt\nwhat is blue ?\n")
    with pytest.raises(ValueError, match=r"changed since: the content of .*(questions\.csv|data)"):
        run_study([run], tmp_path / "study", work=light, resume=True, progress=False)


def test_other_data_or_another_model_than_that_of_the_samples_so_far_is_refused(tmp_path, monkeypatch):
    study = runs()
    run_study(study, tmp_path, work=light, progress=False)
    first = sorted(tmp_path.glob("*/samples/*"))[0]
    first.unlink()
    spec = tmp_path / "KernelShap" / "spec.json"
    content = json.loads(spec.read_text())
    spec.write_text(json.dumps({**content, "game": {"model": "Another"}}))
    with pytest.raises(ValueError, match=r"of another game than the next: model: Another there, Told here"):
        run_study(study, tmp_path, work=light, resume=True, progress=False)
    spec.write_text(json.dumps(content))
    monkeypatch.setattr(Samples, "identities", ["x"])
    with pytest.raises(ValueError, match=r"holds the sample '\d+', which the data of KernelShap does not"):
        run_study(study, tmp_path, work=light, resume=True, progress=False)


def test_a_second_process_on_a_folder_is_refused_by_name(tmp_path):
    child = forked(lambda: run_study(runs(), tmp_path, work=partial(light, seconds=5.0), progress=False))
    try:
        while not list(tmp_path.glob("KernelShap/.owner")):
            time.sleep(0.01)
        with pytest.raises(ValueError, match=rf"is in use by process {child} of .*: wait until it has ended"):
            run_study(runs(), tmp_path, work=light, resume=True, progress=False)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert run_study(runs(), tmp_path, work=light, resume=True, progress=False).runs[0].done == 7


def test_a_full_disk_ends_the_study_in_words_and_loses_nothing(tmp_path, monkeypatch):
    from interpreto_mllm.studies import artifacts

    real, left = artifacts.replace_file, [8]

    def filling(path, content):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(path, content)

    monkeypatch.setattr(artifacts, "replace_file", filling)
    with pytest.raises(OSError, match=r"the disk is full\. All samples that were finished are kept: make room and resume"):
        run_study(runs(), tmp_path, work=light, progress=False)
    monkeypatch.setattr(artifacts, "replace_file", real)
    kept = files(tmp_path / "KernelShap" / "samples")
    assert kept
    run_study(runs(), tmp_path, work=light, resume=True, progress=False)
    assert files(tmp_path / "KernelShap" / "samples").items() >= kept.items()


def test_a_broken_file_is_named(tmp_path):
    run_study(runs(), tmp_path, work=light, progress=False)
    first = sorted(tmp_path.glob("*/samples/*"))[0]
    first.write_bytes(first.read_bytes()[:20])
    with pytest.raises(ValueError, match=rf"{first.name} is damaged .*: restore it or remove it"):
        run_study(runs(), tmp_path, work=light, resume=True, progress=False)
    first.unlink()
    assert run_study(runs(), tmp_path, work=light, resume=True, progress=False).runs[0].done == 7


class Ends(InProcess):
    """Ends the study after three tasks."""

    def __init__(self, error):
        super().__init__()
        self.error, self.left = error, 3

    def finished(self):
        self.left -= 1
        if self.left < 0:
            raise self.error
        return super().finished()


@pytest.mark.parametrize("error", [RuntimeError("The Ray cluster went away"), KeyboardInterrupt()], ids=["cluster", "ctrl-c"])
def test_a_cluster_that_goes_away_and_ctrl_c_cost_nothing_that_was_finished(tmp_path, error):
    with pytest.raises(type(error)):
        run_study(runs(), tmp_path, work=light, executor=Ends(error), progress=False)
    assert len(list(tmp_path.glob("*/samples/*"))) == 3
    assert json.loads((tmp_path / "KernelShap" / "checkpoint.json").read_text())["done"] == 3
    assert run_study(runs(), tmp_path, work=light, resume=True, progress=False).runs[0].done == 7


def test_two_runs_of_one_name_are_refused_before_anything_is_written(tmp_path):
    with pytest.raises(ValueError, match="'KernelShap' and 'KernelShap' would have one folder"):
        run_study(runs() * 2, tmp_path / "study", work=light, progress=False)
    with pytest.raises(ValueError, match="There are no runs"):
        run_study([], tmp_path / "study", progress=False)
    assert not (tmp_path / "study").exists()
