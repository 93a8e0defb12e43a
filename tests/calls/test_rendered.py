"""Calls as chat templates write them, in place of the model's answer."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import regex
from support import chat_templates, zoo
from support.call_templates import DEEPSEEK, LLAMA, QWEN, TEMPLATES, WRITTEN
from support.quick import each

from interpreto_mllm import Chat, Contrast, ExactShapley, Granularity, KernelShap, ToolCall
from interpreto_mllm.adapters.base import OwnAnswer
from interpreto_mllm.adapters.calls import opens_thoughts
from interpreto_mllm.adapters.calls import renderer as renderer_of
from interpreto_mllm.adapters.causal import CausalAdapter
from interpreto_mllm.calls.own import own_call
from interpreto_mllm.calls.parse import calls_in
from interpreto_mllm.calls.rendered import rendered_call
from interpreto_mllm.prompts.conversation import Conversation
from interpreto_mllm.prompts.processing import Processing

CHAT = [{"role": "user", "content": "the sky of Oslo ?"}]
OSLO = ToolCall("weather", {"city": "Oslo", "days": 3})


@pytest.fixture(scope="module")
def llama() -> Any:
    return zoo.build("llama"), zoo.byte_bpe()


def renderer(template: str) -> Any:
    tokenizer = zoo.byte_bpe()
    tokenizer.chat_template = template
    return lambda more, answered: tokenizer.apply_chat_template([*CHAT, *more], tokenize=False, add_generation_prompt=answered)


@pytest.mark.parametrize("name", TEMPLATES)
def test_templates_write_the_call_and_its_parts_are_found(name):
    render = renderer(TEMPLATES[name])
    written = rendered_call(OSLO, render, opens_thoughts)
    assert written.text == WRITTEN[name] and written.span == (0, len(written.text))
    for call, piece in {
        ToolCall("weather"): "weather",
        ToolCall("weather", OSLO.arguments, part="name"): "weather",
        ToolCall("weather", OSLO.arguments, argument="city"): "Oslo",
        ToolCall("weather", OSLO.arguments, argument="days"): "3",
    }.items():
        found = rendered_call(call, render, opens_thoughts)
        assert found.text[slice(*found.span)] == piece
        assert found.text[: found.span[0]] == written.text[: found.span[0]]


@pytest.mark.parametrize("name", ["qwen", "granite", "harmony"])
def test_templates_as_models_have_them_write_calls_after_tools(name):
    tokenizer = zoo.byte_bpe()
    tokenizer.chat_template = chat_templates.TEMPLATES[name]
    chat = Conversation.of(Chat(CHAT, tools=[chat_templates.weather, chat_templates.clock]), [])
    render = renderer_of(OSLO, chat, Processing(tokenizer, None))
    written = rendered_call(OSLO, render, opens_thoughts)
    [call] = calls_in(written.text)  # what it writes is read again, empty thoughts aside
    assert (call.name, call.arguments) == ("weather", OSLO.given) and written.span == (call.span[0], len(written.text))
    city = rendered_call(ToolCall("weather", OSLO.given, argument="city"), render, opens_thoughts)
    assert city.span == call.argument_spans["city"]


def test_arguments_are_found_in_their_escaped_form():
    call = ToolCall("ask", {"q": 'say "hi"\n', "z": {"a": [1]}, "w": "weather"}, argument="q")
    found = rendered_call(call, renderer(QWEN), opens_thoughts)
    assert found.text[slice(*found.span)] == 'say \\"hi\\"\\n'
    nested = rendered_call(ToolCall("ask", call.given, argument="z"), renderer(QWEN), opens_thoughts)
    assert nested.text[slice(*nested.span)] == '{"a": [1]}'


def test_a_call_among_thoughts_is_refused():
    opened = TEMPLATES["DeepSeek"].replace("<｜Assistant｜>{% endif %}", "<｜Assistant｜><think>\n{% endif %}")
    with pytest.raises(ValueError, match=r"thoughts begin.*enable_thinking"):
        rendered_call(OSLO, renderer(opened), opens_thoughts)
    assert rendered_call(OSLO, renderer(TEMPLATES["Qwen 3"]), opens_thoughts).text == WRITTEN["Qwen 3"]


def test_a_template_without_calls_is_refused():
    template = "{% for m in messages %}{{ m.role }}: {{ m.content or '' }}\n{% endfor %}assistant:"
    with pytest.raises(ValueError, match="does not write tool calls"):
        rendered_call(OSLO, renderer(template), opens_thoughts)


def test_arguments_given_as_json_are_read_and_bad_ones_refused():
    assert ToolCall("weather", '{"city": "Oslo"}').given == {"city": "Oslo"}
    with pytest.raises(ValueError, match="do not parse as JSON"):
        ToolCall("weather", '{"city": "Oslo"')
    with pytest.raises(TypeError, match="mapping"):
        ToolCall("weather", "[1]")
    with pytest.raises(ValueError, match="'city', 'days'"):
        ToolCall("weather", OSLO.arguments, argument="town")
    with pytest.raises(ValueError, match="part="):
        ToolCall("weather", OSLO.arguments, argument="city", part="name")
    with pytest.raises(ValueError, match="'call' or 'name'"):
        ToolCall("weather", part="city")
    with pytest.raises(ValueError, match="own"):
        ToolCall(arguments={"a": 1})
    with pytest.raises(TypeError, match="name"):
        ToolCall("")


def test_an_own_call_is_read_from_the_answer():
    answer = f"Yes. {WRITTEN['Qwen']}"
    assert answer[slice(*own_call(ToolCall(), answer).span)] == WRITTEN["Qwen"]
    assert answer[slice(*own_call(ToolCall(part="name"), answer).span)] == "weather"
    assert answer[slice(*own_call(ToolCall(argument="city"), answer).span)] == "Oslo"
    with pytest.raises(ValueError, match="'city', 'days'"):
        own_call(ToolCall(argument="town"), answer)
    with pytest.raises(ValueError, match="no tool call"):
        own_call(ToolCall(), "It rains.")


def test_a_call_is_scored_token_by_token_after_what_stands_before(llama: Any) -> None:
    model, tokenizer = llama
    tokenizer.chat_template = QWEN
    explainer = ExactShapley(model, tokenizer)
    [whole] = explainer(CHAT, OSLO)
    [text] = explainer(CHAT, WRITTEN["Qwen"])
    assert "".join(whole.targets) == WRITTEN["Qwen"]
    assert whole.values.equal(text.values)
    [city] = explainer(CHAT, ToolCall("weather", OSLO.given, argument="city"))
    start = "".join(whole.targets).index("Oslo")
    reached = [len("".join(whole.targets[:index])) for index in range(whole.t + 1)]
    rows = [row for row in range(whole.t) if reached[row] < start + 4 and reached[row + 1] > start]
    assert city.targets == [whole.targets[row] for row in rows] and city.values.equal(whole.values[:, rows])


def test_two_calls_are_contrasted(llama: Any) -> None:
    model, tokenizer = llama
    tokenizer.chat_template = QWEN
    rome = ToolCall("weather", {"city": "Rome", "days": 3})
    explainer = KernelShap(model, tokenizer, budget=16)
    [both] = explainer(CHAT, Contrast(OSLO, rome))
    [one] = explainer(CHAT, OSLO)
    [other] = explainer(CHAT, rome)
    assert both.unit == "contrast" and "Oslo" in both.targets[0] and "Rome" in both.targets[0]
    assert both.values[:, 0].tolist() == pytest.approx((one.values.sum(1) - other.values.sum(1)).tolist(), abs=1e-3)


def test_calls_after_a_plain_prompt_and_own_calls_that_are_none_are_refused(llama: Any) -> None:
    model, tokenizer = llama
    tokenizer.chat_template = QWEN
    with pytest.raises(ValueError, match="no chat"):
        KernelShap(model, tokenizer, budget=16)("the sky ?", OSLO)
    with pytest.raises(ValueError, match="no tool call"):
        KernelShap(model, tokenizer, budget=16, generate={"max_new_tokens": 3})(CHAT, ToolCall())


def test_the_call_follows_tools_documents_and_template_arguments(llama: Any) -> None:
    model, tokenizer = llama
    tokenizer.chat_template = "{% for t in tools or [] %}{{ t | tojson }}\n{% endfor %}{{ tone }}" + QWEN
    tool = {"name": "weather", "description": "the sky", "parameters": {"type": "object", "properties": {}}}
    result = {"role": "tool", "content": "the sky is blue .", "name": "weather"}
    chat = Chat([*CHAT, result], tools=[tool], template={"tone": "Be brief."})
    game = KernelShap(model, tokenizer, granularity=Granularity.TURN, roles=("tools", "user", "tool")).game(chat, OSLO)
    assert "".join(game.question.labels) == WRITTEN["Qwen"] and game.prompt.text.startswith('{"name"')
    assert {feature.source for feature in game.features} == {"weather", None}
    assert {(feature.role, feature.trusted) for feature in game.features} == {("tools", True), ("user", True), ("tool", False)}
    with pytest.raises(ValueError, match="no tool 'wether': its tools are 'weather'"):
        KernelShap(model, tokenizer).game(chat, ToolCall("wether"))


def test_the_models_own_call_is_scored_in_its_own_answer(llama: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model, tokenizer = llama
    tokenizer.chat_template = QWEN
    answer = f"I look. {WRITTEN['Mistral']}"
    monkeypatch.setattr(CausalAdapter, "own_answer", lambda self, input: OwnAnswer((self.target(answer, "", input),)))
    explainer = ExactShapley(model, tokenizer, granularity=Granularity.TURN, progress=False)
    [whole] = explainer(CHAT, answer)
    for call, piece in (
        (ToolCall(), WRITTEN["Mistral"]),
        (ToolCall(part="name"), "weather"),
        (ToolCall(argument="city"), "Oslo"),
    ):
        [own] = explainer(CHAT, call)
        start = answer.index(piece)
        ends = [len("".join(whole.targets[: row + 1])) for row in range(whole.t)]
        rows = [row for row in range(whole.t) if ends[row] > start and (ends[row - 1] if row else 0) < start + len(piece)]
        assert own.values.equal(whole.values[:, rows]) and "".join(own.targets) == "".join(
            whole.targets[row] for row in rows
        ).removeprefix(" ")


MARKS = [*regex.findall("<[|｜][^|｜]*[|｜]>", QWEN + LLAMA + DEEPSEEK), "<tool_call>", "</tool_call>", "[TOOL_CALLS]"]


@pytest.mark.parametrize("name", each([*TEMPLATES], ["DeepSeek"]))
def test_calls_are_scored_where_the_tags_are_special_tokens(llama: Any, name: str) -> None:
    """The chat before holds a call, too, which DeepSeek's template takes as text alone."""
    model, tokenizer = copy.deepcopy(llama[0]), zoo.byte_bpe()
    tokenizer.add_special_tokens({"additional_special_tokens": [*dict.fromkeys(MARKS)]})
    model.resize_token_embeddings(len(tokenizer))
    tokenizer.chat_template = TEMPLATES[name]
    called = {"role": "assistant", "content": "", "tool_calls": [{"type": "function", "id": "callBBBB1", "function": {}}]}
    called["tool_calls"][0]["function"] = {"name": "clock", "arguments": {"zone": "CET"}}
    explainer = KernelShap(model, tokenizer, granularity=Granularity.TURN, progress=False)
    whole = explainer.game([*CHAT, called, *CHAT], OSLO).question
    assert "".join(whole.labels) == WRITTEN[name]
    assert (name == "Llama") != bool({*whole.targets[0].ids} & {*tokenizer.all_special_ids})
    city = explainer.game([*CHAT, called, *CHAT], ToolCall("weather", OSLO.given, argument="city")).question
    assert "".join(city.labels) == "Oslo" and city.targets[0].ids == whole.targets[0].ids
