"""Tools, documents, calls and thoughts of chats are features, wherever the template puts them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from support import zoo
from support.chat_templates import GRANITE, MISTRAL, QWEN, asked, clock, weather

from interpreto_mllm import Chat, Drop, Granularity
from interpreto_mllm.prompts.processing import Processing
from interpreto_mllm.prompts.prompt import Prompt
from interpreto_mllm.prompts.reader import PromptReader

EVERYONE = ("system", "user", "assistant", "tool", "tools", "documents")


def read(chat: Any, template: str = QWEN, granularity: Any = Granularity.SENTENCE, roles: Any = EVERYONE) -> Prompt:
    tokenizer = zoo.byte_bpe()
    tokenizer.chat_template = template
    [prompt] = PromptReader(Processing(tokenizer, None), granularity, Drop(), roles, (), None).read(chat)
    return prompt


def parameter(name: str, kind: str, description: str) -> str:
    return f'"{name}": {{"type": "{kind}", "description": "{description}"}}'


def told(prompt: Prompt) -> list[tuple[Any, ...]]:
    return [(one.role, one.turn, one.label, one.source, one.text) for one in prompt.features]


def test_everything_in_a_chat_is_a_feature_under_a_persons_name_for_it() -> None:
    prompt = read(Chat(asked(), tools=[weather, clock], template={"enable_thinking": False}))
    assert told(prompt) == [
        ("system", 0, None, None, "Be kind."),
        ("system", 0, None, None, "Be brief."),
        ("tools", None, "tool weather · name", "weather", "weather"),
        ("tools", None, "tool weather · sentence 1", "weather", 'What the weather "now" is like.'),
        ("tools", None, "tool weather · sentence 2", "weather", "It is quick."),
        (
            "tools",
            None,
            "tool weather · parameter city",
            "weather",
            '"city": {"type": "string", "description": "Where: a city."}',
        ),
        (
            "tools",
            None,
            "tool weather · parameter days",
            "weather",
            '"days": {"type": "integer", "description": "How many days."}',
        ),
        ("tools", None, "tool clock · name", "clock", "clock"),
        ("tools", None, "tool clock", "clock", "What time it is."),
        ("tools", None, "tool clock · parameter zone", "clock", parameter("zone", "string", "The zone.")),
        ("user", 1, None, None, "Oslo ?"),
        ("assistant", 2, None, None, "I look."),
        ("assistant", 2, "call: weather", "c1", "weather"),
        ("assistant", 2, "call: weather · argument city", "c1", '"city": "Oslo \\"N\\""'),
        ("assistant", 2, "call: weather · argument days", "c1", '"days": 3'),
        ("tool", 3, "tool result: weather · sentence 1", "c1", "Rain."),
        ("tool", 3, "tool result: weather · sentence 2", "c1", "And wind."),
        ("user", 4, None, None, "So ?"),
    ]
    assert prompt.text.endswith("<think>\n\n</think>\n\n")
    assert prompt.notes == (
        "The chat template leaves out '<think>hm, hm</think>' of message 2 (assistant), so the model does not read that.",
    )
    assert [one.trusted for one in prompt.features if one.role in ("tool", "user", "assistant", "tools")][-7:] == [
        *[None] * 4,
        *[False] * 2,
        True,
    ]


def test_a_whole_tool_call_and_message_is_a_turn() -> None:
    prompt = read(Chat(asked(), tools=[weather]), granularity=Granularity.TURN)
    assert [text for *_, text in told(prompt)] == [
        "Be kind. Be brief.",
        prompt.text[prompt.text.index('{"type"') : prompt.text.index("\n</tools>")],
        "Oslo ?",
        "I look.",
        '{"name": "weather", "arguments": {"city": "Oslo \\"N\\"", "days": 3}}',
        "Rain. And wind.",
        "So ?",
    ]


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        ({"documents": [{"id": "a", "text": "b"}, {"id": "a", "text": "c"}]}, ValueError, "2 documents have the id 'a'"),
        ({"documents": "a"}, TypeError, "documents is a list"),
        ({"documents": [{"id": "a"}]}, ValueError, "Document 1 has no text"),
        ({"tools": [weather, weather]}, ValueError, "2 tools have the name 'weather'"),
        ({"tools": [{"type": "function"}]}, ValueError, "this one has no name"),
        ({"tools": [lambda x: x]}, ValueError, "cannot be described to the model"),
        ({"tools": weather}, TypeError, "tools is a list"),
        ({"template": {"tools": []}}, ValueError, r"give Chat\(\.\.\., tools=\.\.\.\)"),
        ({"template": ["a"]}, TypeError, "template is a mapping"),
        ({"messages": []}, TypeError, "The messages of a Chat are a list"),
        ({"messages": asked(tool_calls=[{"function": {"name": "w", "arguments": "{city"}}])}, ValueError, "are no JSON object"),
        ({"messages": asked(tool_calls=[{"function": {}}])}, ValueError, "a tool call names its function"),
    ],
)
def test_what_is_no_chat_is_refused(given: dict[str, Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        Chat(**{"messages": asked(), **given})


TWICE = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}!{{ messages[0].content }}"


def test_what_a_template_writes_twice_is_one_feature() -> None:
    prompt = read([{"role": "user", "content": "the sky"}], TWICE, Granularity.WORD)
    assert [one.text for one in prompt.features] == ["the", "sky"]
    assert [len(one.spans) for one in prompt.features] == [2, 2]
    [[left]] = prompt.inputs_for(torch.tensor([[True, False]]))
    assert zoo.byte_bpe().decode(left.ids) == "[user]the!the"


def test_thoughts_within_an_answer_are_told_apart_and_their_marks_are_no_features() -> None:
    prompt = read(asked()[:3] + asked()[3:4], QWEN, Granularity.WORD, ("assistant",))
    assert [(one.text, one.part) for one in prompt.features][:7] == [
        ("hm", "thoughts"),
        (",", "thoughts"),
        ("hm", "thoughts"),
        ("I", None),
        ("look", None),
        (".", None),
        ("weather", None),
    ]


def test_trust_is_marked_and_no_template_is_shown_the_mark() -> None:
    template = "{% for d in documents %}{{ d | tojson }}{% endfor %}{% for m in messages %}{{ m | tojson }}{% endfor %}"
    messages = [{"role": "user", "content": "So ?", "trusted": False}, {"role": "tool", "content": "Rain.", "trusted": True}]
    chat = Chat(
        [*messages, {"role": "tool", "content": "Dry."}], documents=[{"text": "Wet."}, {"text": "Cold.", "trusted": True}]
    )
    prompt = read(chat, template, Granularity.TURN)
    assert "trusted" not in prompt.text
    told = {feature.text.split('"')[-2]: feature.trusted for feature in prompt.features if feature.role == "documents"}
    assert told == {"Wet.": False, "Cold.": True}
    assert [one.trusted for one in prompt.features if one.turn is not None] == [False, True, False]


def test_pins_name_whole_documents() -> None:
    documents = [{"doc_id": "a", "title": "T", "text": "Wet. Dry."}, {"doc_id": "b", "text": "Cold."}]
    tokenizer = zoo.byte_bpe()
    tokenizer.chat_template = "{% for d in documents %}{{ d.title }} {{ d.text }}{% endfor %}{{ messages[0].content }}"
    reader = PromptReader(Processing(tokenizer, None), Granularity.SENTENCE, Drop(), ("documents",), ["document a"], None)
    [prompt] = reader.read(Chat([{"role": "user", "content": "So ?"}], documents=documents))
    assert [feature.text for feature in prompt.features] == ["Cold."]


def test_equal_messages_are_told_apart_where_a_template_compares_them() -> None:
    messages = [{"role": role, "content": "the same"} for role in ("user", "assistant", "user")]
    prompt = read(Chat(messages, tools=[clock]), MISTRAL, Granularity.TURN, ("user", "assistant", "tools"))
    assert prompt.text.count("[AVAILABLE_TOOLS]") == 2
    turns = [feature for feature in prompt.features if feature.role != "tools"]
    assert [(feature.turn, feature.text) for feature in turns] == [(0, "the same"), (1, "the same"), (2, "the same")]
    assert [start for feature in turns for start, _ in feature.spans] == sorted(
        place for place in range(len(prompt.text)) if prompt.text.startswith("the same", place)
    )


def test_commands_that_a_template_looks_for_are_left_to_it() -> None:
    template = (
        "{% set s = messages[0].content %}{{ s.replace('/no_think', '').strip() }}{% if '/no_think' in s %}<think>{% endif %}"
    )
    prompt = read([{"role": "user", "content": "the sky /no_think"}], template, Granularity.WORD)
    assert [feature.text for feature in prompt.features] == ["the", "sky"]
    assert "leaves out '/no_think' of message 0 (user)" in prompt.notes[0]


def test_tools_and_documents_are_branches_of_the_hierarchy() -> None:
    chat = Chat(
        [{"role": "user", "content": "So ?"}], tools=[weather], documents=[{"doc_id": "a", "title": "T", "text": "Wet. Dry."}]
    )
    prompt = read(chat, GRANITE)
    names = [feature.label for feature in prompt.features]
    branches = [list(branch) if isinstance(branch, list) else [branch] for branch in prompt.hierarchy()]
    assert [{str(names[index]).split(" ·")[0] for index in branch} for branch in branches] == [
        {"tool weather"},
        {"document a"},
        {"None"},
    ]


@pytest.mark.parametrize("written", ["c.function.arguments", "'args: ' + c.function.arguments"], ids=["as it is", "added"])
def test_arguments_are_json_where_a_template_adds_them_to_a_text(written: str) -> None:
    calls = "{% for c in m.tool_calls or [] %}{{ WRITTEN }}{% endfor %}"
    template = f"{{% for m in messages %}}[{{{{ m.role }}}}]{{{{ m.content or '' }}}}{calls}{{% endfor %}}"
    prompt = read(asked()[:3] + asked()[3:4], template.replace("WRITTEN", written), Granularity.SENTENCE, ("assistant",))
    assert '{"city": "Oslo \\"N\\"", "days": 3}' in prompt.text
    assert [feature.text for feature in prompt.features if feature.label][-2:] == ['"city": "Oslo \\"N\\""', '"days": 3']


@pytest.mark.parametrize("granularity", [Granularity.TOKEN, Granularity.ALL_TOKENS], ids=lambda one: one.name)
def test_tokens_of_documents_are_left_out_one_by_one(granularity: Granularity) -> None:
    """Those of one character too; under ALL_TOKENS what the template writes around a document is there by itself."""
    chat = Chat([{"role": "user", "content": "So ?"}], documents=[{"text": "a 🙂 b"}, {"text": "c"}])
    template = "{% for d in documents %}<{{ d.text }}>{% endfor %}{{ messages[0].content }}"
    prompt, tokenizer = read(chat, template, granularity, ("documents",)), zoo.byte_bpe()
    first = [index for index, one in enumerate(prompt.features) if one.source == "1"]
    smile = [index for index in first if "🙂" in prompt.text[slice(*prompt.features[index].spans[0])]]
    assert len(smile) > 1
    for gone in smile:
        second = {index for index, one in enumerate(prompt.features) if one.source == "2"}
        present = torch.tensor([[index != gone and index not in second for index in range(len(prompt.features))]])
        [[left]] = prompt.inputs_for(present)
        kept = prompt.text.replace("<c>", "") if granularity is Granularity.TOKEN else prompt.text.replace("<c>", "<>")
        ids = tokenizer(kept, add_special_tokens=False)["input_ids"]
        del ids[prompt.features[gone].positions[0]]
        assert left.ids.tolist() == ids
