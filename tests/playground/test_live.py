"""Explanations that are watched: news in order, the result that a plain call gives, and a stop that keeps what is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from support.server import Server

from interpreto_mllm import Attribution, GaussianProcessShapley
from interpreto_mllm.aggregators.aggregator import Estimate
from interpreto_mllm.core.callbacks import Callback
from interpreto_mllm.playground.bars import bars
from interpreto_mllm.playground.live import Stop
from interpreto_mllm.playground.page import Playground, Shown
from interpreto_mllm.playground.question import METHODS, SIMILARITY, VALUES, Models, Question
from interpreto_mllm.studies.spec import ModelSpec
from interpreto_mllm.testbed import load_recall

TEXT = "the apple is red . the sky is blue . what is the apple ?"
SHORT = "the apple is red ."


def test_the_result_is_that_of_a_plain_call(tmp_path: Path) -> None:
    question = Question(SHORT, target=" red", method="GaussianProcessShapley", budget=20)
    shown = list(Playground(tmp_path).explain(question, "me"))
    told, drawn, page, files = shown[-1]
    assert shown[0][0] == "Reading the prompt …" and told.startswith("Done.") and "<iframe" in page and files is not None
    assert "apple" in drawn
    [plain] = GaussianProcessShapley(*load_recall(), budget=20, progress=False)([{"role": "user", "content": SHORT}], " red")
    assert torch.allclose(Attribution.load(files[1]).attributions, plain.attributions)


def test_a_stop_keeps_what_is_there(tmp_path: Path) -> None:
    playground = Playground(tmp_path)
    shown: list[Shown] = [("", "", "", None)]
    for shown[0] in playground.explain(Question(TEXT, target=" red", method="KernelShap", budget=2000), "me"):
        if shown[0][1]:
            playground.stop("me")
    told, _, _, files = shown[0]
    assert "Stopped by hand" in told and "Stop()" not in told and files is not None and not playground.running
    kept = Attribution.load(files[1])
    assert len(kept.coalitions) < 2000 and kept.standard_errors is not None
    playground.stop("somebody else")


@pytest.mark.parametrize("text", ["what colour is the circle ?", " "])
def test_uploads_are_deleted_also_after_an_error(text: str, tmp_path: Path) -> None:
    file = tmp_path / "upload.png"
    Image.new("RGB", (64, 64)).save(file)
    asked = Playground(tmp_path).explain(Question(text, image=str(file), target="red", method="KernelShap", budget=48), "me")
    if text == " ":
        with pytest.raises(ValueError, match="Write a prompt first"):
            list(asked)
    else:
        assert list(asked)[-1][3]
    assert not file.exists()


def test_errors_of_the_explanation_are_raised(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be stopped early"):
        list(Playground(tmp_path).explain(Question(SHORT, target=" red", method="Sobol"), "me"))


@pytest.mark.parametrize("method", METHODS)
def test_every_method_on_the_page_can_be_stopped(method: str) -> None:
    names, explain = Models().explaining(Question(SHORT, method=method, target=" red", budget=20))
    assert names == SHORT.split() and explain(Stop(lambda estimate: None), Callback()).n == len(names)


@pytest.mark.parametrize("value", VALUES)
def test_the_names_of_features_need_no_answer(value: str) -> None:
    forwards: list[int] = []
    counting = torch.nn.modules.module.register_module_forward_hook(lambda *_: forwards.append(1))
    try:
        names, explain = Models().explaining(Question(SHORT, method="KernelShap", budget=12, value=value))
    finally:
        counting.remove()
    assert names == SHORT.split() and not forwards
    result = explain(Stop(lambda estimate: None), Callback())
    assert result.n == len(names) and (result.responses is not None) == (value == SIMILARITY)


def test_a_server_that_returns_answers_alone_is_explained(recall: Any, tmp_path: Path) -> None:
    server = Server(*recall)
    playground = Playground(tmp_path, ModelSpec(name="recall", url=server.url, arguments={"api_key": "none"}))
    question = Question(TEXT, granularity="sentence", method="KernelShap", value=SIMILARITY)
    told, drawn, _, files = list(playground.explain(question, "me"))[-1]
    assert told.startswith("Done.") and "the apple is red ." in drawn and files is not None
    assert Attribution.load(files[1]).counts.evaluations == 8 and server.came <= 9
    with pytest.raises(ValueError, match="does not return the log-probabilities"):
        list(playground.explain(Question(TEXT, granularity="sentence", method="KernelShap"), "me"))
    server.stop()


def test_bars_show_the_strongest_of_all_targets_and_escape_names() -> None:
    estimate = Estimate(torch.tensor([[1.0, -3.0], [1.0, -1.0]]), torch.full((2, 2), 0.1))
    drawn = bars(["<b>", "two"], estimate)
    assert drawn.index("two") < drawn.index("&lt;b&gt;") and "<b>" not in drawn and "−4.00" in drawn
    assert "±" not in bars(["a"], Estimate(torch.tensor([[1.0]])))
