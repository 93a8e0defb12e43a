"""Conversations that go on: every coalition answered again in every turn, as by hand, and nothing known asked again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from support.by_hand import words_of
from support.rollouts import (
    FACTS,
    MORE,
    NEXT,
    SENTENCES,
    SKY,
    WORDS,
    check_by_hand,
    ids_without,
    likeness,
    said_to,
    sentences_of,
)
from support.zoo import build, byte_bpe

from interpreto_mllm import (
    Attend,
    AutoShapley,
    ExactShapley,
    HierarchicalShapley,
    InferenceModes,
    KernelShap,
    PermutationShapley,
    Replace,
    ResponseSimilarity,
)
from interpreto_mllm.similarity import TfIdf


@pytest.mark.parametrize("share_prefixes", [True, False])
def test_the_shipped_model_by_hand(recall: Any, share_prefixes: bool) -> None:
    explainer = ExactShapley(*recall, share_prefixes=share_prefixes, **SENTENCES)
    [first] = explainer(FACTS)
    second = explainer.extend(first, NEXT)
    measure = SENTENCES["inference_mode"].similarity
    check_by_hand(second, *recall, [FACTS, [{"role": "user", "content": NEXT}]], sentences_of, measure)
    assert second.targets == ["blue"]
    assert second.responses is not None
    assert len({history[0].text for history in second.responses.history}) > 1


def test_an_assistants_turn_of_the_chat_plays_and_what_it_answers_later_does_not(recall: Any) -> None:
    chat = [
        {"role": "system", "content": "answer the question ."},
        {"role": "user", "content": "the apple is red . the sky is blue ."},
        {"role": "assistant", "content": "ok ."},
        {"role": "user", "content": "what is the apple ?"},
    ]
    turn = {"role": "user", "content": NEXT}
    explainer = ExactShapley(*recall, roles=("user", "assistant"), **SENTENCES)
    [first] = explainer(chat)
    second = explainer.extend(first, turn)
    assert [(feature.text, feature.role, feature.turn) for feature in second.features] == [
        ("the apple is red .", "user", 1),
        ("the sky is blue .", "user", 1),
        ("ok .", "assistant", 2),
        ("what is the apple ?", "user", 3),
        ("what is the sky ?", "user", 5),
    ]
    measure = SENTENCES["inference_mode"].similarity
    check_by_hand(second, *recall, [chat, [turn]], sentences_of, measure, ("user", "assistant"))


@pytest.mark.parametrize("family", ["llama", pytest.param("qwen3", marks=pytest.mark.thorough)])
def test_three_turns_of_a_model_with_random_weights_by_hand(family: str) -> None:
    model, tokenizer = build(family), byte_bpe()
    turns = [[{"role": "user", "content": text}] for text in ("the sky is", "why", "so it is")]
    explainer = ExactShapley(model, tokenizer, **WORDS)
    [first] = explainer(turns[0])
    second = explainer.extend(first, "why")
    check_by_hand(second, model, tokenizer, turns[:2], words_of, likeness)
    third = explainer.extend(second, turns[2][0])
    check_by_hand(third, model, tokenizer, turns, words_of, likeness)
    assert (first.n, second.n, third.n) == (3, 4, 7)
    assert third.responses is not None
    assert len({history[0].text for history in third.responses.history}) > 5
    assert len(set(third.responses.history)) > 12
    assert third.counts.answers_asked == 0


def test_players_are_those_of_the_longer_chat(recall: Any) -> None:
    explainer = ExactShapley(*recall, **SENTENCES)
    [first] = explainer(FACTS)
    second = explainer.extend(first, NEXT)
    assert second.conversation is not None
    longer = [*FACTS, {"role": "assistant", "content": "red"}, {"role": "user", "content": NEXT}]
    assert (list(second.conversation.messages), second.conversation.answered) == (longer, (1,))
    [fixed] = explainer(longer)
    assert second.features == fixed.features
    assert second.text == fixed.text
    assert second.features[: first.n] == first.features
    assert second.targets == fixed.targets
    assert any("answered again" in note for note in second.notes) and not fixed.notes
    assert fixed.conversation is not None and fixed.conversation.answered == ()


def test_games_with_and_without_a_fixed_history_agree_where_the_answer_in_between_does(recall: Any) -> None:
    chat = [{"role": "user", "content": "the apple is red . what is the apple ?"}]
    turn = "what is the sky ? the sky is blue ."
    explainer = ExactShapley(*recall, **SENTENCES)
    [first] = explainer(chat)
    total = explainer.extend(first, turn)
    assert total.conversation is not None
    [direct] = explainer(list(total.conversation.messages))
    assert total.responses is not None and direct.responses is not None
    rows = {tuple(row): answer.text for row, [answer] in zip(direct.coalitions.tolist(), direct.responses.answers, strict=True)}
    kept = [
        (row, answer.text)
        for row, history, [answer] in zip(
            total.coalitions.tolist(), total.responses.history, total.responses.answers, strict=True
        )
        if history[0].text == "red"
    ]
    assert 0 < len(kept) < len(rows) and all(rows[tuple(row)] == text for row, text in kept)


@pytest.mark.parametrize("method", [KernelShap, PermutationShapley, HierarchicalShapley, AutoShapley])
def test_every_method_plays(method: Any, recall: Any) -> None:
    [first] = method(*recall, budget=8, **SENTENCES)(FACTS)
    exact = ExactShapley(*recall, **SENTENCES)
    expected = exact.extend(exact(FACTS)[0], NEXT)
    result = method(*recall, budget=1.0, **SENTENCES).extend(first, NEXT)
    found = {tuple(row): value for row, value in zip(result.coalitions.tolist(), result.values.tolist(), strict=True)}
    for row, value in zip(expected.coalitions.tolist(), expected.values.tolist(), strict=True):
        assert found.get(tuple(row), value) == value
    if method in (KernelShap, AutoShapley):
        torch.testing.assert_close(result.attributions, expected.attributions, atol=1e-8, rtol=0)


@pytest.mark.parametrize("occlusion", [Attend(), Replace("_")])
def test_other_occlusions_hide_the_same_words_in_every_turn(occlusion: Any) -> None:
    model, tokenizer = build("llama"), byte_bpe()
    [first] = ExactShapley(model, tokenizer, occlusion=occlusion, **WORDS)(SKY)
    fast = ExactShapley(model, tokenizer, occlusion=occlusion, **WORDS).extend(first, MORE)
    slow = ExactShapley(model, tokenizer, occlusion=occlusion, share_prefixes=False, **WORDS).extend(first, MORE)
    assert fast.responses is not None and slow.responses is not None
    assert (fast.responses.answers, fast.responses.history) == (slow.responses.answers, slow.responses.history)
    assert len(set(slow.responses.answers)) > 8
    if isinstance(occlusion, Replace):
        [underscore] = tokenizer.encode("_")
        for coalition, history, [answer] in zip(
            slow.coalitions.tolist(), slow.responses.history, slow.responses.answers, strict=True
        ):
            messages = [*SKY, {"role": "assistant", "content": history[0].text}, {"role": "user", "content": MORE}]
            text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
            encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
            words = [
                (text.index(turn) + start, text.index(turn) + end)
                for turn in (SKY[0]["content"], MORE)
                for start, end in words_of(turn)
            ]
            gone = [word for word, there in zip(words, coalition, strict=True) if not there]
            ids = [
                underscore if any(start <= low < high <= end for start, end in gone) else token
                for token, (low, high) in zip(encoded["input_ids"], encoded["offset_mapping"], strict=True)
            ]
            assert answer.text == said_to(model, tokenizer, ids)


def test_nothing_may_be_answered_in_between() -> None:
    model, tokenizer = build("llama"), byte_bpe()
    explainer = ExactShapley(model, tokenizer, **WORDS)
    [first] = explainer(SKY)
    second = explainer.extend(first, MORE)
    assert first.responses is not None and second.responses is not None
    needed = {*first.responses.answers[1][0].ids, *second.responses.originals[0].ids}
    begin = [said[0].ids[0] for said in first.responses.answers]
    model.generation_config.eos_token_id = [2, *(set(begin) - needed)]
    explainer = ExactShapley(model, tokenizer, **WORDS)
    [first] = explainer(SKY)
    second = explainer.extend(first, MORE)
    assert second.responses is not None
    assert any(history[0].text == "" for history in second.responses.history)
    check_by_hand(second, model, tokenizer, [SKY, [{"role": "user", "content": MORE}]], words_of, likeness)


def test_a_template_may_rewrite_what_the_assistant_said() -> None:
    model, tokenizer = build("llama"), byte_bpe()
    tokenizer.chat_template = (
        "{% for m in messages %}<|{{ m.role }}|>{{ (m.content | upper)[:3] if m.role == 'assistant' else m.content }}<|end|>\n"
        "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
    )
    explainer = ExactShapley(model, tokenizer, **WORDS)
    [first] = explainer(SKY)
    second = explainer.extend(first, MORE)
    assert second.responses is not None and second.conversation is not None
    shouted = second.conversation.messages[1]["content"].upper()[:3]
    assert shouted in second.text and shouted != second.conversation.messages[1]["content"]
    for coalition, history, [answer] in zip(
        second.coalitions.tolist(), second.responses.history, second.responses.answers, strict=True
    ):
        if all(coalition[:3]):
            gone = [(2, *span) for span, there in zip(words_of(MORE), coalition[3:], strict=True) if not there]
            rewritten = {"role": "assistant", "content": history[0].text.upper()[:3]}
            ids = ids_without(tokenizer, [*SKY, rewritten, {"role": "user", "content": MORE}], gone)
            assert answer.text == said_to(model, tokenizer, ids)


def test_drawn_answers_are_drawn_from_the_same_seed() -> None:
    model, tokenizer = build("llama"), byte_bpe()
    mode = ResponseSimilarity(similarity=likeness, generate={"max_new_tokens": 4, "do_sample": True})
    options = {**WORDS, "inference_mode": mode, "seed": 5}
    [whole] = ExactShapley(model, tokenizer, **options)(SKY)
    [part] = KernelShap(model, tokenizer, budget=6, **options)(SKY)
    from_whole = ExactShapley(model, tokenizer, **options).extend(whole, MORE)
    from_part = ExactShapley(model, tokenizer, **options).extend(part, MORE)
    assert from_whole.responses is not None and from_part.responses is not None
    assert from_part.responses.history == from_whole.responses.history
    assert from_part.responses.answers == from_whole.responses.answers
    assert (from_part.counts.answers_reused, from_part.counts.answers_asked) == (6, 2)


def test_how_likely_the_next_answer_was_is_told_too() -> None:
    model, tokenizer = build("llama"), byte_bpe()
    mode = ResponseSimilarity(similarity=likeness, generate={"max_new_tokens": 4}, log_probability=True)
    explainer = ExactShapley(model, tokenizer, **{**WORDS, "inference_mode": mode})
    [first] = explainer(SKY)
    second = explainer.extend(first, MORE)
    told = second.rescore(InferenceModes.LOG_SOFTMAX)
    assert second.responses is not None
    answer = list(second.responses.originals[0].ids)
    for coalition, history, value in zip(told.coalitions.tolist(), second.responses.history, told.values, strict=True):
        messages = [*SKY, {"role": "assistant", "content": history[0].text}, {"role": "user", "content": MORE}]
        spans = [(place, *span) for place, turn in ((0, SKY[0]["content"]), (2, MORE)) for span in words_of(turn)]
        gone = [span for span, there in zip(spans, coalition, strict=True) if not there]
        ids = ids_without(tokenizer, messages, gone)
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([ids + answer])).logits[0, len(ids) - 1 : -1]
        expected = logits.double().log_softmax(-1)[range(len(answer)), answer].sum().item()
        assert value.item() == pytest.approx(expected, abs=1e-4)


def test_another_measure_costs_nothing_and_goes_on(recall: Any) -> None:
    explainer = ExactShapley(*recall, **SENTENCES)
    [first] = explainer(FACTS)
    second = explainer.extend(first.rescore(ResponseSimilarity(similarity=TfIdf())), NEXT)
    again = second.rescore(ResponseSimilarity(similarity=TfIdf()))
    assert again.responses is second.responses
    third = explainer.extend(again, "thank you .")
    assert third.n == 5


def test_new_messages_may_be_several_or_none_of_the_players(recall: Any) -> None:
    explainer = ExactShapley(*recall, **SENTENCES)
    [first] = explainer(FACTS)
    turn = [{"role": "system", "content": "be brief and honest ."}, {"role": "user", "content": NEXT}]
    second = explainer.extend(first, turn)
    measure = SENTENCES["inference_mode"].similarity
    check_by_hand(second, *recall, [FACTS, turn], sentences_of, measure)
    chat = [{"role": "system", "content": "the apple is red . the sky is blue ."}, {"role": "user", "content": "hello ."}]
    explainer = ExactShapley(*recall, roles=("system",), **SENTENCES)
    [first] = explainer(chat)
    second = explainer.extend(first, NEXT)
    assert second.n == first.n == 2
    check_by_hand(second, *recall, [chat, [{"role": "user", "content": NEXT}]], sentences_of, measure, ("system",))


def test_groups_and_pins_hold_in_every_turn(recall: Any) -> None:
    chat = [
        {"role": "user", "content": "the apple is red . hello ."},
        {"role": "assistant", "content": "ok ."},
        {"role": "user", "content": "the sky is blue . what is the apple ?"},
    ]

    def kinds(features: Sequence[Any]) -> list[object]:
        return [(feature.turn > 2, "?" in feature.text) for feature in features]

    options = {**SENTENCES, "groups": kinds, "pinned": ["hello ."]}
    explainer = ExactShapley(*recall, **options)
    [first] = explainer(chat)
    second = explainer.extend(first, NEXT + " thank you .")
    texts = ["the apple is red . the sky is blue .", "what is the apple ?", "what is the sky ?", "thank you ."]
    assert [feature.text for feature in first.features] == texts[:2]
    assert [feature.text for feature in second.features] == texts
    assert second.features[0].turn is None
    assert second.responses is not None
    asked = {"role": "user", "content": NEXT + " thank you ."}
    hidden = {0: [(0, 0, 18), (2, 0, 17)], 1: [(2, 17, 37)], 2: [(4, 0, 17)], 3: [(4, 17, 29)]}
    for coalition, history, [answer] in zip(
        second.coalitions.tolist(), second.responses.history, second.responses.answers, strict=True
    ):
        gone = [span for player, spans in hidden.items() if not coalition[player] for span in spans]
        before = said_to(*recall, ids_without(recall[1], chat, [span for span in gone if span[0] < 3]))
        longer = [*chat, {"role": "assistant", "content": before}, asked]
        assert (history[0].text, answer.text) == (before, said_to(*recall, ids_without(recall[1], longer, gone)))
    apart = ExactShapley(*recall, **{**options, "groups": lambda features: ["?" in feature.text for feature in features]})
    with pytest.raises(ValueError, match="has parts before an answer of the assistant and after it"):
        apart.extend(apart(chat)[0], NEXT + " thank you .")


def test_the_page_shows_what_was_said_in_every_turn(recall: Any, tmp_path: Path) -> None:
    explainer = ExactShapley(*recall, **SENTENCES)
    second = explainer.extend(explainer(FACTS)[0], NEXT)
    second.to_html(tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert ">answer 1</button>" in page and ">answer 2</button>" not in page
    body = page[page.index("<tbody>") : page.index("</tbody>")]
    assert "<td>red</td><td>blue</td>" in body and body.count("<tr>") == 16
