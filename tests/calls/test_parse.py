"""Calls in answers, in the syntaxes that models write them in."""

from __future__ import annotations

import pytest

from interpreto_mllm.calls.parse import calls_in

OSLO = {"city": "Oslo", "days": 3}
SYNTAXES = {
    "Qwen": '<tool_call>\n{"name": "weather", "arguments": {"city": "Oslo", "days": 3}}\n</tool_call>',
    "Llama 3.1": '{"name": "weather", "parameters": {"city": "Oslo", "days": 3}}',
    "Llama 3.1 with a tag": '<|python_tag|>{"type": "function", "name": "weather", "parameters": {"city": "Oslo", "days": 3}}',
    "Llama 3.2": '[weather(city="Oslo", days=3)]',
    "Llama, a function of the user": '<function=weather>{"city": "Oslo", "days": 3}</function>',
    "Mistral": '[TOOL_CALLS] [{"name": "weather", "arguments": {"city": "Oslo", "days": 3}}]',
    "Mistral of 2025": '[TOOL_CALLS]weather[ARGS]{"city": "Oslo", "days": 3}',
    "DeepSeek": "<｜tool▁call▁begin｜>function<｜tool▁sep｜>weather\n```json\n"
    '{"city": "Oslo", "days": 3}\n```<｜tool▁call▁end｜>',
    "Kimi": '<|tool_call_begin|>functions.weather:0<|tool_call_argument_begin|>{"city": "Oslo", "days": 3}<|tool_call_end|>',
    "gpt-oss": '<|channel|>commentary to=functions.weather <|constrain|>json<|message|>{"city": "Oslo", "days": 3}<|call|>',
    "Granite": '<|tool_call|>[{"name": "weather", "arguments": {"city": "Oslo", "days": 3}}]',
    "Qwen coder": "<tool_call>\n<function=weather>\n<parameter=city>\nOslo\n</parameter>\n<parameter=days>\n3\n</parameter>\n"
    "</function>\n</tool_call>",
    "Gemma": '```tool_code\nweather(city="Oslo", days=3)\n```',
    "a server": 'weather({"city": "Oslo", "days": 3})',
    "OpenAI": '{"type": "function", "function": {"name": "weather", "arguments": {"city": "Oslo", "days": 3}}}',
    "after words": 'I look. {"name": "weather", "arguments": {"city": "Oslo", "days": 3}}',
}


@pytest.mark.parametrize("text", SYNTAXES.values(), ids=SYNTAXES)
def test_calls_are_read_in_the_syntaxes_of_models(text):
    [call] = calls_in(text)
    assert (call.name, call.arguments) == ("weather", OSLO)
    assert text[slice(*call.name_span)] == "weather"
    assert {name: text[slice(*span)] for name, span in call.argument_spans.items()} == {"city": "Oslo", "days": "3"}
    start, end = call.span
    assert start <= call.name_span[0] and call.argument_spans["days"][1] <= end


def test_tags_belong_to_the_call():
    text = SYNTAXES["Qwen"]
    assert calls_in(f"Well. {text} So.")[0].span == (6, 6 + len(text))


def test_several_calls_come_in_order():
    text = '[{"name": "a", "arguments": {}}, {"name": "b", "arguments": "{\\"x\\": [1, {\\"y\\": 2}]}"}]'
    assert [(call.name, call.arguments) for call in calls_in(text)] == [("a", {}), ("b", {"x": [1, {"y": 2}]})]


def test_what_is_inside_quotes_is_found_in_its_escaped_form():
    text = '{"arguments": {"q": "say \\"hi\\"\\n", "z": null}, "name": "ask"}'
    [call] = calls_in(text)
    assert call.arguments == {"q": 'say "hi"\n', "z": None}
    assert text[slice(*call.argument_spans["q"])] == 'say \\"hi\\"\\n' and text[slice(*call.argument_spans["z"])] == "null"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "It rains.",
        '{"name": "weather"',
        '{"city": "Oslo"}',
        "{}",
        "f(x)",
        "print",
        '{"name": "a", "arguments": "{"}',
        "{" * 300,
    ],
)
def test_other_answers_are_no_calls(text):
    assert calls_in(text) == []
