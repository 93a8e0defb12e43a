"""Calls of tools on servers: scored as the server's template writes them, or compared with the calls that it makes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from support import tiny_llama
from support.call_templates import QWEN, WRITTEN
from support.misbehaving import Told, choice, misbehaving
from support.server import Server

from interpreto_mllm import Contrast, ExactShapley, Granularity, KernelShap, RemoteModel, ResponseSimilarity, ToolCall
from interpreto_mllm.similarity import SameCall, TfIdf

CHAT = [{"role": "system", "content": "answer the question ."}, {"role": "user", "content": "the sky is blue . what is it ?"}]
OSLO = ToolCall("weather", {"city": "Oslo", "days": 3})
OPTIONS: dict[str, Any] = {"progress": False, "granularity": Granularity.SENTENCE, "roles": ("system", "user")}


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Any:
    model, tokenizer = tiny_llama.make(tmp_path_factory.mktemp("llama"))
    tokenizer.chat_template = QWEN
    return model, tokenizer


@pytest.fixture
def server(llama: Any) -> Iterator[Server]:
    served = Server(*llama)
    served.offers = {"prompt_logprobs"}
    yield served
    served.stop()


@pytest.mark.parametrize(
    "call",
    [
        OSLO,
        pytest.param(ToolCall("weather"), marks=pytest.mark.thorough),
        Contrast(ToolCall("weather", OSLO.arguments, argument="city"), ToolCall("clock")),
    ],
    ids=["call", "name", "choice"],
)
def test_a_call_is_as_likely_as_locally(server: Server, llama: Any, call: Any) -> None:
    there = ExactShapley(RemoteModel(server.url, "m"), **OPTIONS).game(CHAT, call)
    here = ExactShapley(*llama, **OPTIONS).game(CHAT, call)
    assert there.question.labels == here.question.labels
    rows = torch.tensor([[True, True, True], [False, True, False], [True, True, False]])  # none begins with a blank
    torch.testing.assert_close(there(rows).double(), here(rows).double(), rtol=0, atol=1e-4)
    if call is OSLO:
        assert "".join(there.question.labels) == WRITTEN["Qwen"]


def test_tokens_without_white_space_do_not_tell_what_a_call_looks_like() -> None:
    def tell(number: int, path: str, body: dict[str, Any]) -> Told:
        words = " ".join(str(message["content"]) for message in body["messages"]).split()
        tokens = [None, *({"5": {"decoded_token": word, "logprob": -1.0}} for word in words)]
        return Told(choice("", True, prompt_logprobs=tokens))

    with misbehaving(tell) as served, pytest.raises(ValueError, match=r"without their white space.*SameCall"):
        KernelShap(RemoteModel(served.url, "m"), **OPTIONS).game(CHAT, OSLO)


def calling(number: int, path: str, body: dict[str, Any]) -> Told:
    """A call that needs both of the sentences of the user; another city, or no call, without one of them."""
    said = body["messages"][-1]["content"]
    if "what" not in said:
        return Told(choice("Well.", True))
    city = "Oslo" if "blue" in said else "Rome"
    call = {"type": "function", "id": "1", "function": {"name": "weather", "arguments": json.dumps({"days": 3, "city": city})}}
    reply = choice(None, True)
    reply["choices"][0]["message"]["tool_calls"] = [call]
    return Told(reply)


@pytest.mark.parametrize("target", [OSLO, ToolCall()], ids=["given", "own"])
def test_calls_that_a_server_makes_are_compared(target: ToolCall) -> None:
    with misbehaving(calling) as served:
        same = ResponseSimilarity(similarity=SameCall())
        [explanation] = ExactShapley(RemoteModel(served.url, "m"), inference_mode=same, **OPTIONS)(CHAT, target)
    present = explanation.coalitions
    expected = torch.where(present[:, 2], torch.where(present[:, 1], 1.0, 0.75), 0.0)
    assert explanation.values[:, 0].tolist() == expected.tolist()
    assert explanation.targets == ['weather({"city": "Oslo", "days": 3})']


def test_parts_of_a_call_are_compared_by_a_similarity_of_parts() -> None:
    city = ToolCall("weather", OSLO.arguments, argument="city")
    with misbehaving(calling) as served:
        remote = RemoteModel(served.url, "m")
        mode = ResponseSimilarity(similarity=SameCall(argument="city"))
        [explanation] = ExactShapley(remote, inference_mode=mode, **OPTIONS)(CHAT, city)
        assert explanation.values[:, 0].tolist() == (explanation.coalitions[:, 1] & explanation.coalitions[:, 2]).tolist()
        with pytest.raises(ValueError, match=r"use SameCall\(argument='city'\)"):
            ExactShapley(remote, inference_mode=ResponseSimilarity(similarity=SameCall()), **OPTIONS)(CHAT, city)
        with pytest.raises(ValueError, match="SameCall"):
            ExactShapley(remote, inference_mode=ResponseSimilarity(similarity=TfIdf()), **OPTIONS)(CHAT, city)


def test_a_call_is_no_target_of_the_completion_route() -> None:
    with pytest.raises(ValueError, match="completion route"):
        KernelShap(RemoteModel("http://127.0.0.1:1/v1", "m", route="completion"), progress=False)("the sky ?", OSLO)


def test_local_answers_are_compared_as_calls(llama: Any) -> None:
    same = ResponseSimilarity(similarity=SameCall(), generate={"max_new_tokens": 2})
    game = KernelShap(*llama, inference_mode=same, **OPTIONS).game(CHAT, OSLO)
    assert game.question.labels == [WRITTEN["Qwen"]]
    assert game(torch.ones(1, game.n, dtype=torch.bool)).tolist() == [[0.0]]  # this model calls nothing
