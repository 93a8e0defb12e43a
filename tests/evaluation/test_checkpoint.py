"""A call that was cut off goes on from its checkpoint, in this process or another one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from interpreto_mllm import AutoShapley, InferenceModes, KernelShap
from interpreto_mllm.testbed import load_recall

PROMPTS = ["the apple is red . the sky is blue . what is the apple ?", "the dog is pink . what is the dog ?"]
ANSWERS = [" red", " pink"]
OPTIONS = {"budget": 60, "batch_size": 8, "progress": False}

CUT_OFF = """
import os, sys
import interpreto_mllm.evaluation.checkpoint as checkpoint
from interpreto_mllm import KernelShap
from interpreto_mllm.testbed import load_recall

checkpoint.SECONDS_BETWEEN_WRITES = 0.0
model, tokenizer = load_recall()
calls = []

def count(module, arguments, output):
    calls.append(1)
    if len(calls) == 34:  # some of these are tiny forwards that try what the model does
        os._exit(9)

model.register_forward_hook(count)
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
    kept = [len(each["evaluations"]["values"]["data"]) for each in json.loads(path.read_text())["evaluations"]]
    assert sum(kept) > 8
    assert resumed(recall, path, whole) == sum(one.counts.paid for one in whole) - sum(kept)


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
    (tmp_path / "run.json.part").mkdir()
    try:
        with pytest.raises(ValueError, match=r"run.json cannot be written \(.*\): give a path that can"):
            explainer(PROMPTS[0], checkpoint=tmp_path / "run.json")
        with pytest.raises(ValueError, match="is not a file"):
            explainer(PROMPTS[0], checkpoint=tmp_path)
    finally:
        hook.remove()


@pytest.mark.parametrize("fails", [False, True])
def test_a_full_disk_loses_nothing_that_was_evaluated(recall, tmp_path, monkeypatch, fails):
    import interpreto_mllm.evaluation.checkpoint as module

    def full(*names):
        raise OSError(28, "No space left on device")

    explainer, path = KernelShap(*recall, **OPTIONS), tmp_path / "run.json"
    monkeypatch.setattr(module.os, "replace", full)
    monkeypatch.setattr(module, "SECONDS_BETWEEN_WRITES", 0.0)
    if not fails:
        with pytest.warns(RuntimeWarning, match="No space left") as caught:
            [one] = explainer(PROMPTS[0], ANSWERS[0], checkpoint=path)
        assert len(caught) == 1 and one.counts.evaluations == 60
        return
    monkeypatch.setattr(type(explainer), "_result", full)
    with pytest.warns(RuntimeWarning), pytest.raises(OSError, match="No space left"):
        explainer(PROMPTS[0], ANSWERS[0], checkpoint=path)
    monkeypatch.undo()
    assert len(explainer.unfinished[0].coalitions) == 60
    assert explainer(PROMPTS[0], ANSWERS[0], evaluations=explainer.unfinished)[0].counts.paid == 0
