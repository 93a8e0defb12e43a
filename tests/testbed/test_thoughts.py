"""The shipped model that thinks: it answers right, and its thoughts are for the planted reason, which explanations find."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from support.quick import each

from interpreto_mllm import ExactShapley, Granularity, InferenceModes, KernelShap, Reasoned, ResponseSimilarity, trace
from interpreto_mllm.similarity import ExactMatch
from interpreto_mllm.testbed import THOUGHTS, ChainPrompt, load_thoughts, sample_chain_prompts

OPTIONS: dict[str, Any] = {"granularity": Granularity.SENTENCE, "progress": False}


@pytest.fixture(scope="module")
def model() -> Any:
    return load_thoughts()


@pytest.mark.parametrize(("links", "share"), each([(0, 0.99), (1, 0.99), (2, 0.9)], [(1, 0.95)]))
@torch.no_grad()
def test_it_thinks_and_answers_right(model: Any, links: int, share: float) -> None:
    thinker, tokenizer = model
    prompts = sample_chain_prompts(100 if share > 0.95 or links == 2 else 20, links=links, seed=777)
    texts = [tokenizer.apply_chat_template(prompt.messages, tokenize=False, add_generation_prompt=True) for prompt in prompts]
    inputs = tokenizer(texts, add_special_tokens=False, padding=True, return_tensors="pt")
    said = tokenizer.batch_decode(thinker.generate(**inputs)[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    right = [f"<think> {' '.join(prompt.thoughts)} </think> {prompt.answer}" for prompt in prompts]
    assert sum(one == other for one, other in zip(said, right, strict=True)) >= share * len(prompts)


def test_it_is_small_and_offline() -> None:
    assert sum(file.stat().st_size for file in THOUGHTS.iterdir()) <= 2_000_000


def causes(prompt: ChainPrompt) -> set[str]:
    return {*prompt.thoughts, prompt.question}


@pytest.mark.parametrize(("count", "facts"), each([(1, 1), (12, 3)], [(1, 1)]))
def test_the_last_thought_answers_and_the_sentences_behind_it_made_it(model: Any, count: int, facts: int) -> None:
    """Directly, the last thought does nearly all; in all and by the trace, the sentences of the prompt that led to it do."""
    explainer = KernelShap(*model, budget=256, **OPTIONS)
    found = {"direct": 0, "total": 0, "trace": 0}
    for prompt in sample_chain_prompts(count, facts=facts, seed=31):
        traced = trace(explainer, prompt.messages)
        assert [thought.text for thought in traced.thoughts] == list(prompt.thoughts)
        direct, whole = traced.answer.attributions[0], float(traced.answer.full - traced.answer.empty)
        found["direct"] += bool(direct[-1] > 0.9 * whole and direct.argmax() == len(direct) - 1)
        strongest = {traced.features[part].text for part in traced.total.topk(3).indices.tolist()}
        found["trace"] += strongest == causes(prompt)
        assert float(traced.total.sum() + traced.kept.sum()) == pytest.approx(whole)
        [total] = explainer(prompt.messages, Reasoned(effect="total", repeats=4))
        strongest = {total.features[part].text for part in total.attributions[0].topk(3).indices.tolist()}
        found["total"] += strongest == causes(prompt)
    assert min(found.values()) >= 0.9 * count


def test_answers_that_are_thought_of_anew_are_compared_without_their_thoughts(model: Any) -> None:
    """The value is 1 exactly where the answer is the same, which the sentences behind it decide; results keep the thoughts."""
    similar = ResponseSimilarity(similarity=ExactMatch())
    [prompt] = sample_chain_prompts(1, links=0, facts=2, seed=5)
    [result] = ExactShapley(*model, inference_mode=similar, **OPTIONS)(prompt.messages, Reasoned(effect="total"))
    assert result.targets == [prompt.answer]
    names = [feature.text for feature in result.features]
    for coalition, [answer], value in zip(
        result.coalitions.tolist(), result.responses.answers, result.values[:, 0], strict=True
    ):
        assert answer.thoughts.split()[-2] == answer.text
        assert float(value) == (answer.text == prompt.answer)
        if all(there for there, name in zip(coalition, names, strict=True) if name in causes(prompt)):
            assert answer.thoughts == prompt.thoughts[0]


def test_a_short_limit_is_told_for_the_model_s_own_thoughts(model: Any) -> None:
    [prompt] = sample_chain_prompts(1, links=1, seed=5)
    explainer = ExactShapley(*model, inference_mode=InferenceModes.SOFTMAX, **OPTIONS)
    with pytest.raises(ValueError, match=r"own thoughts about the whole prompt were cut at 4 tokens.*Reasoned\(max_tokens"):
        explainer(prompt.messages, Reasoned(max_tokens=4))
