"""Chats with tools, documents, calls and thoughts under the templates of widespread models."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
import torch
from support import zoo
from support.chat_templates import DOCUMENTS, TEMPLATES, WITH_DOCUMENTS, WITHOUT_TOOLS, asked, clock, weather

from interpreto_mllm import Chat, Drop, Granularity
from interpreto_mllm.prompts.processing import Processing
from interpreto_mllm.prompts.prompt import Prompt
from interpreto_mllm.prompts.reader import PromptReader

EVERYONE = ("system", "user", "assistant", "tool", "tools", "documents")
GRANULARITIES = [Granularity.WORD, Granularity.SENTENCE, Granularity.TURN]


def tokenizer_with(template: str) -> Any:
    tokenizer = zoo.byte_bpe()
    tokenizer.chat_template = template
    return tokenizer


def chat_for(name: str) -> Chat:
    """A chat with all that the template knows."""
    messages: list[dict[str, Any]] = asked()
    if name in ("gemma", "command_r"):
        messages = [messages[0], messages[1], {"role": "assistant", "content": " I look. "}, messages[4]]
    if name == "mistral":  # whose check of alternating roles wants an answer after a result
        messages.insert(4, {"role": "assistant", "content": "Rain."})
    if name == "harmony":
        messages[2] |= {"content": None, "thinking": "hm, hm"}
    tools = None if name in WITHOUT_TOOLS else [weather, clock]
    return Chat(messages, tools=tools, documents=DOCUMENTS if name in WITH_DOCUMENTS else None)


def read(name: str, granularity: Any, chat: Chat | None = None) -> Prompt:
    processing = Processing(tokenizer_with(TEMPLATES[name]), None)
    reader = PromptReader(processing, granularity, Drop(), EVERYONE, (), None)
    [prompt] = reader.read(chat_for(name) if chat is None else chat)
    return prompt


def rendered(name: str, chat: Chat, **other: Any) -> str:
    """By transformers alone; the arguments of calls as text where the template wants that."""
    tokenizer, messages = tokenizer_with(TEMPLATES[name]), json.loads(json.dumps(chat.messages))
    for message in messages:
        for call in message.get("tool_calls", ()):
            if name == "deepseek":
                call["function"]["arguments"] = json.dumps(call["function"]["arguments"], ensure_ascii=False)
    given = {"tools": chat.tools, "documents": chat.documents, **other}
    return tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True, **given)


@pytest.mark.parametrize("granularity", GRANULARITIES, ids=lambda one: one.name)
@pytest.mark.parametrize("name", TEMPLATES)
def test_features_are_what_was_written_where_the_template_wrote_it(name: str, granularity: Granularity) -> None:
    prompt = read(name, granularity)
    assert prompt.text == rendered(name, chat_for(name))
    taken: Counter[int] = Counter()
    for feature in prompt.features:
        taken.update(feature.positions)
        for span in feature.spans:
            written = prompt.text[slice(*span)]
            assert written in (feature.text, json.dumps(feature.text, ensure_ascii=False)[1:-1])
    assert set(taken.values()) == {1}


def words_of(chat: Chat) -> Counter[tuple[Any, ...]]:
    """The words of contents and documents, found without a template."""
    found: Counter[tuple[Any, ...]] = Counter()
    texts = [(turn, one["role"], one["content"]) for turn, one in enumerate(chat.messages) if one.get("content")]
    texts += [(None, "documents", one[key]) for one in chat.documents or () for key in ("title", "text") if key in one]
    for turn, role, text in texts:
        said = text.split("</think>")[-1]
        found.update((turn, role, said[start:end]) for start, end in Granularity.WORD.split(said))
    return found


@pytest.mark.parametrize("name", TEMPLATES)
def test_no_word_is_missing_and_none_is_another_messages(name: str) -> None:
    chat, prompt = chat_for(name), read(name, Granularity.WORD)
    told = Counter((one.turn, one.role, one.text) for one in prompt.features if one.role != "tools" and one.part is None)
    calls = Counter((one.turn, one.role, one.text) for one in prompt.features if (one.label or "").startswith("call"))
    expected = words_of(chat)
    if name in ("llama", "mistral"):  # which write no text beside a call
        expected = Counter({key: count for key, count in expected.items() if key[:2] != (2, "assistant")})
        assert any("'<think>hm, hm</think>\\n\\nI look.' of message 2 (assistant)" in note for note in prompt.notes)
    if name == "granite":  # which writes no titles
        expected.subtract([(None, "documents", "Fruit")])
        assert (
            "The chat template leaves out 'Fruit' of document market · title, so the model does not read that." in prompt.notes
        )
    assert told - calls == +expected


@pytest.mark.parametrize("name", [name for name in TEMPLATES if name not in ("gemma", "deepseek")])
def test_a_tool_or_document_that_is_absent_is_not_listed(name: str) -> None:
    chat, prompt = chat_for(name), read(name, Granularity.TURN)
    tokenizer = tokenizer_with(TEMPLATES[name])
    for field in ("tools", "documents"):
        listed = list(getattr(chat, field) or ())
        mine = [index for index, feature in enumerate(prompt.features) if feature.role == field]
        assert len(mine) == len(listed) or not listed
        for place, index in enumerate(mine):
            present = torch.ones(1, len(prompt.features), dtype=torch.bool)
            present[0, index] = False
            [[left]] = prompt.inputs_for(present)
            without = rendered(name, chat, **{field: listed[:place] + listed[place + 1 :]})
            assert left.ids.tolist() == tokenizer(without, add_special_tokens=False)["input_ids"]


@pytest.mark.parametrize("name", [name for name in TEMPLATES if name not in ("gemma", "command_r")])
def test_parameters_arguments_and_results_are_features_of_their_own(name: str) -> None:
    told = {one.label: one for one in read(name, Granularity.SENTENCE).features if one.label}
    assert "Rain." in told["tool result: weather · sentence 1"].text
    assert told["tool result: weather · sentence 2"].source == "c1"
    if name not in WITHOUT_TOOLS:
        assert "Where: a city." in told["tool weather · parameter city"].text
        assert "How many days." in told["tool weather · parameter days"].text
    if name != "deepseek":
        assert told["call: weather · argument days"].text == '"days": 3'


@pytest.mark.parametrize(("name", "gone"), [("command_r", "document market"), ("mistral", r"message 0 \(system\)")])
def test_a_template_that_writes_something_after_a_begun_answer_or_at_the_last_question_alone(name: str, gone: str) -> None:
    chat = chat_for(name)
    with pytest.raises(ValueError, match=f"leaves out {gone}"):
        read(
            name,
            Granularity.WORD,
            Chat([*chat.messages, {"role": "assistant", "content": "It"}], None, chat.documents, {}, True),
        )


def test_a_message_that_the_template_leaves_out_is_shown() -> None:
    template = "{% for m in messages if m.role != 'tool' %}[{{ m.role }}]{{ m.content }}{% endfor %}"
    reader = PromptReader(Processing(tokenizer_with(template), None), Granularity.WORD, Drop(), ("user", "tool"), (), None)
    chat = [{"role": "user", "content": "Oslo ?"}, {"role": "tool", "content": "Rain."}]
    with pytest.raises(ValueError, match=r"leaves out message 1 \(tool\): 'Rain\.' is nowhere in the prompt"):
        reader.read(chat)
    with pytest.raises(ValueError, match="leaves out tool weather · name: 'weather' is nowhere"):
        reader.read(Chat(chat[:1], tools=[weather]))
    with pytest.raises(ValueError, match=r"leaves out document 1: 'Wet\.'"):
        reader.read(Chat(chat[:1], documents=["Wet."]))


def test_what_a_template_refuses_is_said_in_its_words() -> None:
    with pytest.raises(ValueError, match=r"cannot write this chat: Conversation roles must alternate"):
        read("gemma", Granularity.WORD, Chat([{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]))


@pytest.mark.parametrize("name", [name for name in TEMPLATES if name not in ("command_r", "mistral")])
def test_a_begun_answer_goes_on(name: str) -> None:
    chat = chat_for(name)
    longer = Chat([*chat.messages, {"role": "assistant", "content": "It is"}], chat.tools, chat.documents, {}, True)
    prompt = read(name, Granularity.WORD, longer)
    assert prompt.text.endswith("It is")
    assert [one.text for one in prompt.features if one.turn == len(longer.messages) - 1] == ["It", "is"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"template": {"enable_thinkin": False}}, "template holds 'enable_thinkin', which the chat template does not read"),
        (
            {"continue_final_message": True},
            "the last message is 'So .' of 'user': end the chat with a message of the assistant",
        ),
    ],
)
def test_what_would_change_nothing_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read("qwen", Granularity.WORD, Chat(asked(), **given))
