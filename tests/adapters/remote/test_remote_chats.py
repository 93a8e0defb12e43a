"""Tools, documents, calls and thoughts reach a server in the protocol's own fields, and what is absent of them does not."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from support.chat_templates import asked, clock, weather
from support.server import Server

from interpreto_mllm import Chat, Drop, ExactShapley, Granularity, InferenceModes, RemoteModel
from interpreto_mllm.adapters.remote.messages import prompt_arguments
from interpreto_mllm.adapters.remote.reader import RemoteProcessing, RemoteReader
from interpreto_mllm.prompts.prompt import Prompt

EVERYONE = ("system", "user", "assistant", "tool", "tools", "documents")
REMOTE = RemoteModel("http://localhost:1/v1", "m")
DOCUMENTS = [{"id": "a", "title": "Sky", "text": "Wet. Dry."}, "Cold."]
CHAT = Chat(
    [*asked(content=None, reasoning_content="Hm. Look."), {"role": "assistant", "content": "It"}],
    tools=[weather, clock],
    documents=DOCUMENTS,
    template={"enable_thinking": False},
    continue_final_message=True,
)


def read(chat: Any, granularity: Any = Granularity.TURN, roles: Any = EVERYONE) -> Prompt:
    [prompt] = RemoteReader(RemoteProcessing.of(REMOTE), granularity, Drop(), roles, (), None).read(chat)
    return prompt


def sent(prompt: Prompt, *absent: str | None) -> dict[str, Any]:
    """What is asked for without the features that are called so."""
    present = torch.tensor([[feature.name not in absent for feature in prompt.features]])
    assert int((~present).sum()) == len(absent)
    [[model_input]] = prompt.inputs_for(present)
    return prompt_arguments(model_input, "chat")


def described(tool: dict[str, Any]) -> tuple[str, dict[str, str], list[str]]:
    parameters = tool["function"]["parameters"]
    each = {name: one["description"] for name, one in parameters["properties"].items()}
    return tool["function"]["description"], each, parameters["required"]


def test_everything_is_sent_in_the_fields_of_the_protocol() -> None:
    arguments = json.dumps({"city": 'Oslo "N"', "days": 3})
    call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": arguments}}
    assert sent(read(CHAT)) == {
        "messages": [
            {"role": "system", "content": "Be kind. Be brief."},
            {"role": "user", "content": "Oslo ?"},
            {"role": "assistant", "content": None, "reasoning_content": "Hm. Look.", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "content": "Rain. And wind."},
            {"role": "user", "content": "So ?"},
            {"role": "assistant", "content": "It"},
        ],
        "tools": CHAT.tools,
        "extra_body": {
            "documents": [DOCUMENTS[0], {"text": "Cold."}],
            "chat_template_kwargs": {"enable_thinking": False},
            "continue_final_message": True,
            "add_generation_prompt": False,
        },
    }


def test_what_is_absent_is_not_sent_and_what_names_something_that_is_there_stays() -> None:
    prompt = read(CHAT, Granularity.SENTENCE)
    names = [feature.name for feature in prompt.features]
    assert not any("name" in name for name in names)
    told = sent(
        prompt,
        "tool weather · sentence 2: It is quick.",
        "tool weather · parameter city: city: Where: a city.",
        "document a · title: Sky",
        "document 2: Cold.",
        'call: weather · argument city: city: Oslo "N"',
        "tool result: weather · sentence 1: Rain.",
    )
    first, second = told["tools"]
    assert described(first) == ('What the weather "now" is like.', {"days": "How many days."}, [])
    assert described(second) == ("What time it is.", {"zone": "The zone."}, ["zone"])
    assert told["extra_body"]["documents"] == [{"id": "a", "title": "", "text": "Wet. Dry."}]
    assert told["messages"][2]["tool_calls"][0]["function"] == {"name": "weather", "arguments": '{"days": 3}'}
    assert told["messages"][3]["content"] == "And wind."


@pytest.mark.parametrize("granularity", [Granularity.TURN, Granularity.SENTENCE, Granularity.WORD], ids=lambda one: one.name)
def test_without_anything_the_request_is_as_the_protocol_wants_it(granularity: Granularity) -> None:
    prompt = read(CHAT, granularity)
    [[nothing]] = prompt.inputs_for(torch.zeros(1, len(prompt.features), dtype=torch.bool))
    told = prompt_arguments(nothing, "chat")
    assert "tools" not in told and "documents" not in told["extra_body"]
    assert "reasoning_content" not in told["messages"][2]
    assert told["messages"][2]["tool_calls"][0]["function"] == {"name": "weather", "arguments": "{}"}
    assert [message["content"] for message in told["messages"]] == ["", "", None, "", "", ""]


def test_calls_without_ids_and_tools_that_only_have_a_name_are_sent_as_the_protocol_has_them() -> None:
    call = {"function": {"name": "clock", "arguments": {}}}
    turns = [{"role": "assistant", "content": None, "tool_calls": [call, call]}, *[{"role": "tool", "content": "1"}] * 2]
    prompt = read(Chat([*turns, {"role": "user", "content": "So ?"}], tools=[{"name": "clock"}]), Granularity.WORD)
    told = sent(prompt, "tool clock · name: clock")
    assert "tools" not in told
    assert [one["id"] for one in told["messages"][0]["tool_calls"]] == ["call_0", "call_1"]
    assert [one.get("tool_call_id") for one in told["messages"][1:]] == ["call_0", "call_1", None]


TEMPLATE = (
    "{% for d in documents or [] %}{{ '<|user|>\n' ~ d.text ~ '<|end|>\n' }}{% endfor %}"
    "{% for m in messages %}{{ '<|' ~ m.role ~ '|>\n' ~ m.content ~ '<|end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
)


@pytest.fixture
def told_server(recall: Any) -> Iterator[tuple[Server, Any, Any]]:
    model, tokenizer = recall
    before, tokenizer.chat_template = tokenizer.chat_template, TEMPLATE
    served = Server(model, tokenizer)
    served.offers = {"prompt_logprobs"}
    yield served, model, tokenizer
    served.stop()
    tokenizer.chat_template = before


@pytest.mark.parametrize("prefilled", [False, True])
def test_a_served_chat_is_worth_what_it_is_locally(told_server: tuple[Server, Any, Any], prefilled: bool) -> None:
    """A document of which nothing is present is not listed, here and there."""
    served, model, tokenizer = told_server
    turns = [
        {"role": "user", "content": "what is the apple ?"},
        *[{"role": "assistant", "content": "the apple is"}] * prefilled,
    ]
    documents = [{"id": "market", "text": "the apple is red ."}, {"id": "sea", "text": "the sky is blue ."}]
    chat = Chat(turns, documents=documents, continue_final_message=prefilled)
    options: dict[str, Any] = {"granularity": Granularity.TURN, "roles": ("documents", "user"), "progress": False}
    here = ExactShapley(model, tokenizer, inference_mode=InferenceModes.LOG_SOFTMAX, **options).game(chat, " red")
    there = ExactShapley(RemoteModel(served.url, "m"), inference_mode=InferenceModes.LOG_SOFTMAX, **options).game(chat, " red")
    rows = torch.tensor([*itertools.product([True, False], repeat=here.n)])
    assert [one.name for one in here.features] == [one.name for one in there.features]
    assert torch.allclose(here(rows).sum(1), there(rows).sum(1).to(torch.float32), atol=1e-4)
