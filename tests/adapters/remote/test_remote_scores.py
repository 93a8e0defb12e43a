"""Given answers on a server: their log-probabilities, from a prompt's or an echo, are those of the model run locally."""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support import tiny_llama
from support.quick import each
from support.server import Server

from interpreto_mllm import (
    Attribution,
    Contrast,
    ExactShapley,
    Granularity,
    InferenceModes,
    KernelShap,
    Plan,
    RemoteModel,
    ResponseSimilarity,
)
from interpreto_mllm.adapters.remote import RemoteError
from interpreto_mllm.adapters.remote.alignment import align, merge
from interpreto_mllm.core.labels import joined
from interpreto_mllm.games.text_target import TextTarget
from interpreto_mllm.prompts.model_input import ModelInput
from interpreto_mllm.similarity import ExactMatch

CHAT = [
    {"role": "system", "content": "answer the question ."},
    {"role": "user", "content": "the apple is red . the sky is blue . what is the apple ?"},
]
PLAIN = "the apple is red . what is the apple ?"
OPTIONS: dict[str, Any] = {"progress": False, "granularity": Granularity.SENTENCE, "roles": ("system", "user")}
MODES = [InferenceModes.LOG_SOFTMAX, InferenceModes.SOFTMAX]
TOLERANCE = {"rtol": 0, "atol": 1e-5}


@pytest.fixture
def server(recall: Any) -> Iterator[Server]:
    served = Server(*recall)
    served.offers = {"prompt_logprobs", "echo", "logprobs"}
    yield served
    served.stop()


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return tiny_llama.make(tmp_path_factory.mktemp("llama"))


def same(there: Attribution, here: Attribution) -> None:
    torch.testing.assert_close(there.values.double(), here.values.double(), **TOLERANCE)
    torch.testing.assert_close(there.attributions.double(), here.attributions.double(), **TOLERANCE)
    assert [text.strip() for text in there.targets] == [text.strip() for text in here.targets]
    assert (there.unit, there.mode) == (here.unit, here.mode)


@pytest.mark.parametrize("mode", MODES)
def test_an_answer_in_a_chat_is_as_likely_as_locally(server: Server, recall: Any, mode: Any) -> None:
    [there] = ExactShapley(RemoteModel(server.url, "recall"), inference_mode=mode, **OPTIONS)(CHAT, "red .")
    [here] = ExactShapley(*recall, inference_mode=mode, **OPTIONS)(CHAT, "red .")
    assert there.attributions.shape == (2, 4)
    same(there, here)
    assert there.counts.forwards == 15, "the whole prompt was asked once, when the answer's tokens were"
    assert len(server.asked) == 17 == len({json.dumps(body) for body in server.asked}) + 1, (
        "one was asked twice, for comparison"
    )


@pytest.mark.parametrize("mode", [InferenceModes.MEAN_LOG_SOFTMAX, InferenceModes.PERPLEXITY])
def test_what_follows_from_log_probabilities_needs_no_logits(server: Server, recall: Any, mode: Any) -> None:
    options = {**OPTIONS, "inference_mode": mode, "rows": "answer"}
    [there] = ExactShapley(RemoteModel(server.url, "recall"), **options)(CHAT, "red .")
    [here] = ExactShapley(*recall, **options)(CHAT, "red .")
    torch.testing.assert_close(there.values.double(), here.values.double(), rtol=1e-4, atol=1e-5)
    assert there.t == here.t == 1 and there.tokens().t == 2


@pytest.mark.parametrize("offers", [{"prompt_logprobs"}, {"echo", "logprobs"}])
@pytest.mark.parametrize("mode", each(MODES, MODES[:1]))
def test_an_answer_to_a_text_is_as_likely_as_locally(server: Server, recall: Any, mode: Any, offers: set[str]) -> None:
    server.offers = offers
    remote = RemoteModel(server.url, "recall", route="completion")
    options = {"inference_mode": mode, "progress": False, "pinned": ["?"], "budget": 30}
    targets = [" red .", Contrast(" red", " blue"), " blue"]
    [there] = KernelShap(remote, **options)(PLAIN, targets)
    asked = [json.dumps(body) for body in server.asked]
    assert asked[0] == asked[1], "the first is asked twice, for comparison"
    assert len(asked[1:]) == len(set(asked)), "an answer in several targets is asked for once"
    [here] = KernelShap(*recall, **options)(PLAIN, targets)
    same(there, here)


@pytest.mark.parametrize("offers", [{"prompt_logprobs"}, {"echo", "logprobs"}])
def test_tokens_within_words_have_a_row_each(llama: Any, offers: set[str]) -> None:
    served = Server(*llama)
    served.offers = offers
    try:
        remote = RemoteModel(served.url, "tiny", route="completion")
        options = {"progress": False, "pinned": [0], "granularity": Granularity.WORD}
        [there] = ExactShapley(remote, **options)("the sky is blue", " greenish zoo")
        [here] = ExactShapley(*llama, **options)("the sky is blue", " greenish zoo")
        assert there.targets == here.targets and len(there.targets) > 4
        same(there, here)
        [there] = ExactShapley(remote, **options)("the sky is blue", " é🙂.")
        [here] = ExactShapley(*llama, **options)("the sky is blue", " é🙂.")
        torch.testing.assert_close(there.values, here.values.double(), **TOLERANCE)
    finally:
        served.stop()


@pytest.mark.parametrize("route", ["chat", "completion"])
def test_without_a_target_the_models_own_answer_is_scored(server: Server, recall: Any, route: Any) -> None:
    prompt = PLAIN if route == "completion" else CHAT
    options = {**OPTIONS, "granularity": Granularity.WORD, "pinned": ["?"], "budget": 12, "generate": {"max_new_tokens": 4}}
    [there] = KernelShap(RemoteModel(server.url, "recall", route=route), **options)(prompt)
    [here] = KernelShap(*recall, **options)(prompt)
    same(there, here)
    assert server.asked[0]["max_tokens"] == 4


@pytest.mark.parametrize("route, lacking", [("chat", "prompt log-probabilities"), ("completion", "echo their prompt")])
def test_a_server_without_them_is_told_apart_at_once(server: Server, route: Any, lacking: str) -> None:
    server.offers = set()
    remote = RemoteModel(server.url, "recall", route=route)
    with pytest.raises(ValueError, match=lacking) as caught:
        ExactShapley(remote, **OPTIONS)(PLAIN if route == "completion" else CHAT, "red")
    assert "ResponseSimilarity(similarity=TfIdf())" in str(caught.value) and "Unexpected fields" in str(caught.value)
    assert not server.asked


def test_a_refusal_is_told_without_the_key(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    secret = "sk-very-secret-0123456789"
    server.faults = [422]
    with caplog.at_level(logging.DEBUG), pytest.raises(ValueError, match=r'^"no, Bearer …", says .* does not return') as caught:
        ExactShapley(RemoteModel(server.url, "recall", api_key=secret), **OPTIONS)(CHAT, "red")
    assert server.keys == {f"Bearer {secret}"} and caplog.text
    assert secret not in str(caught.value) + caplog.text
    assert caught.value.__cause__ is None and caught.value.__context__ is None


def test_a_server_that_shifts_its_echo_is_not_believed(server: Server) -> None:
    server.offers, server.shifted = {"echo", "logprobs"}, True
    with pytest.raises(ValueError, match=r"does not return the log-probabilities of a given answer: .* writes no BOS token"):
        ExactShapley(RemoteModel(server.url, "recall", route="completion"), **OPTIONS)(PLAIN, " red")


def test_the_way_is_found_once_and_an_outage_is_no_lack(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interpreto_mllm.adapters.remote.requests.FIRST_DELAY", 0.01)
    monkeypatch.setattr("interpreto_mllm.adapters.remote.requests.LONGEST_DELAY", 0.02)
    explainer = ExactShapley(RemoteModel(server.url, "recall", retries=1), **OPTIONS)
    server.faults = [401]
    with pytest.raises(RemoteError, match="AuthenticationError"):
        explainer(CHAT, "red")
    server.faults = [429, 500, "cut"]
    with pytest.raises(ValueError, match="no, "):  # a status of 500 after all retries may be how arguments are refused
        explainer(CHAT, "red")
    server.faults = ["cut"]
    explainer(CHAT, "red")
    before = len(server.asked)
    explainer(CHAT, "blue")
    assert len(server.asked) == before + 16


def test_a_killed_server_costs_nothing_that_was_paid(server: Server, recall: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interpreto_mllm.adapters.remote.requests.FIRST_DELAY", 0.01)
    options = {"budget": 40, "progress": False}
    explainer = KernelShap(RemoteModel(server.url, "recall", retries=0, concurrency=4), **options)
    server.dies_after = 15
    prompt = [{"role": "user", "content": PLAIN}]
    with pytest.raises(RemoteError, match="gave no answer"):
        explainer(prompt, "red")
    server.stop()
    server.dies_after = None
    server.start()
    [resumed] = explainer(prompt, "red", evaluations=explainer.unfinished)
    paid = [json.dumps(body) for body in server.asked]
    assert len(paid) == len(set(paid)) + 2, "the whole prompt twice at first, and once more to learn the answer's tokens"
    [whole] = KernelShap(*recall, **options)(prompt, "red")
    same(resumed, whole)


def test_a_plan_counts_one_token_said(server: Server) -> None:
    plan = ExactShapley(RemoteModel(server.url, "recall"), **OPTIONS).plan(PLAIN)
    assert plan == Plan(4, 4, 4 * 11, 4)


def test_answers_come_with_their_own_log_probability_where_asked(server: Server, recall: Any, tmp_path: Path) -> None:
    model, tokenizer = recall
    mode = ResponseSimilarity(similarity=ExactMatch(), generate={"max_new_tokens": 3, "logprobs": True})
    options = {"inference_mode": mode, "progress": False, "granularity": Granularity.SENTENCE}
    for route in ("chat", "completion"):
        remote = RemoteModel(server.url, "recall", route=route)
        [result] = ExactShapley(remote, pinned=[1], **options)(PLAIN)
        assert result.responses is not None
        for coalition, (answer,) in zip(result.coalitions.tolist(), result.responses.answers, strict=True):
            text = PLAIN if coalition[0] else PLAIN.partition(".")[2]
            chat = tokenizer.apply_chat_template(
                [{"role": "user", "content": text}], add_generation_prompt=True, tokenize=False
            )
            ids = tokenizer(
                chat if route == "chat" else text, add_special_tokens=route == "completion", return_tensors="pt"
            ).input_ids
            said = model.generate(ids, max_new_tokens=3, output_scores=True, return_dict_in_generate=True, do_sample=False)
            sure = [scores.log_softmax(-1).max().item() for scores in said.scores]
            assert answer.log_probability == pytest.approx(sum(sure), abs=1e-4)
        result.save(tmp_path / "answers.json")
        again = Attribution.load(tmp_path / "answers.json")
        assert again.responses is not None and again.responses.answers == result.responses.answers
        result.to_html(tmp_path / "answers.html")
        assert "(log p " in (tmp_path / "answers.html").read_text(encoding="utf-8")


def test_any_cut_of_an_answer_into_tokens_is_aligned_and_joined() -> None:
    draw = random.Random(0)
    for _ in range(300):
        answer = "".join(draw.choice("ab 🙂\n") for _ in range(draw.randint(1, 9))) + "."
        before = "".join(draw.choice("ab ") for _ in range(6))
        whole = before + answer
        cuts = sorted({0, len(whole), *draw.sample(range(1, len(whole)), k=min(4, len(whole) - 1))})
        told: list[tuple[str, float | None]] = [(whole[start:end], draw.uniform(-5, 0)) for start, end in pairwise(cuts)]
        mine = [(end - len(before), value) for end, (_, value) in zip(cuts[1:], told, strict=True) if end > len(before)]
        assert align(told, answer) == mine
        bare = [("".join(text.split()), value) for text, value in told]
        if all(text for text, _ in bare) and not answer[0].isspace():
            assert sum(value for _, value in align(bare, answer)) == pytest.approx(sum(value for _, value in mine))
        ends = sorted({len(answer), draw.randint(1, len(answer))})
        sums = merge(mine, ends)
        assert sum(sums) == pytest.approx(sum(value for _, value in mine))
        assert sums[0] == pytest.approx(sum(value for end, value in mine if end <= ends[0]))


@pytest.mark.parametrize(
    "told, words",
    [([("is", -1.0), (" blue", -2.0)], "do not spell the answer"), ([(" red", None)], "first token of a text no probability")],
)
def test_tokens_that_cannot_be_used_are_told(told: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        align(told, " red")


@pytest.mark.parametrize(
    "told, answer, ends",
    [
        (["is", "\ufffd", "\ufffd", "\ufffd"], "你", [0, 0, 1]),
        (["is", " \ufffd", "\ufffd", "b"], " 你b", [1, 2, 3]),
        (["is", " ", "\ufffd", "\ufffd", "\ufffd好", "."], " 你好.", [1, 1, 1, 3, 4]),
        (["is ", "bytes:\\xf0\\x9f", "bytes:\\x98\\x8d"], "😍", [0, 1]),
        (["is", " ", "<0xD0>", "<0x9F>", "p"], " Пp", [1, 1, 2, 3]),
        (["is", "", "", "你"], "你", [0, 0, 1]),
    ],
)
def test_bytes_of_characters_are_aligned_and_labelled(told: list[str], answer: str, ends: list[int]) -> None:
    values = [-float(place) for place in range(len(told))]
    aligned = align(list(zip(told, values, strict=True)), answer)
    assert aligned == list(zip(ends, values[-len(ends) :], strict=True))
    names = TextTarget(answer, tuple(ends), ModelInput(np.zeros(0, dtype=np.int64)), ()).labels
    assert all(names) and "\ufffd" not in "".join(names)
    assert joined(names) == answer


def test_bytes_on_both_sides_of_the_answers_start_are_refused() -> None:
    with pytest.raises(ValueError, match="not clear which of them begin the answer"):
        align([("\ufffd", -1.0), ("\ufffd", -1.0), ("\ufffd", -1.0)], "你", "好")


def test_bytes_of_a_character_stay_apart_or_are_refused() -> None:
    assert merge([(1, -1.0), (1, -2.0), (2, -3.0)], [1, 2]) == [-1.0, -5.0]
    assert merge([(1, -1.0), (2, -1.5), (2, -2.0), (3, -3.0)], [2, 2, 3]) == [-2.5, -2.0, -3.0]
    with pytest.raises(ValueError, match="cuts the answer's first character into other bytes"):
        merge([(1, -1.0), (2, -2.0)], [0, 1, 2])
