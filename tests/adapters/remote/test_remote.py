"""Models behind a server: a real one on loopback, with the shipped model, that fails when told to."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from support.server import Server

from interpreto_mllm import (
    Attend,
    ExactShapley,
    Granularity,
    InferenceModes,
    KernelShap,
    Plan,
    RemoteModel,
    Replace,
    ResponseSimilarity,
    Template,
)
from interpreto_mllm.adapters.remote import RemoteError
from interpreto_mllm.similarity import Contextual, ExactMatch, Static, TfIdf

CHAT = [
    {"role": "system", "content": "answer the question ."},
    {"role": "user", "content": "the apple is red . the sky is blue ."},
    {"role": "assistant", "content": "ok ."},
    {"role": "user", "content": "what is the apple ?"},
]
MODE = ResponseSimilarity(similarity=ExactMatch(), generate={"max_new_tokens": 4})
OPTIONS: dict[str, Any] = {"inference_mode": MODE, "progress": False}


@pytest.fixture
def server(recall: Any) -> Iterator[Server]:
    served = Server(*recall)
    yield served
    served.stop()


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries without waiting between them."""
    monkeypatch.setattr("interpreto_mllm.adapters.remote.requests.FIRST_DELAY", 0.01)
    monkeypatch.setattr("interpreto_mllm.adapters.remote.requests.LONGEST_DELAY", 0.02)


@pytest.mark.parametrize("granularity", [Granularity.SENTENCE, Granularity.TURN])
def test_a_chat_is_worth_what_it_is_worth_locally(server: Server, recall: Any, granularity: Granularity) -> None:
    options = {**OPTIONS, "granularity": granularity, "roles": ("user", "assistant")}
    [there] = ExactShapley(RemoteModel(server.url, "recall"), **options)(CHAT)
    [here] = ExactShapley(*recall, **options)(CHAT)
    assert there.responses is not None and here.responses is not None
    assert there.responses.texts == here.responses.texts
    assert len(set(there.responses.texts)) > 1
    torch.testing.assert_close(there.values, here.values)
    torch.testing.assert_close(there.attributions, here.attributions)
    assert [(f.text, f.role, f.turn) for f in there.features] == [(f.text, f.role, f.turn) for f in here.features]
    assert (there.counts.forwards, there.counts.tokens) == (len(there.coalitions) - 1, 11 * (len(there.coalitions) - 1))
    assert all(feature.text == there.text[slice(*feature.spans[0])] for feature in there.features)


@pytest.mark.parametrize("route", ["chat", "completion"])
def test_words_of_a_text_are_left_out_with_their_space(server: Server, recall: Any, route: Any) -> None:
    prompt = "the apple is red . what is the apple ?"
    remote = RemoteModel(server.url, "recall", route=route)
    [there] = KernelShap(remote, pinned=["?"], budget=40, **OPTIONS)(prompt)
    local = prompt if route == "completion" else [{"role": "user", "content": prompt}]
    [here] = KernelShap(*recall, pinned=["?"], budget=40, **OPTIONS)(local)
    torch.testing.assert_close(there.values, here.values)
    torch.testing.assert_close(there.attributions, here.attributions)
    sent = [body["prompt"] if route == "completion" else body["messages"][0]["content"] for body in server.asked]
    assert {prompt, "?"} <= set(sent) and not any(one.startswith(" ") for one in sent)
    words = set(prompt.split())
    assert all(set(text.split()) <= words for text in sent)


def test_without_the_users_words_an_empty_turn_is_sent(server: Server) -> None:
    [result] = ExactShapley(RemoteModel(server.url, "recall"), granularity=Granularity.SENTENCE, **OPTIONS)(
        "the apple is red ."
    )
    assert result.n == 1
    assert [{"role": "user", "content": ""}] in [body["messages"] for body in server.asked]


def test_replacements_and_templates_are_sent_as_written(server: Server) -> None:
    remote = RemoteModel(server.url, "recall")
    ExactShapley(remote, occlusion=Replace(" nothing"), **OPTIONS)("the sky", "x")
    template = Template("the {a} is {b}", {"a": "sky", "b": "blue"}, {"a": "sea", "b": "red"})
    ExactShapley(remote, **OPTIONS)(template, "x")
    sent = {body["messages"][0]["content"] for body in server.asked}
    assert sent == {
        *("the sky", " nothing sky", "the nothing", " nothing nothing"),
        *("the sky is blue", "the sea is blue", "the sky is red", "the sea is red"),
    }


def test_drawn_answers_carry_a_seed_each(server: Server) -> None:
    mode = ResponseSimilarity(
        similarity=TfIdf(), generate={"max_new_tokens": 2, "do_sample": True, "temperature": 3.0}, repeats=3
    )
    remote = RemoteModel(server.url, "recall")
    options = {"inference_mode": mode, "granularity": Granularity.SENTENCE, "progress": False}
    first, again, other = (
        ExactShapley(remote, seed=seed, **options)("the apple is red . what is the apple ?")[0] for seed in (1, 1, 2)
    )
    assert first.responses is not None and again.responses is not None and other.responses is not None
    assert first.responses.answers == again.responses.answers != other.responses.answers
    assert len({body["seed"] for body in server.asked if "seed" in body}) == 2 * 4 * 3
    assert first.standard_errors is not None and (first.standard_errors > 0).any()


@pytest.mark.parametrize("faults", [[429, 429, 500, "cut", 503], ["cut", 408, 409, "cut"], [500] * 4])
@pytest.mark.usefixtures("fast")
def test_what_passes_is_tried_again(server: Server, faults: list[Any]) -> None:
    server.faults = list(faults)
    [result] = ExactShapley(RemoteModel(server.url, "recall"), granularity=Granularity.SENTENCE, **OPTIONS)(CHAT)
    assert not server.faults
    assert len(server.asked) == len({json.dumps(body) for body in server.asked}) == 8
    assert result.full.item() == 1


@pytest.mark.usefixtures("fast")
def test_a_killed_server_costs_nothing_that_was_paid(server: Server, recall: Any) -> None:
    prompt = "the apple is red . what is the apple ?"
    remote = RemoteModel(server.url, "recall", retries=1, concurrency=4)
    explainer = KernelShap(remote, budget=60, **OPTIONS)
    server.dies_after = 25
    with pytest.raises(RemoteError, match="gave no answer"):
        explainer(prompt, "red")
    server.stop()
    with pytest.raises(RemoteError, match="gave no answer"):
        KernelShap(remote, budget=60, **OPTIONS)(prompt, "red")
    assert explainer.unfinished is not None
    [unfinished] = explainer.unfinished
    paid = [json.dumps(body) for body in server.asked]
    assert len(unfinished.coalitions) >= 25
    server.dies_after = None
    server.start()
    [resumed] = explainer(prompt, "red", evaluations=explainer.unfinished)
    all_paid = [json.dumps(body) for body in server.asked]
    assert len(all_paid) == len(set(all_paid)) > len(paid)
    [whole] = KernelShap(*recall, budget=60, **OPTIONS)([{"role": "user", "content": prompt}], "red")
    torch.testing.assert_close(resumed.attributions, whole.attributions)


@pytest.mark.usefixtures("fast")
def test_what_is_refused_is_told_without_the_key(server: Server, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    secret = "sk-very-secret-0123456789"
    remote = RemoteModel(server.url, "recall", api_key=secret)
    explainer = ExactShapley(remote, granularity=Granularity.SENTENCE, **OPTIONS)
    with caplog.at_level(logging.DEBUG):
        [result] = explainer("the apple is red . what is the apple ?")
        server.faults = [401]
        with pytest.raises(RemoteError, match="AuthenticationError") as caught:
            explainer("the apple is red . what is the apple ?")
    assert server.keys == {f"Bearer {secret}"}
    result.save(tmp_path / "result.json")
    result.to_html(tmp_path / "result.html")
    written = [(tmp_path / name).read_text(encoding="utf-8") for name in ("result.json", "result.html")]
    for text in (*written, str(caught.value), repr(remote), repr(result), caplog.text):
        assert secret not in text
    assert caught.value.__cause__ is None
    assert len(caplog.text) > 0


def test_requests_are_kept_in_flight() -> None:
    """Whoever keeps fewer than 64 under way waits in vain; only the empty and the full coalition are asked about first."""
    served = Server()
    try:
        remote = RemoteModel(served.url, "echo", concurrency=64)
        mode = ResponseSimilarity(similarity=TfIdf())
        explainer = KernelShap(remote, inference_mode=mode, budget=322, progress=False)
        served.hold(first=2, count=320, window=64)
        explainer(" ".join(f"w{index}" for index in range(30)), "0")
        assert served.came == 322
        assert not served.lonely
    finally:
        served.stop()


def test_a_plan_is_the_most_it_can_cost(server: Server, recall: Any) -> None:
    prompt = "the apple is red . what is the apple ?"
    remote = KernelShap(RemoteModel(server.url, "recall"), budget=50, **OPTIONS)
    length = -(-(len(prompt) + len("user") + 1) // 4)
    assert remote.plan([prompt, prompt]) == Plan(100, 100, 100 * length, 400)
    assert not server.asked
    assert remote.plan(prompt).cost(prompt=1e6, answer=0.0) == 50 * length
    local = KernelShap(*recall, budget=50, progress=False)
    [result] = local(prompt, "red")
    plan = local.plan(prompt)
    assert (plan.evaluations, plan.answer_tokens) == (50, 0)
    assert plan.prompt_tokens == 50 * len(recall[1].encode(prompt)) >= result.counts.tokens


def test_making_one_needs_no_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    mode = ResponseSimilarity(similarity=TfIdf())
    explainer = KernelShap(RemoteModel("http://localhost:1/v1", "x"), inference_mode=mode, progress=False)
    with pytest.raises(ImportError, match=r"interpreto_mllm\[remote\]"):
        explainer("a b")


def explain(inputs: Any = "a b", target: Any = "x", **options: Any) -> Any:
    return ExactShapley(RemoteModel("http://127.0.0.1:9/v1", "m"), **{**OPTIONS, **options})(inputs, target)


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: RemoteModel("localhost:8000", "m"), "base_url must be an address"),
        (lambda: RemoteModel("http://localhost", "m", concurrency=0), "concurrency and sampling_rate must be at least 1"),
        (lambda: RemoteModel("http://localhost", "m", route="responses"), "'chat' or 'completion'"),  # type: ignore[arg-type]
        (lambda: explain(inference_mode=InferenceModes.LOGITS), "gives no logits for logits"),
        (lambda: explain(inference_mode=lambda logits, targets: logits[..., 0]), "gives no logits for <lambda>"),
        (lambda: explain(inference_mode=InferenceModes.LOG_SOFTMAX, target=" "), "target is empty"),
        (lambda: explain(inference_mode=InferenceModes.SIMILARITY), "Static needs the weights of the model"),
        (lambda: explain(inference_mode=ResponseSimilarity(Static())), "Static needs the weights of the model"),
        (
            lambda: explain(inference_mode=ResponseSimilarity(Contextual("m", "t", after_prompt=True))),
            "after the prompt needs the weights of the model",
        ),
        (lambda: explain(granularity=Granularity.TOKEN), "Only the server knows"),
        (lambda: explain(occlusion=Attend()), "cannot be masked on a server"),
        (lambda: explain(occlusion=Replace()), "no mask token"),
        (lambda: explain(generate={"num_beams": 2}), "max_new_tokens, do_sample"),
        (lambda: explain(inputs=""), "prompt is empty"),
        (lambda: explain(inputs=[{"role": "user", "content": [{"type": "text"}]}]), "needs a text under 'content'"),
        (lambda: explain(inputs=[{"role": "assistant", "content": "a"}]), "ends with an assistant message"),
        (lambda: explain(inputs=[{"role": "system", "content": "a"}]), "No message has a role to explain"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_asking(make: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()


def test_ids_mean_nothing_to_a_server(recall: Any) -> None:
    with pytest.raises(TypeError, match="only the server knows its token ids"):
        explain(inputs=recall[1]("a b"))
    with pytest.raises(TypeError, match="a text, a Contrast of texts or None"):
        explain(target=[1, 2])
    with pytest.raises(TypeError, match="use RemoteModel"):
        ExactShapley(RemoteModel("http://127.0.0.1:9/v1", "m", route="completion"), **OPTIONS)(CHAT)
