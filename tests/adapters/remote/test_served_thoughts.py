"""Served models that think: thoughts are told apart from answers, and a cut thought is no empty answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from support.misbehaving import Misbehaving, Told, misbehaving
from support.server import Server

from interpreto_mllm import (
    Contrast,
    ExactShapley,
    Granularity,
    InferenceModes,
    Reasoned,
    RemoteModel,
    ResponseSimilarity,
    ThoughtMarks,
    trace,
)
from interpreto_mllm.similarity import ExactMatch
from interpreto_mllm.testbed import load_recall, load_thoughts
from interpreto_mllm.thoughts.served import taken_apart

CHAT = [{"role": "user", "content": "The sky is blue. What is the sky?"}]
SIMILAR = ResponseSimilarity(similarity=ExactMatch(), generate={"max_new_tokens": 4})
TOTAL = Reasoned(effect="total", max_tokens=16)


def thinks(asked: dict[str, Any]) -> tuple[str, str]:
    """What is thought of a prompt, and what is answered."""
    text = "".join(str(message["content"]) for message in asked.get("messages", [])) or asked.get("prompt", "")
    return ("The user says blue.", "blue") if "blue" in text else ("Nobody says anything.", "grey")


def field(thoughts: str, answer: str) -> dict[str, Any]:
    return {"role": "assistant", "content": answer, "reasoning_content": thoughts}


def other_field(thoughts: str, answer: str) -> dict[str, Any]:
    return {"role": "assistant", "content": answer, "reasoning": thoughts}


def within(thoughts: str, answer: str) -> dict[str, Any]:
    return {"role": "assistant", "content": f"<think>\n{thoughts}\n</think>\n\n{answer}"}


def chunks(thoughts: str, answer: str) -> dict[str, Any]:
    content = [{"type": "thinking", "thinking": [{"type": "text", "text": thoughts}]}, {"type": "text", "text": answer}]
    return {"role": "assistant", "content": content}


FORMS = [field, other_field, within, chunks]


@pytest.fixture
def served() -> Iterator[Callable[..., Misbehaving]]:
    """Servers whose messages have this form, until the test ends."""
    begun: list[Any] = []

    def start(form: Callable[[str, str], dict[str, Any]], reason: str = "stop") -> Misbehaving:
        def told(number: int, path: str, asked: dict[str, Any]) -> Told:
            return Told({"choices": [{"index": 0, "finish_reason": reason, "message": form(*thinks(asked))}]})

        context = misbehaving(told)
        begun.append(context)
        return context.__enter__()

    yield start
    for context in begun:
        context.__exit__(None, None, None)


def explainer(server: Misbehaving, **options: Any) -> ExactShapley:
    given: dict[str, Any] = {"granularity": Granularity.SENTENCE, "inference_mode": SIMILAR, "progress": False, **options}
    return ExactShapley(RemoteModel(server.url, "m", retries=0), **given)


@pytest.mark.parametrize("form", FORMS)
def test_answers_are_compared_without_their_thoughts(served: Any, form: Any, tmp_path: Any) -> None:
    [result] = explainer(served(form))(CHAT, TOTAL)
    assert (result.effect, result.targets) == ("total", ["blue"])
    assert result.attributions.tolist() == [[1.0, 0.0]]
    assert {(each.text, each.thoughts) for [each] in result.responses.answers} == {
        ("blue", "The user says blue."),
        ("grey", "Nobody says anything."),
    }
    assert "<small>Nobody says anything.</small><br>grey" in result._repr_html_()
    result.save(tmp_path / "result.json")
    assert type(result).load(tmp_path / "result.json").responses.answers == result.responses.answers


@pytest.mark.parametrize("form", FORMS[:1])
def test_thoughts_and_choices_are_targets(served: Any, form: Any) -> None:
    server = served(form)
    [thoughts] = explainer(server)(CHAT, Reasoned("thoughts", effect="total"))
    assert (thoughts.targets, thoughts.attributions.tolist()) == (["The user says blue."], [[1.0, 0.0]])
    [choice] = explainer(server)(CHAT, Reasoned(effect="total", answer=Contrast("blue", "grey")))
    assert choice.attributions.tolist() == [[2.0, 0.0]]


def test_thoughts_have_tokens_of_their_own(served: Any) -> None:
    server = served(field)
    plan = explainer(server).plan(CHAT, TOTAL)
    assert (plan.evaluations, plan.requests, plan.answer_tokens, plan.thought_tokens) == (4, 5, 16, 5 * 16)
    explainer(server)(CHAT, TOTAL)
    assert {asked["max_tokens"] for asked in server.asked} == {4 + 16}


@pytest.mark.parametrize("form", [lambda *_: {"content": "<think>The user"}, lambda *_: {"content": None, "reasoning": "The"}])
def test_a_thought_that_is_cut_is_no_empty_answer(served: Any, form: Any) -> None:
    with pytest.raises(
        ValueError, match=r"cut an answer at 20 tokens, within the model's thoughts.*raise Reasoned\(max_tokens"
    ):
        explainer(served(form, "length"))(CHAT, TOTAL)


def test_what_a_server_cannot_be_asked_is_refused(served: Any) -> None:
    server = served(field)
    for target, told in [
        (Reasoned("blue", effect="total"), "compared as 'answer' or 'thoughts', whole"),
        (Reasoned(effect="total", repeats=2), "drawn by ResponseSimilarity"),
    ]:
        with pytest.raises(ValueError, match=told):
            explainer(server)(CHAT, target)
    with pytest.raises(ValueError, match="inference_mode is similarity"):
        trace(explainer(server), CHAT)
    assert server.asked == []
    for mode, target in ((SIMILAR, Reasoned()), (InferenceModes.LOG_SOFTMAX, TOTAL)):
        with pytest.raises(
            ValueError, match=r"m at http.* does not return the tokens that it reads.*\(vLLM's prompt_logprobs\)"
        ):
            explainer(server, inference_mode=mode)(CHAT, target)
    with pytest.raises(ValueError, match="m answered without thoughts, neither as reasoning_content nor between known marks"):
        explainer(served(lambda thoughts, answer: {"content": answer}))(CHAT, TOTAL)


def test_marks_in_answers_are_those_of_models_that_are_known() -> None:
    assert taken_apart({}, "[THINK]It rains.[/THINK]Yes", None) == ("It rains.", "Yes")
    assert taken_apart({}, "It rains.\n</think>\n\nYes", None) == ("It rains.", "Yes"), "the template had begun them"
    assert taken_apart({}, "[THINK]It rains", None) == ("It rains", "")
    assert taken_apart({}, "It rains.", None) == ("", "It rains.")


def test_raw_prompts_go_on_with_thoughts_on_a_server_as_they_do_here() -> None:
    """As on the same model in this process; there marks are told, as a server's template is not known."""
    model, tokenizer = load_recall()
    server = Server(model, tokenizer)
    server.offers = {"echo", "logprobs"}
    target = Reasoned(
        thoughts="i see that the apple is red . it rains today .", answer="red", marks=ThoughtMarks("hello", "listen", " ")
    )
    prompt, options = "the apple is red . what is the apple ?", {"granularity": Granularity.SENTENCE, "progress": False}
    try:
        remote = RemoteModel(server.url, "m", route="completion")
        [there], [here] = (
            ExactShapley(remote, **options)(prompt, target),
            ExactShapley(model, tokenizer, **options)(prompt, target),
        )
    finally:
        server.stop()
    assert [feature.text for feature in there.features] == [feature.text for feature in here.features]
    assert (there.effect, there.n) == ("direct", 4)
    assert there.attributions[0].tolist() == pytest.approx(here.span().attributions[0].tolist(), abs=1e-3)


KEPT = {"direct": Reasoned(), "total": Reasoned(effect="total"), "thoughts": Reasoned("thoughts")}
FACTS = "the house is like the cat . the cat is red . what colour is the house ?"


@pytest.fixture(scope="module")
def thinking() -> Iterator[tuple[Server, Any, Any]]:
    """A server whose template keeps the thoughts of the last message, and its model here."""
    model, tokenizer = load_thoughts()
    tokenizer.chat_template = tokenizer.chat_template.replace("and '</think>' in content", "and false")
    server = Server(model, tokenizer)
    server.offers = {"prompt_logprobs", "echo", "logprobs"}
    yield server, model, tokenizer
    server.stop()


@pytest.mark.parametrize("target", KEPT)
def test_a_served_chat_goes_on_with_thoughts_as_it_does_here(thinking: Any, target: str) -> None:
    """Held fixed as the beginning of the answer, or written anew and sent back before it."""
    server, *local = thinking
    options: dict[str, Any] = {"granularity": Granularity.SENTENCE, "progress": False}
    chat = [{"role": "user", "content": FACTS}]
    [there] = ExactShapley(RemoteModel(server.url, "m"), **options)(chat, KEPT[target])
    [here] = ExactShapley(*local, **options)(chat, KEPT[target])
    assert [one.name for one in there.features] == [one.name for one in here.features] and there.effect == here.effect
    torch.testing.assert_close(there.span().values, here.span().values, rtol=0, atol=1e-3)
    if target == "total":
        assert any("8 thoughts were written" in note and "characters long" in note for note in there.notes)


@pytest.mark.parametrize("effect", ["direct", "total"])
def test_a_raw_text_goes_on_with_thoughts_that_a_server_writes(thinking: Any, effect: Any) -> None:
    server, model, tokenizer = thinking
    options: dict[str, Any] = {"granularity": Granularity.SENTENCE, "progress": False}
    marks = ThoughtMarks("<think>", "</think>", " ")
    target = Reasoned(effect=effect, thoughts="the cat is red .", answer="red", marks=marks)
    [there] = ExactShapley(RemoteModel(server.url, "m", route="completion"), **options)(FACTS, target)
    [here] = ExactShapley(model, tokenizer, **options)(FACTS, target)
    torch.testing.assert_close(there.span().values, here.span().values, rtol=0, atol=1e-3)


def test_an_answer_of_a_served_chat_is_traced(thinking: Any) -> None:
    server, *local = thinking
    options: dict[str, Any] = {"granularity": Granularity.SENTENCE, "progress": False}
    chat = [{"role": "user", "content": FACTS}]
    there, here = (trace(ExactShapley(*model, **options), chat) for model in ((RemoteModel(server.url, "m"),), local))
    torch.testing.assert_close(there.total, here.total, rtol=0, atol=1e-3)


def test_templates_that_cut_or_rewrite_thoughts_are_seen_before_anything_is_scored(thinking: Any) -> None:
    server, _, tokenizer = thinking
    kept = tokenizer.chat_template
    tokenizer.chat_template = kept.replace("message.role ~ '|>\n' ~ content", "message.role ~ '|>\nok ' ~ content")
    assert tokenizer.chat_template != kept
    try:
        with pytest.raises(ValueError, match=r"the chat template of m at http.* writes 'ok ?<think>.*--chat-template"):
            ExactShapley(RemoteModel(server.url, "m"), progress=False)(
                [{"role": "user", "content": FACTS}], Reasoned(thoughts="the cat is red .", answer="red")
            )
    finally:
        tokenizer.chat_template = kept
