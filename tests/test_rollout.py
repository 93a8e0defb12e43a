"""Conversations that go on: every coalition answered anew in every turn, as by hand, and nothing known asked again."""

from __future__ import annotations

import difflib
import itertools
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from math import factorial
from pathlib import Path
from typing import Any

import pytest
import torch
from by_hand import words_of
from server import Server
from zoo import build, byte_bpe

from interpreto_mllm import (
    Attend,
    Attribution,
    ExactShapley,
    Granularity,
    HierarchicalShapley,
    InferenceModes,
    KernelShap,
    PermutationShapley,
    RemoteModel,
    Replace,
    ResponseSimilarity,
)
from interpreto_mllm.similarity import ExactMatch, TfIdf

ROOT = Path(__file__).parent.parent
FACTS = [{"role": "user", "content": "the apple is red . the sky is blue . what is the apple ?"}]
NEXT = "what is the sky ?"
SKY = [{"role": "user", "content": "the sky is blue"}]
WHY, MORE = "why so ?", "go on"
CLOSE = {"atol": 1e-9, "rtol": 1e-9}


def likeness(original: str, response: str) -> float:
    """A measure with many values, so that every difference between answers shows."""
    return difflib.SequenceMatcher(None, original, response, autojunk=False).ratio()


SENTENCES: dict[str, Any] = {
    "inference_mode": ResponseSimilarity(similarity=ExactMatch(), generate={"max_new_tokens": 4}),
    "granularity": Granularity.SENTENCE,
    "progress": False,
}
WORDS: dict[str, Any] = {
    "inference_mode": ResponseSimilarity(similarity=likeness, generate={"max_new_tokens": 4}),
    "progress": False,
}


def sentences_of(text: str) -> list[tuple[int, int]]:
    """Sentences of the shipped model's language, each with the space before it."""
    ends = [index + 1 for index, character in enumerate(text) if character in ".?"]
    return list(itertools.pairwise([0, *ends]))


Cut = Callable[[str], list[tuple[int, int]]]


def ids_without(tokenizer: Any, messages: Sequence[dict], gone: Sequence[tuple[int, int, int]]) -> list[int]:
    """The chat as the template renders it, less the tokens of (message, start, end)."""
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    starts, position = [], 0
    for message in messages:
        starts.append(text.index(message["content"], position))
        position = starts[-1] + len(message["content"])
    deleted = [(starts[message] + start, starts[message] + end) for message, start, end in gone]
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    return [
        token
        for token, (low, high) in zip(encoded["input_ids"], encoded["offset_mapping"], strict=True)
        if not any(start <= low < high <= end for start, end in deleted)
    ]


def said_to(model: Any, tokenizer: Any, ids: list[int], limit: int = 4) -> str:
    with torch.no_grad():
        whole = model.generate(
            input_ids=torch.tensor([ids]),
            attention_mask=torch.ones(1, len(ids), dtype=torch.int64),
            max_new_tokens=limit,
            do_sample=False,
            pad_token_id=0,
        )
    ends = model.generation_config.eos_token_id
    ends = ends if isinstance(ends, list) else [ends]
    said = list(itertools.takewhile(lambda token: token not in ends, whole[0, len(ids) :].tolist()))
    return tokenizer.decode(said, skip_special_tokens=True).strip()


def by_hand(
    model: Any, tokenizer: Any, turns: Sequence[Sequence[dict]], cut: Cut, coalition: Sequence[bool], roles: Sequence[str]
) -> list[str]:
    """What the model says in every turn of a conversation, one plain `generate` after the other."""
    there, messages, gone, said = iter(coalition), [], [], []
    for turn in turns:
        for message in turn:
            spans = cut(message["content"]) if message["role"] in roles else []
            gone += [(len(messages), start, end) for start, end in spans if not next(there)]
            messages.append(message)
        said.append(said_to(model, tokenizer, ids_without(tokenizer, messages, gone)))
        messages.append({"role": "assistant", "content": said[-1]})
    assert next(there, None) is None
    return said


def check_by_hand(
    result: Attribution,
    model: Any,
    tokenizer: Any,
    turns: Sequence[Sequence[dict]],
    cut: Cut,
    measure: Callable[[str, str], float],
    roles: Sequence[str] = ("user",),
) -> None:
    """Every answer and value by hand, and Shapley values by the sum over all subsets."""
    assert result.responses is not None
    everything = by_hand(model, tokenizer, turns, cut, [True] * result.n, roles)
    values = {}
    for coalition, history, [answer] in zip(
        result.coalitions.tolist(), result.responses.history, result.responses.said, strict=True
    ):
        said = by_hand(model, tokenizer, turns, cut, coalition, roles)
        assert [*(one.text for one in history), answer.text] == said
        values[tuple(coalition)] = measure(everything[-1], said[-1]) if said[-1] else 0.0
    assert result.targets == [everything[-1]]
    assert [values[tuple(coalition)] for coalition in result.coalitions.tolist()] == pytest.approx(result.values[:, 0].tolist())
    assert len(values) == 2**result.n
    n = result.n
    for player, score in enumerate(result.attributions[0].tolist()):
        shares = []
        for coalition in values:
            if not coalition[player]:
                joined = (*coalition[:player], True, *coalition[player + 1 :])
                size = sum(coalition)
                weight = factorial(size) * factorial(n - size - 1) / factorial(n)
                shares.append(weight * (values[joined] - values[coalition]))
        assert score == pytest.approx(sum(shares), abs=1e-9)


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


@pytest.mark.parametrize("family", ["llama", "qwen3"])
def test_three_turns_of_a_model_with_random_weights_by_hand(family: str) -> None:
    model, tokenizer = build(family), byte_bpe()
    explainer = ExactShapley(model, tokenizer, **WORDS)
    [first] = explainer(SKY)
    second = explainer.extend(first, WHY)
    turns = [SKY, [{"role": "user", "content": WHY}], [{"role": "user", "content": MORE}]]
    check_by_hand(second, model, tokenizer, turns[:2], words_of, likeness)
    third = explainer.extend(second, {"role": "user", "content": MORE})
    check_by_hand(third, model, tokenizer, turns, words_of, likeness)
    assert (first.n, second.n, third.n) == (4, 7, 9)
    assert third.responses is not None
    assert len({history[0].text for history in third.responses.history}) > 8
    assert len(set(third.responses.history)) > 32
    assert third.counts.answers_asked == 0


class Ear:
    """Notes every prompt that a model is given to answer, one `generate` a prompt; fails from the `deaf`-th on."""

    def __init__(self, model: Any, tokenizer: Any):
        self.prompts: list[str] = []
        self.deaf: int | None = None
        generate = model.generate

        def noted(*positional: Any, **named: Any) -> Any:
            if len(self.prompts) == self.deaf:
                raise KeyboardInterrupt
            self.prompts += tokenizer.batch_decode(named["input_ids"])
            return generate(*positional, **named)

        model.generate = noted

    def turns(self) -> list[int]:
        """In which turn each prompt was answered."""
        return [prompt.count("<|assistant|>") for prompt in self.prompts]


@pytest.fixture
def heard() -> tuple[Any, Any, Ear]:
    model, tokenizer = build("llama"), byte_bpe()
    return model, tokenizer, Ear(model, tokenizer)


def test_what_is_known_is_not_asked_again(heard: Any) -> None:
    model, tokenizer, ear = heard
    explainer = ExactShapley(model, tokenizer, share_prefixes=False, **WORDS)
    [first] = explainer(SKY)
    assert ear.turns() == [1] * 16
    second = explainer.extend(first, WHY)
    assert ear.turns() == [1] * 16 + [2] * 128
    assert len(set(ear.prompts)) == len(ear.prompts)
    assert (second.counts.evaluations, second.counts.paid) == (128, 128)
    assert (second.counts.answers_reused, second.counts.answers_asked) == (16, 0)
    explainer.extend(second, MORE)
    assert ear.turns() == [1] * 16 + [2] * 128 + [3] * 512
    assert "16 earlier answers reused" in repr(second)


def test_what_is_not_known_is_asked_once_and_counted(heard: Any) -> None:
    model, tokenizer, ear = heard
    explainer = KernelShap(model, tokenizer, share_prefixes=False, budget=14, **WORDS)
    [first] = explainer([{"role": "user", "content": "the sky is blue and a sea green"}])
    known = len(ear.prompts)
    assert ear.turns() == [1] * known
    longer = KernelShap(model, tokenizer, share_prefixes=False, budget=60, **WORDS)
    second = longer.extend(first, WHY)
    assert len(set(ear.prompts)) == len(ear.prompts)
    asked = ear.turns()[known:].count(1)
    assert 0 < asked == second.counts.answers_asked
    assert second.responses is not None
    parts = {tuple(row) for row in second.coalitions[:, : first.n].tolist()}
    stored = {tuple(row) for row in first.coalitions.tolist()}
    assert (second.counts.answers_asked, second.counts.answers_reused) == (len(parts - stored), len(parts & stored))
    ear.prompts.clear()
    again = longer.extend(second, MORE)
    assert len(set(ear.prompts)) == len(ear.prompts)
    assert again.counts.answers_asked == ear.turns().count(1) + ear.turns().count(2) > 0


def test_all_missing_answers_are_read_in_batches_together(recall: Any) -> None:
    model, tokenizer = recall
    forwards: list[int] = []
    hook = model.register_forward_hook(lambda module, given, output: forwards.append(1))
    try:
        chat = [{"role": "user", "content": "the apple is red . " * 8}]
        options = {**SENTENCES, "budget": 12, "seed": 3}
        [first] = PermutationShapley(model, tokenizer, **options)(chat)
        before = len(forwards)
        second = KernelShap(model, tokenizer, **{**options, "budget": 80})
        longer = second.extend(first, "what is the apple ?")
    finally:
        hook.remove()
    assert longer.counts.forwards <= len(forwards) - before < longer.counts.evaluations


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
    assert any("answered anew" in note for note in second.notes) and not fixed.notes
    assert fixed.conversation is not None and fixed.conversation.answered == ()


def test_total_and_direct_effects_differ(recall: Any) -> None:
    """Where the answer alone makes the next one, the words before it have all of the effect, or none of it."""
    chat = [{"role": "user", "content": "the apple is red . what is the apple ?"}]
    turn = "what is the sky ? the sky is blue ."
    explainer = ExactShapley(*recall, **SENTENCES)
    [first] = explainer(chat)
    total = explainer.extend(first, turn)
    assert total.conversation is not None
    [direct] = explainer(list(total.conversation.messages))
    assert total.responses is not None and direct.responses is not None
    rows = {tuple(row): answer.text for row, [answer] in zip(direct.coalitions.tolist(), direct.responses.said, strict=True)}
    kept = [
        (row, answer.text)
        for row, history, [answer] in zip(total.coalitions.tolist(), total.responses.history, total.responses.said, strict=True)
        if history[0].text == "red"
    ]
    assert kept and all(rows[tuple(row)] == text for row, text in kept)


@pytest.mark.parametrize("deep", [False, True])
def test_an_archive_goes_on(heard: Any, tmp_path: Path, deep: bool) -> None:
    model, tokenizer, ear = heard
    explainer = ExactShapley(model, tokenizer, share_prefixes=False, **WORDS)
    [before] = explainer([{"role": "user", "content": "the sky is"}])
    before = explainer.extend(before, "why") if deep else before
    expected = explainer.extend(before, MORE)
    before.save(tmp_path / "before.json")
    again = Attribution.load(tmp_path / "before.json")
    assert again.responses is not None and before.responses is not None
    assert again.responses.history == before.responses.history
    assert again.conversation is not None and before.conversation is not None
    assert again.conversation.messages == before.conversation.messages
    assert again.conversation.answered == before.conversation.answered
    ear.prompts.clear()
    longer = ExactShapley(model, tokenizer, share_prefixes=False, **WORDS).extend(again, MORE)
    assert set(ear.turns()) == {3 if deep else 2}
    torch.testing.assert_close(longer.attributions, expected.attributions, **CLOSE)
    assert longer.counts.answers_reused == expected.counts.answers_reused > 0
    longer.save(tmp_path / "longer.json")
    loaded = Attribution.load(tmp_path / "longer.json")
    assert loaded.responses is not None and longer.responses is not None
    assert loaded.responses.history == longer.responses.history
    assert loaded.counts == longer.counts


def test_another_process_goes_on_from_the_file(recall: Any, tmp_path: Path) -> None:
    explainer = ExactShapley(*recall, **SENTENCES)
    [first] = explainer(FACTS)
    first.save(tmp_path / "first.json")
    script = """
import sys
from interpreto_mllm import Attribution, ExactShapley, Granularity, ResponseSimilarity
from interpreto_mllm.similarity import ExactMatch
from interpreto_mllm.testbed import load_recall
mode = ResponseSimilarity(similarity=ExactMatch(), generate={"max_new_tokens": 4})
explainer = ExactShapley(*load_recall(), inference_mode=mode, granularity=Granularity.SENTENCE, progress=False)
second = explainer.extend(Attribution.load(sys.argv[1]), sys.argv[2])
print(second.counts.answers_reused, second.counts.answers_asked, second.attributions.tolist())
"""
    command = [sys.executable, "-W", "ignore", "-c", script, str(tmp_path / "first.json"), NEXT]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert printed.strip() == f"8 0 {explainer.extend(first, NEXT).attributions.tolist()}"


def test_an_archive_of_old_has_no_chat(recall: Any, tmp_path: Path) -> None:
    explainer = ExactShapley(*recall, **SENTENCES)
    [first] = explainer(FACTS)
    first.save(tmp_path / "first.json")
    content = json.loads((tmp_path / "first.json").read_text())
    for name in ("answers_reused", "answers_asked"):
        del content["counts"][name]
    del content["conversation"], content["responses"]["history"]
    (tmp_path / "first.json").write_text(json.dumps(content))
    again = Attribution.load(tmp_path / "first.json")
    assert again.conversation is None
    with pytest.raises(ValueError, match="holds no chat that could go on"):
        explainer.extend(again, NEXT)
    first.conversation.messages[0]["asked"] = object()  # type: ignore[union-attr]
    first.save(tmp_path / "first.json")
    assert Attribution.load(tmp_path / "first.json").conversation is None


def test_an_interrupted_run_goes_on(heard: Any) -> None:
    model, tokenizer, ear = heard
    explainer = ExactShapley(model, tokenizer, share_prefixes=False, batch_size=1, **WORDS)
    [first] = explainer(SKY)
    expected = explainer.extend(first, WHY)
    ear.prompts.clear()
    ear.deaf = 50
    with pytest.raises(KeyboardInterrupt):
        explainer.extend(first, WHY)
    ear.deaf = None
    assert explainer.unfinished is not None
    [unfinished] = explainer.unfinished
    assert unfinished.responses is not None
    assert len(unfinished.responses.history) == len(unfinished.coalitions) == 50
    resumed = explainer.extend(first, WHY, evaluations=explainer.unfinished)
    assert resumed.counts.paid == 128 - 50
    assert resumed.responses is not None and expected.responses is not None
    assert resumed.responses.history == expected.responses.history
    torch.testing.assert_close(resumed.attributions, expected.attributions, **CLOSE)


def test_a_run_may_fail_while_it_asks_what_was_answered_in_between(heard: Any) -> None:
    model, tokenizer, ear = heard
    [first] = KernelShap(model, tokenizer, share_prefixes=False, budget=8, **WORDS)(SKY)
    explainer = ExactShapley(model, tokenizer, share_prefixes=False, batch_size=1, **WORDS)
    ear.deaf = len(ear.prompts) + 3
    with pytest.raises(KeyboardInterrupt):
        explainer.extend(first, WHY)
    ear.deaf = None
    assert explainer.unfinished is not None
    assert ear.turns()[-3:] == [2, 2, 1]
    assert explainer.unfinished[0].coalitions.tolist() == [[False] * 7, [True] * 7]
    assert explainer.extend(first, WHY, evaluations=explainer.unfinished).counts.paid == 126


def test_a_checkpoint_goes_on(heard: Any, tmp_path: Path) -> None:
    model, tokenizer, ear = heard
    explainer = ExactShapley(model, tokenizer, share_prefixes=False, batch_size=1, **WORDS)
    [first] = explainer(SKY)
    ear.deaf = len(ear.prompts) + 40
    with pytest.raises(KeyboardInterrupt):
        explainer.extend(first, WHY, checkpoint=tmp_path / "run.json")
    ear.deaf = None
    assert explainer.extend(first, WHY, checkpoint=tmp_path / "run.json").counts.paid == 128 - 40
    with pytest.raises(ValueError, match="of another call"):
        explainer.extend(first, MORE, checkpoint=tmp_path / "run.json")


def test_games_with_and_without_a_fixed_history_are_not_mixed_up(recall: Any) -> None:
    explainer = ExactShapley(*recall, **SENTENCES)
    [first] = explainer(FACTS)
    total = explainer.extend(first, NEXT)
    assert total.conversation is not None
    [direct] = explainer(list(total.conversation.messages))
    with pytest.raises(ValueError, match="turns in between are fixed; this is one in which each"):
        explainer.extend(first, NEXT, evaluations=[direct])
    with pytest.raises(ValueError, match=r"answered anew in between, as by extend.*; this is one whose"):
        explainer(list(total.conversation.messages), evaluations=[total])
    with pytest.raises(ValueError, match="of 3 features, this game has 4"):
        explainer.extend(first, NEXT, evaluations=[first])
    assert explainer.extend(first, NEXT, evaluations=[total]).counts.paid == 0


@pytest.mark.parametrize("method", [KernelShap, PermutationShapley, HierarchicalShapley])
def test_every_method_plays(method: Any, recall: Any) -> None:
    """With a budget for all coalitions, these are exact too."""
    [first] = method(*recall, budget=8, **SENTENCES)(FACTS)
    exact = ExactShapley(*recall, **SENTENCES)
    expected = exact.extend(exact(FACTS)[0], NEXT)
    result = method(*recall, budget=1.0, **SENTENCES).extend(first, NEXT)
    found = {tuple(row): value for row, value in zip(result.coalitions.tolist(), result.values.tolist(), strict=True)}
    for row, value in zip(expected.coalitions.tolist(), expected.values.tolist(), strict=True):
        assert found.get(tuple(row), value) == value
    if method is KernelShap:
        torch.testing.assert_close(result.attributions, expected.attributions, atol=1e-8, rtol=0)


@pytest.mark.parametrize("occlusion", [Attend(), Replace("_")])
def test_other_occlusions_hide_the_same_words_in_every_turn(occlusion: Any) -> None:
    model, tokenizer = build("llama"), byte_bpe()
    [first] = ExactShapley(model, tokenizer, occlusion=occlusion, **WORDS)(SKY)
    fast = ExactShapley(model, tokenizer, occlusion=occlusion, **WORDS).extend(first, MORE)
    slow = ExactShapley(model, tokenizer, occlusion=occlusion, share_prefixes=False, **WORDS).extend(first, MORE)
    assert fast.responses is not None and slow.responses is not None
    assert (fast.responses.said, fast.responses.history) == (slow.responses.said, slow.responses.history)
    assert len(set(slow.responses.said)) > 8
    if isinstance(occlusion, Replace):
        [underscore] = tokenizer.encode("_")
        for coalition, history, [answer] in zip(
            slow.coalitions.tolist(), slow.responses.history, slow.responses.said, strict=True
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
    needed = {*first.responses.said[1][0].ids, *second.responses.originals[0].ids}
    begin = [said[0].ids[0] for said in first.responses.said]
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
        second.coalitions.tolist(), second.responses.history, second.responses.said, strict=True
    ):
        if all(coalition[:4]):
            gone = [(2, *span) for span, there in zip(words_of(MORE), coalition[4:], strict=True) if not there]
            rewritten = {"role": "assistant", "content": history[0].text.upper()[:3]}
            ids = ids_without(tokenizer, [*SKY, rewritten, {"role": "user", "content": MORE}], gone)
            assert answer.text == said_to(model, tokenizer, ids)


def test_drawn_answers_are_drawn_from_the_same_seed() -> None:
    model, tokenizer = build("llama"), byte_bpe()
    mode = ResponseSimilarity(similarity=likeness, generate={"max_new_tokens": 4, "do_sample": True})
    options = {**WORDS, "inference_mode": mode, "seed": 5}
    [whole] = ExactShapley(model, tokenizer, **options)(SKY)
    [part] = KernelShap(model, tokenizer, budget=8, **options)(SKY)
    from_whole = ExactShapley(model, tokenizer, **options).extend(whole, MORE)
    from_part = ExactShapley(model, tokenizer, **options).extend(part, MORE)
    assert from_whole.responses is not None and from_part.responses is not None
    assert from_part.responses.history == from_whole.responses.history
    assert from_part.responses.said == from_whole.responses.said
    assert (from_part.counts.answers_reused, from_part.counts.answers_asked) == (8, 8)


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
        second.coalitions.tolist(), second.responses.history, second.responses.said, strict=True
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


@pytest.fixture
def server(recall: Any) -> Iterator[Server]:
    served = Server(*recall)
    yield served
    served.stop()


def test_a_served_model_goes_on_as_a_local_one(recall: Any, server: Server) -> None:
    local, remote = (
        ExactShapley(*model, roles=("user", "assistant"), **SENTENCES)
        for model in (recall, [RemoteModel(server.url, "recall")])
    )
    [here], [there] = local(FACTS), remote(FACTS)
    asked = len(server.asked)
    expected, result = local.extend(here, NEXT), remote.extend(there, {"role": "user", "content": NEXT})
    assert all(len(body["messages"]) == 3 for body in server.asked[asked:])
    assert result.responses is not None and expected.responses is not None
    assert torch.equal(result.coalitions, expected.coalitions)
    assert result.responses.texts == expected.responses.texts
    told = [[[one.text for one in said] for said in each.responses.history] for each in (result, expected)]
    assert told[0] == told[1]
    torch.testing.assert_close(result.attributions, expected.attributions, **CLOSE)
    with pytest.raises(ValueError, match="use the same model and generation arguments"):
        remote.extend(here, NEXT)


def refused(model: Any = None, turn: Any = NEXT, given: Any = None, **options: Any) -> Any:
    """Extend something by an explainer with these options; the model may not be asked."""
    model, tokenizer = model
    settings = {**SENTENCES, **options}
    explainer = ExactShapley(model, tokenizer, **settings)
    hook = model.register_forward_pre_hook(lambda module, arguments: pytest.fail("The model was asked."))
    try:
        return explainer.extend(given, turn)
    finally:
        hook.remove()


@pytest.fixture(scope="module")
def explained(recall: Any) -> Attribution:
    return ExactShapley(*recall, **SENTENCES)(FACTS)[0]


MODE = SENTENCES["inference_mode"]
DRAWN = ResponseSimilarity(similarity=ExactMatch(), generate={"max_new_tokens": 4, "do_sample": True}, repeats=2)
LONGER = ResponseSimilarity(similarity=ExactMatch(), generate={"max_new_tokens": 5})


@pytest.mark.parametrize(
    "options, words",
    [
        ({"inference_mode": InferenceModes.LOG_SOFTMAX}, "which only the similarity game does"),
        ({"granularity": Granularity.WORD}, "The explanation's players are .*use the same model, granularity, roles"),
        ({"granularity": Granularity.ALL_TOKENS}, "Under ALL_TOKENS what the assistant says in between"),
        ({"roles": ("user", "system"), "pinned": ["the sky is blue ."]}, "The explanation's players are"),
        ({"inference_mode": DRAWN}, "repeats=1 only"),
        ({"inference_mode": LONGER}, "The explanation's answers were given under .*'max_new_tokens': 4"),
        ({"groups": [0, 0, 1]}, "`groups` has a label for each feature of one chat"),
        ({"turn": ""}, "new_turn is empty"),
        ({"turn": {"role": "user", "content": "  "}}, "new_turn is empty"),
        ({"turn": []}, "new_turn is what the user says next"),
        ({"turn": ["what ?"]}, "new_turn is what the user says next"),
        ({"turn": None}, "new_turn is what the user says next"),
        ({"turn": {"content": "what ?"}}, "new_turn is what the user says next"),
        ({"turn": {"role": "user"}}, "needs a text under 'content'"),
        ({"turn": {"role": "assistant", "content": "red"}}, "new_turn has a message of the assistant"),
        (
            {"turn": [{"role": "assistant", "content": "red"}, {"role": "user", "content": "why ?"}]},
            "new_turn has a message of the assistant",
        ),
        ({"turn": "what is the sky ? " * 200}, "need .* positions, the model has|the model reads"),
        ({"turn": {"role": "user", "content": [{"type": "image", "image": "x.png"}]}}, "part of the type image"),
    ],
)
def test_what_cannot_go_on_is_refused_before_the_model_is_asked(
    recall: Any, explained: Attribution, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        refused(recall, given=explained, **options)


def test_explanations_that_cannot_go_on_are_refused(recall: Any, explained: Attribution) -> None:
    [scored] = ExactShapley(*recall, **{**SENTENCES, "inference_mode": InferenceModes.SOFTMAX})(FACTS, "red")
    with pytest.raises(ValueError, match=r"holds no answers to go on from .*'softmax'"):
        refused(recall, given=scored)
    [text] = ExactShapley(*recall, **SENTENCES)(FACTS[0]["content"])
    with pytest.raises(ValueError, match="holds no chat that could go on"):
        refused(recall, given=text)
    [drawn] = ExactShapley(*recall, **{**SENTENCES, "inference_mode": DRAWN})(FACTS)
    with pytest.raises(ValueError, match="repeats=1 only"):
        refused(recall, given=drawn)
    with pytest.raises(TypeError, match=r"one explanation, an Attribution; got list\. Extend them one by one"):
        refused(recall, given=[explained])
    tokenizer = byte_bpe()
    other = ExactShapley(build("llama"), tokenizer, **SENTENCES)
    with pytest.raises(ValueError, match="The explanation's chat reads"):
        other.extend(explained, NEXT)


def test_a_chat_that_grows_in_the_users_hands_leaves_the_explanation_alone(recall: Any) -> None:
    explainer = ExactShapley(*recall, **SENTENCES)
    chat = [dict(FACTS[0])]
    [first] = explainer(chat)
    chat[0]["content"] = "hello ."
    chat.append({"role": "assistant", "content": "red"})
    assert first.conversation is not None and list(first.conversation.messages) == FACTS
    assert explainer.extend(first, NEXT).targets == ["blue"]
