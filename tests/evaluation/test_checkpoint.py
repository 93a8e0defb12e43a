"""A call that was cut off goes on from its checkpoint, in this process or another one."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import interpreto_mllm.evaluation.records as record_files
from interpreto_mllm import AutoShapley, InferenceModes, KernelShap
from interpreto_mllm.evaluation.checkpoint_file import Contents
from interpreto_mllm.evaluation.records import RecordFile, records
from interpreto_mllm.testbed import load_recall

PROMPTS = ["the apple is red . the sky is blue . what is the apple ?", "the dog is pink . what is the dog ?"]
ANSWERS = [" red", " pink"]
OPTIONS = {"budget": 60, "batch_size": 8, "progress": False}

CUT_OFF = """
import os, sys
from interpreto_mllm import KernelShap
from interpreto_mllm.evaluation.session import SamplingSession
from interpreto_mllm.testbed import load_recall

model, tokenizer = load_recall()
calls, made = [], []

def count(module, arguments, output):
    calls.append(1)
    if len(calls) == 34:  # some of these are tiny forwards that try what the model does
        print(sum(made), flush=True)
        os._exit(9)

def record(session, coalitions, values, recorded=SamplingSession.record):
    recorded(session, coalitions, values)
    made.append(len(values))

model.register_forward_hook(count)
SamplingSession.record = record
prompts, answers, options = {prompts!r}, {answers!r}, {options!r}
KernelShap(model, tokenizer, **options)(prompts, answers, checkpoint=sys.argv[1])
"""


@pytest.fixture(scope="module")
def recall():
    return load_recall()


@pytest.fixture(scope="module")
def whole(recall):
    return KernelShap(*recall, **OPTIONS)(PROMPTS, ANSWERS)


def resumed(recall, path: Path, whole) -> int:
    """Go on from a checkpoint; the result is that of an uninterrupted call. Returns what was paid."""
    again = KernelShap(*recall, **OPTIONS)(PROMPTS, ANSWERS, checkpoint=path)
    for one, other in zip(again, whole, strict=True):
        assert torch.equal(one.coalitions, other.coalitions)
        torch.testing.assert_close(one.values, other.values, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(one.attributions, other.attributions, atol=1e-4, rtol=1e-4)
    return sum(one.counts.paid for one in again)


def test_a_killed_process_goes_on_in_another_one(recall, whole, tmp_path):
    path = tmp_path / "run.json"
    script = CUT_OFF.format(prompts=PROMPTS, answers=ANSWERS, options=OPTIONS)
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 9, done.stderr
    kept = sum("coalition" in (record or ()) for record, _ in records(path.read_bytes()))
    assert kept == int(done.stdout) > 8
    assert resumed(recall, path, whole) == sum(one.counts.paid for one in whole) - kept


def test_ctrl_c_keeps_everything_evaluated(recall, whole, tmp_path):
    model, tokenizer = recall
    path, calls = tmp_path / "run.json", []

    def interrupt(module, arguments, output):
        calls.append(1)
        if len(calls) == 9:
            raise KeyboardInterrupt

    hook = model.register_forward_hook(interrupt)
    explainer = KernelShap(model, tokenizer, **OPTIONS)
    with pytest.raises(KeyboardInterrupt):
        explainer(PROMPTS, ANSWERS, checkpoint=path)
    hook.remove()
    known = sum(len(each.coalitions) for each in explainer.unfinished)
    assert known > 0
    assert resumed(recall, path, whole) == sum(one.counts.paid for one in whole) - known


def test_a_finished_call_is_free_the_second_time(recall, whole, tmp_path):
    path = tmp_path / "run.json"
    assert resumed(recall, path, whole) == sum(one.counts.paid for one in whole)
    assert resumed(recall, path, whole) == 0
    assert [file.name for file in tmp_path.iterdir()] == ["run.json"]


def test_answers_are_kept(recall, tmp_path):
    path = tmp_path / "run.json"
    options = {**OPTIONS, "budget": 30, "inference_mode": InferenceModes.SIMILARITY, "generate": {"max_new_tokens": 3}}
    [first] = KernelShap(*recall, **options)(PROMPTS[0], checkpoint=path)
    [second] = KernelShap(*recall, **options)(PROMPTS[0], checkpoint=path)
    assert second.counts.paid == 0
    assert second.responses.texts == first.responses.texts
    assert torch.equal(second.attributions, first.attributions)


def test_the_shortest_call_has_one_too(recall, tmp_path):
    path = tmp_path / "run.json"
    [first] = AutoShapley(*recall, **OPTIONS)(PROMPTS[1], ANSWERS[1], checkpoint=path)
    [second] = AutoShapley(*recall, **OPTIONS)(PROMPTS[1], ANSWERS[1], checkpoint=path)
    assert (first.counts.paid, second.counts.paid) == (60, 0)


@pytest.mark.parametrize(
    "inputs, targets, more, told",
    [
        (
            PROMPTS,
            ANSWERS,
            {"inference_mode": InferenceModes.LOGITS},
            "input 0: value function: log_softmax there, logits here",
        ),
        (
            [PROMPTS[0], PROMPTS[1].replace("pink", "gold")],
            ANSWERS,
            {},
            r"input 1: text: 'the dog is pink .*' there, 'the dog is gold .*' here; features: .*",
        ),
        (PROMPTS, [" red", " gold"], {}, r"input 1: targets: 'pink' #\w+ there, 'gold' #\w+ here"),
        (PROMPTS[:1], ANSWERS[:1], {}, "2 inputs there, 1 here"),
        (PROMPTS, ANSWERS, {"pinned": ["the"]}, r"input 0: features: 'the', .* there, 'apple', .* here; token ids without .*"),
    ],
)
def test_a_checkpoint_of_another_call_is_refused(recall, tmp_path, inputs, targets, more, told):
    path = tmp_path / "run.json"
    KernelShap(*recall, **OPTIONS)(PROMPTS, ANSWERS, checkpoint=path)
    before = path.read_text()
    with pytest.raises(ValueError, match=f"of another call \\({told}\\)"):
        KernelShap(*recall, **{**OPTIONS, **more})(inputs, targets, checkpoint=path)
    assert path.read_text() == before


def test_bad_checkpoints(recall, whole, tmp_path):
    path = tmp_path / "run.json"
    for content in ("nonsense", "{}", "[]", '{"format": "interpreto_mllm attribution"}'):
        path.write_text(content)
        with pytest.raises(ValueError, match="is not a checkpoint"):
            KernelShap(*recall, **OPTIONS)(PROMPTS, ANSWERS, checkpoint=path)
    with pytest.raises(ValueError, match="not both"):
        KernelShap(*recall, **OPTIONS)(PROMPTS, ANSWERS, checkpoint=path, evaluations=whole)
    with pytest.raises(ValueError, match="no folder"):
        KernelShap(*recall, **OPTIONS)(PROMPTS, ANSWERS, checkpoint=tmp_path / "missing" / "run.json")


def test_a_checkpoint_that_cannot_be_written_is_refused_before_the_model_is_asked(recall, tmp_path):
    explainer = KernelShap(*recall, **OPTIONS)
    hook = recall[0].register_forward_pre_hook(lambda *given: pytest.fail("The model was asked."))
    try:
        with pytest.raises(ValueError, match=r"/proc/run.json cannot be written \(.*\): give a path that can"):
            explainer(PROMPTS[0], checkpoint="/proc/run.json")
        with pytest.raises(ValueError, match="is not a file"):
            explainer(PROMPTS[0], checkpoint=tmp_path)
    finally:
        hook.remove()


def test_a_call_that_is_refused_leaves_no_file_and_no_lock(recall, tmp_path):
    path = tmp_path / "run.json"
    for _ in range(2):
        with pytest.raises(TypeError):
            KernelShap(*recall, **OPTIONS)(PROMPTS[0], 1.5, checkpoint=path)
        assert not path.exists()


def test_a_checkpoint_in_use_names_its_user(recall, tmp_path):
    path = tmp_path / "run.json"
    first = RecordFile(path)
    first.resume(0, [{"a": 1}])
    with pytest.raises(ValueError, match=f"run.json is in use by process {os.getpid()} of {socket.gethostname()}: wait for it"):
        KernelShap(*recall, **OPTIONS)(PROMPTS[0], ANSWERS[0], checkpoint=path)
    first.close()
    RecordFile(path).close()


class FullDisk:
    """`os.write` on a disk that is full from the second write on, and takes half of what does not fit."""

    def __init__(self, monkeypatch):
        self.write, self.writes, self.full = os.write, 0, True
        monkeypatch.setattr(record_files.os, "write", self)

    def __call__(self, descriptor, data):
        self.writes += 1
        if not self.full or self.writes < 3:
            return self.write(descriptor, data)
        if self.writes % 2:
            return self.write(descriptor, data[: len(data) // 2])
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize("fails", [False, True])
def test_a_full_disk_loses_nothing_that_was_evaluated(recall, tmp_path, monkeypatch, fails):
    def broken(*given):
        raise OSError("broken")

    explainer, path = KernelShap(*recall, **OPTIONS), tmp_path / "run.json"
    FullDisk(monkeypatch)
    if not fails:
        with pytest.warns(RuntimeWarning, match="No space left") as caught:
            [one] = explainer(PROMPTS[0], ANSWERS[0], checkpoint=path)
        assert len(caught) == 1 and one.counts.evaluations == 60
        sound = [record for record, _ in records(path.read_bytes())]
        assert None not in sound and path.read_bytes().endswith(b"\n")
        return
    monkeypatch.setattr(type(explainer), "_result", broken)
    with pytest.warns(RuntimeWarning), pytest.raises(OSError, match="broken"):
        explainer(PROMPTS[0], ANSWERS[0], checkpoint=path)
    monkeypatch.undo()
    assert len(explainer.unfinished[0].coalitions) == 60
    assert explainer(PROMPTS[0], ANSWERS[0], evaluations=explainer.unfinished)[0].counts.paid == 0


def test_what_did_not_fit_is_written_once_there_is_room(tmp_path, monkeypatch):
    file, disk = RecordFile(tmp_path / "run.json"), FullDisk(monkeypatch)
    file.resume(0, [{"a": 1}])
    file.add([{"b": 2}])
    file.write()
    file.add([{"c": 3}])
    with pytest.raises(OSError, match="No space"):
        file.write()
    disk.full = False
    file.add([{"d": 4}])
    file.write()
    file.close()
    found = [record for record, _ in records((tmp_path / "run.json").read_bytes())]
    assert (
        found[0] == {"a": 1} and found[1] is not None and "opened" in found[1] and found[2:] == [{"b": 2}, {"c": 3}, {"d": 4}]
    )


def test_unfinished_is_kept_where_the_game_cannot_say_more(recall, monkeypatch):
    from interpreto_mllm.games.game import ModelGame

    explainer = KernelShap(*recall, **OPTIONS)
    monkeypatch.setattr(ModelGame, "completed", lambda *given: {}["broken"])
    with pytest.raises(KeyError):
        explainer(PROMPTS[0], ANSWERS[0])
    assert len(explainer.unfinished[0].coalitions) == 60


SLOW = """
import sys, time
from interpreto_mllm import KernelShap
from interpreto_mllm.evaluation.checkpoint import Checkpoint
from interpreto_mllm.testbed import load_recall

def add(checkpoint, game, evaluations, added=Checkpoint.add):
    added(checkpoint, game, evaluations)
    print(len(evaluations.values), flush=True)
    time.sleep(0.02)

Checkpoint.add = add
prompts, answers, options = {prompts!r}, {answers!r}, {options!r}
KernelShap(*load_recall(), **{{**options, "budget": 400}})(prompts, answers, checkpoint=sys.argv[1])
"""


@pytest.mark.thorough
@pytest.mark.parametrize("after", [3, 8, 21])
def test_sigkill_costs_no_more_than_the_batch_under_way_and_readers_see_whole_records(tmp_path, after):
    path = tmp_path / "run.json"
    script = SLOW.format(prompts=PROMPTS, answers=ANSWERS, options=OPTIONS)
    printed = 0
    with subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for _ in range(after):
            printed += int(child.stdout.readline())
            found = Contents.read(path)
            assert found is not None and sum(len(each.values) for each in found.evaluations) >= printed
        child.kill()
        printed += sum(int(one) for one in child.stdout.read().split())
    kept = sum("coalition" in (record or ()) for record, _ in records(path.read_bytes()))
    assert printed <= kept <= printed + OPTIONS["batch_size"]
