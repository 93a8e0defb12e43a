"""The shipped model answers right, and for the planted reason."""

from __future__ import annotations

import dataclasses
from itertools import product
from math import comb

import pytest
import torch
from support.quick import each

from interpreto_mllm import Drop, KernelShap, Replace, punctuation, testbed
from interpreto_mllm.testbed import RECALL, FactPrompt, load_recall, sample_fact_prompts
from interpreto_mllm.testbed.facts import ATTRIBUTES

CLASSIC = "the apple is red . the sky is blue . what is the apple ?"


@pytest.fixture(scope="module")
def recall():
    return load_recall()


def text_of(prompt: FactPrompt, tokenizer) -> str:
    if isinstance(prompt.prompt, str):
        return tokenizer.bos_token + prompt.prompt
    return tokenizer.apply_chat_template(prompt.prompt, tokenize=False, add_generation_prompt=True)


@torch.no_grad()
def answers(recall, texts: list[str]) -> list[str]:
    model, tokenizer = recall
    inputs = tokenizer(texts, add_special_tokens=False, padding=True, return_tensors="pt")
    generated = model.generate(**inputs)[:, inputs["input_ids"].shape[1] :]
    return tokenizer.batch_decode(generated, skip_special_tokens=True)


@torch.no_grad()
def log_probs(recall, rows: list[list[int]], target: int) -> torch.Tensor:
    """log p(target | ids) of unpadded rows, those of equal length together."""
    model, _ = recall
    values = torch.empty(len(rows), dtype=torch.float64)
    for length in {len(row) for row in rows}:
        some = [index for index, row in enumerate(rows) if len(row) == length]
        logits = model(input_ids=torch.tensor([rows[index] for index in some])).logits[:, -1].double()
        values[some] = logits.log_softmax(-1)[:, target]
    return values


def token_at(encoding, start: int) -> int:
    return next(index for index, (left, right) in enumerate(encoding["offset_mapping"]) if left == start and right > left)


@pytest.mark.parametrize("facts, chat", each([*product([1, 2, 3, 4, 6], [False, True])], [(2, False), (6, True)]))
def test_held_out_accuracy(recall, chat, facts):
    prompts = sample_fact_prompts(200, facts=facts, seed=777, chat=chat)
    said = answers(recall, [text_of(prompt, recall[1]) for prompt in prompts])
    assert sum(answer == prompt.answer for answer, prompt in zip(said, prompts, strict=True)) >= 0.99 * len(prompts)


def test_it_is_small_and_offline(recall):
    assert sum(file.stat().st_size for file in RECALL.iterdir()) <= 2_000_000
    model, tokenizer = recall
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert not model.training
    assert tokenizer.is_fast


def test_generation_stops_by_itself(recall):
    model, tokenizer = recall
    plain = tokenizer(CLASSIC, return_tensors="pt")
    out = model.generate(**plain)[0, plain["input_ids"].shape[1] :]
    assert tokenizer.convert_ids_to_tokens(out) == ["red", "<eos>"]
    chat = tokenizer.apply_chat_template(
        [{"role": "user", "content": CLASSIC}], add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    out = model.generate(**chat)[0, chat["input_ids"].shape[1] :]
    assert tokenizer.convert_ids_to_tokens(out) == ["red", "<|end|>"]


def test_tokenizer_round_trip(recall):
    _, tokenizer = recall
    assert tokenizer.decode(tokenizer(CLASSIC)["input_ids"], skip_special_tokens=True) == CLASSIC
    natural = tokenizer("The apple is red. What is the apple?", return_offsets_mapping=True)
    assert tokenizer.decode(natural["input_ids"]) == "<bos> the apple is red . what is the apple ?"
    assert natural["offset_mapping"][1:6] == [(0, 3), (4, 9), (10, 12), (13, 16), (16, 17)]
    for attribute in ATTRIBUTES:
        assert tokenizer(" " + attribute, add_special_tokens=False)["input_ids"] == [tokenizer.get_vocab()[attribute]]
    assert tokenizer("zebra", add_special_tokens=False)["input_ids"] == [tokenizer.unk_token_id]
    for prompt in sample_fact_prompts(50, facts=6, chat=True):
        assert tokenizer.unk_token_id not in tokenizer(text_of(prompt, tokenizer))["input_ids"]


def test_chat_template(recall):
    _, tokenizer = recall
    messages = [
        {"role": "system", "content": "be brief and honest ."},
        {"role": "user", "content": "the hat is gold ."},
        {"role": "assistant", "content": "ok ."},
        {"role": "user", "content": "what is the hat ?"},
    ]
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert text == (
        "<bos><|system|>\nbe brief and honest .<|end|>\n<|user|>\nthe hat is gold .<|end|>\n"
        "<|assistant|>\nok .<|end|>\n<|user|>\nwhat is the hat ?<|end|>\n<|assistant|>\n"
    )
    ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True)["input_ids"]
    assert ids == tokenizer(text, add_special_tokens=False)["input_ids"]
    assert answers(recall, [text]) == ["gold"]
    with pytest.raises(Exception, match="role"):
        tokenizer.apply_chat_template([{"role": "wizard", "content": "hello ."}])


@pytest.mark.parametrize("chat", [False, True], ids=["plain", "chat"])
def test_causes_are_where_they_are_said_to_be(chat):
    for prompt in sample_fact_prompts(30, facts=5, seed=4, chat=chat):
        stated, attribute, question = prompt.causes
        assert prompt.answer == attribute.text
        assert stated.text == question.text
        assert attribute.text in ATTRIBUTES
        for word in prompt.causes:
            text = prompt.prompt if isinstance(prompt.prompt, str) else prompt.prompt[word.turn]["content"]
            assert text[slice(*word.span)] == word.text


def test_prompts_are_seeded_and_frozen():
    assert sample_fact_prompts(5, seed=1) == sample_fact_prompts(5, seed=1) != sample_fact_prompts(5, seed=2)
    [prompt] = sample_fact_prompts(1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        prompt.answer = "blue"  # type: ignore[misc]
    with pytest.raises(ValueError, match="facts=7"):
        sample_fact_prompts(1, facts=7)


def test_without_the_prompt_every_attribute_is_equally_likely(recall):
    _, tokenizer = recall
    values = [log_probs(recall, [[tokenizer.bos_token_id]], tokenizer.convert_tokens_to_ids(word)).exp() for word in ATTRIBUTES]
    torch.testing.assert_close(torch.cat(values), torch.full((12,), 1 / 12, dtype=torch.float64), atol=0.03, rtol=0)


@pytest.mark.parametrize("chat, replaced", each([*product([False, True], [False, True])], [(False, False), (True, True)]))
def test_leave_one_out_finds_the_causes(recall, chat, replaced):
    """Taking one word away costs most where the word is one of the three causes.

    Punctuation is left in place: a plain question without its mark is not always taken for one.
    """
    _, tokenizer = recall
    found, prompts = 0, sample_fact_prompts(60, facts=3, seed=5, chat=chat)
    for prompt in prompts:
        text = text_of(prompt, tokenizer)
        encoding = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        ids = encoding["input_ids"]
        marks = {*tokenizer.all_special_ids, *tokenizer.convert_tokens_to_ids([".", "?"])}
        places = [index for index, token in enumerate(ids) if token not in marks]
        instead = [tokenizer.unk_token_id] if replaced else []
        rows = [ids[:place] + instead + ids[place + 1 :] for place in places]
        loss = -log_probs(recall, rows, tokenizer.convert_tokens_to_ids(prompt.answer))
        top = {places[index] for index in loss.topk(3).indices.tolist()}
        starts = [text.rindex(prompt.prompt[word.turn]["content"]) if chat else len("<bos>") for word in prompt.causes]
        causes = [token_at(encoding, start + word.span[0]) for start, word in zip(starts, prompt.causes, strict=True)]
        found += top == set(causes)
    assert found >= 0.95 * len(prompts)


def shapley_values(values: dict[frozenset[int], float], n: int) -> torch.Tensor:
    """By the definition: the mean over sizes of the mean gain over coalitions of that size."""
    total = torch.zeros(n, dtype=torch.float64)
    for coalition, value in values.items():
        for player in set(range(n)) - coalition:
            total[player] += (values[coalition | {player}] - value) / (n * comb(n - 1, len(coalition)))
    return total


@pytest.mark.parametrize("thing, attribute, other, another", [("apple", "red", "sky", "blue"), ("dog", "gold", "key", "pink")])
def test_exact_shapley_values_rank_the_causes_first(recall, thing, attribute, other, another):
    """Over all 2^9 coalitions of content words, the three causes share log p(all) - log p(none); "is" is none of them."""
    _, tokenizer = recall
    words = f"the {thing} is {attribute} . the {other} is {another} . what is the {thing} ?".split()
    players = [index for index, word in enumerate(words) if word not in ("the", ".", "?")]
    coalitions = [frozenset(player for player in range(9) if bits >> player & 1) for bits in range(512)]
    absent = [{players[player] for player in set(range(9)) - coalition} for coalition in coalitions]
    rows = [tokenizer(" ".join(w for i, w in enumerate(words) if i not in gone))["input_ids"] for gone in absent]
    values = log_probs(recall, rows, tokenizer.convert_tokens_to_ids(attribute)).tolist()
    shapley = shapley_values(dict(zip(coalitions, values, strict=True)), 9)
    assert shapley.sum().item() == pytest.approx(values[511] - values[0])
    assert shapley[[0, 2, 8]].sum() > 0.95 * shapley.sum()
    assert set(shapley.topk(3).indices.tolist()) == {0, 2, 8}


@pytest.mark.parametrize(
    ("occlusion", "chat"),
    [
        pytest.param(Drop(), False, id="dropped-plain", marks=pytest.mark.thorough),
        pytest.param(Drop(), True, id="dropped-chat", marks=pytest.mark.thorough),
        pytest.param(Replace("<unk>"), False, id="replaced-plain", marks=pytest.mark.thorough),
        pytest.param(Replace("<unk>"), True, id="replaced-chat"),
    ],
)
def test_the_causes_of_an_explanation_are_the_planted_ones(recall, occlusion, chat):
    """With punctuation pinned, the three largest scores of nearly every prompt are those of the three causes."""
    explainer = KernelShap(*recall, occlusion=occlusion, pinned=punctuation, budget=128, batch_size=128, progress=False)
    found, prompts = 0, sample_fact_prompts(12, facts=2, seed=9, chat=chat)
    explanations = explainer([prompt.prompt for prompt in prompts], [prompt.answer for prompt in prompts])
    for prompt, explanation in zip(prompts, explanations, strict=True):
        top = {explanation.features[place] for place in explanation.attributions[0].topk(3).indices.tolist()}
        starts = [explanation.text.index(prompt.prompt[word.turn]["content"]) if chat else 0 for word in prompt.causes]
        causes = [start + word.span[0] for start, word in zip(starts, prompt.causes, strict=True)]
        found += {feature.spans[0][0] for feature in top} == set(causes)
    assert found >= 0.9 * len(prompts)


def test_most_questions_are_answered_without_their_mark(recall):
    prompts = sample_fact_prompts(200, facts=2, seed=777)
    said = answers(recall, [recall[1].bos_token + prompt.prompt.rstrip(" ?.") for prompt in prompts])
    assert sum(answer == prompt.answer for answer, prompt in zip(said, prompts, strict=True)) >= 0.7 * len(prompts)


def test_the_old_name_of_questions_warns() -> None:
    with pytest.warns(DeprecationWarning, match="Question is now called PlantedQuestion"):
        assert testbed.Question is testbed.PlantedQuestion  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match=r"module 'interpreto_mllm\.testbed' has no attribute 'Nonsense'"):
        _ = testbed.Nonsense  # type: ignore[attr-defined]
