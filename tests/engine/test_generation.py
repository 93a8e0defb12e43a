"""Answers of many rows at once: token for token what the model says to each alone."""

from __future__ import annotations

import functools
import logging
from typing import Any

import numpy as np
import pytest
import torch
from support.quick import each
from support.zoo import CAUSAL, SEQ2SEQ, build, byte_bpe, plain_ids

from interpreto_mllm import Attend, Attribution, Drop, ExactShapley, InferenceModes, KernelShap, Replace, ResponseSimilarity
from interpreto_mllm.engine.decoding import Decoding
from interpreto_mllm.engine.generation import CausalGenerator
from interpreto_mllm.engine.queries import Generate
from interpreto_mllm.engine.runner import CausalRunner
from interpreto_mllm.prompts.model_input import ModelInput
from interpreto_mllm.similarity import ExactMatch

PROMPT = "What is the capital of France? It was the best of times"
NEW = 7


def answers(family: str, batch_size: int = 8, prompt: str = PROMPT, **options: Any) -> tuple[Any, Any, Attribution]:
    model, tokenizer = build(family), byte_bpe()
    generate = {"max_new_tokens": NEW, **options.pop("generate", {})}
    mode = ResponseSimilarity(generate=generate)
    explainer = KernelShap(model, tokenizer, inference_mode=mode, batch_size=batch_size, budget=28, progress=False, **options)
    [result] = explainer(prompt, " red lorry")
    return model, tokenizer, result


def alone(model: Any, ids: list[int], **generate: Any) -> tuple[int, ...]:
    """One row, one `generate`, the special tokens around the answer taken off."""
    row = torch.tensor([ids])
    arguments = {"do_sample": False, "max_new_tokens": NEW, "pad_token_id": 0, **generate}
    with torch.no_grad():
        whole = model.generate(input_ids=row, attention_mask=torch.ones_like(row), **arguments)[0].tolist()
    said = whole[1:] if model.config.is_encoder_decoder else whole[len(ids) :]
    end = model.generation_config.eos_token_id
    said = said[: said.index(end)] if end in said else said
    special = set(byte_bpe().all_special_ids) - {byte_bpe().unk_token_id}
    while said and said[-1] in special:
        said = said[:-1]
    while said and said[0] in special:
        said = said[1:]
    return tuple(said)


def compare(result: Attribution, model: Any, tokenizer: Any, prompt: str = PROMPT, **generate: Any) -> set[tuple[int, ...]]:
    ids = tokenizer.encode(prompt)
    assert result.responses is not None
    for coalition, said in zip(result.coalitions.tolist(), result.responses.answers, strict=True):
        left = plain_ids(ids, result.features, coalition) or [tokenizer.bos_token_id]
        assert said[0].ids == alone(model, left, **generate)
        assert said[0].text == tokenizer.decode(said[0].ids, skip_special_tokens=True).strip()
    return {said[0].ids for said in result.responses.answers}


@pytest.mark.parametrize("family", [*CAUSAL, *SEQ2SEQ])
def test_every_family_answers_as_it_does_alone(family: str) -> None:
    settings = {"suppress_tokens": [2], "no_repeat_ngram_size": 1} if family == "bart" else {}  # it would end at once
    model, tokenizer, result = answers(family, generate=settings)
    assert len(result.features) > 8
    if family not in ("roberta_causal", "mamba", "bart", "t5"):
        assert result.counts.forwards < 28 * NEW / 2, "rows are answered side by side"
    assert len(compare(result, model, tokenizer, **settings)) > 4, "the answers differ, so the comparison can fail"


@pytest.mark.parametrize("family", ["llama", "gpt2", "lfm2", "mistral_sliding", "bart"])
def test_answers_do_not_depend_on_the_batch(family: str) -> None:
    each = [answers(family, batch_size)[2].responses for batch_size in (1, 3, 64)]
    assert all(one is not None and each[0] is not None and one.answers == each[0].answers for one in each)


@pytest.mark.parametrize("family", each(("llama", "gpt2", "lfm2", "gemma2", "bloom"), ("llama", "lfm2")))
def test_a_long_shared_context_is_read_once(family: str) -> None:
    context = " ".join(["the sky is blue and the sea is green !"] * 12)
    prompt = f"{context} {PROMPT}"
    words = len(ExactShapley(build(family), byte_bpe(), progress=False).game(context, "!").features)
    seen: list[int] = []
    model, tokenizer = build(family), byte_bpe()
    explainer = KernelShap(
        model,
        tokenizer,
        inference_mode=ResponseSimilarity(generate={"max_new_tokens": NEW}),
        pinned=range(words),
        batch_size=8,
        budget=60,
        progress=False,
    )
    forward = model.forward

    @functools.wraps(forward)
    def watched(*positional: Any, **named: Any) -> Any:
        seen.append(named["input_ids"].numel())
        return forward(*positional, **named)

    model.forward = watched
    [result] = explainer(prompt, " red lorry")
    del model.forward
    assert sum(seen) < 0.3 * 60 * len(tokenizer.encode(prompt))
    assert len(compare(result, model, tokenizer, prompt)) > 4


@pytest.mark.parametrize("family", each(("llama", "gpt2", "t5"), ("llama",)))
@pytest.mark.parametrize(
    "settings",
    [{"repetition_penalty": 3.0}, {"num_beams": 2}, {"no_repeat_ngram_size": 1}, {"suppress_tokens": [*range(9, 200)]}],
)
def test_settings_that_only_generate_knows_are_obeyed(family: str, settings: dict[str, Any]) -> None:
    model, tokenizer, result = answers(family, generate=settings)
    assert compare(result, model, tokenizer, **settings) != compare(answers(family)[2], model, tokenizer)


def test_the_models_own_settings_are_obeyed() -> None:
    model, tokenizer = build("llama"), byte_bpe()
    model.generation_config.repetition_penalty = 3.0
    model.generation_config.max_new_tokens = 5
    [result] = ExactShapley(model, tokenizer, inference_mode=InferenceModes.SIMILARITY, progress=False)("the sky is", "red")
    assert result.responses is not None
    assert max(len(said[0].ids) for said in result.responses.answers) == 5
    compare(result, model, tokenizer, "the sky is", max_new_tokens=5)


@pytest.mark.parametrize("family", ["llama", "gpt2", "t5"])
def test_hidden_tokens_stay_hidden_while_answering(family: str) -> None:
    model, tokenizer = build(family), byte_bpe()
    mode = ResponseSimilarity(generate={"max_new_tokens": 4})
    [result] = ExactShapley(model, tokenizer, inference_mode=mode, occlusion=Attend(), pinned=[0], progress=False)(
        "the sky is blue and", " red"
    )
    ids = tokenizer.encode("the sky is blue and")
    assert result.responses is not None
    for coalition, said in zip(result.coalitions.tolist(), result.responses.answers, strict=True):
        absent = {p for f, there in zip(result.features, coalition, strict=True) if not there for p in f.positions}
        mask = [int(position not in absent) for position in range(len(ids))]
        assert said[0].ids == _hidden(model, ids, mask)


def _hidden(model: Any, ids: list[int], mask: list[int]) -> tuple[int, ...]:
    """Greedy, one plain forward per token, positions kept."""
    said: list[int] = []
    with torch.no_grad():
        for _ in range(4):
            if model.config.is_encoder_decoder:
                start = [model.config.decoder_start_token_id, *said]
                logits = model(
                    input_ids=torch.tensor([ids]),
                    attention_mask=torch.tensor([mask]),
                    decoder_input_ids=torch.tensor([start]),
                ).logits
            else:
                row = torch.tensor([ids + said])
                seen = torch.tensor([mask + [1] * len(said)])
                given = {} if "bloom" in type(model).__name__.lower() else {"position_ids": torch.arange(row.shape[1])[None]}
                logits = model(input_ids=row, attention_mask=seen, **given).logits
            token = int(logits[0, -1].argmax())
            if token == model.generation_config.eos_token_id:
                break
            said.append(token)
    special = set(byte_bpe().all_special_ids) - {byte_bpe().unk_token_id}
    while said and said[-1] in special:
        said.pop()
    while said and said[0] in special:
        said.pop(0)
    return tuple(said)


@pytest.mark.parametrize("share_prefixes", [True, False])
def test_replaced_words_are_answered_as_they_stand(share_prefixes: bool) -> None:
    model, tokenizer = build("llama"), byte_bpe()
    mode = ResponseSimilarity(generate={"max_new_tokens": NEW})
    [result] = ExactShapley(
        model, tokenizer, inference_mode=mode, occlusion=Replace("!"), share_prefixes=share_prefixes, progress=False
    )("the sky is blue", "red")
    ids, there = tokenizer.encode("the sky is blue"), tokenizer.encode("!")
    assert result.responses is not None
    for coalition, said in zip(result.coalitions.tolist(), result.responses.answers, strict=True):
        assert said[0].ids == alone(model, plain_ids(ids, result.features, coalition, there))


def test_out_of_memory_halves_the_batch_and_loses_nothing(caplog: pytest.LogCaptureFixture) -> None:
    model, tokenizer, expected = answers("llama", 64)
    forward = model.forward

    @functools.wraps(forward)
    def small(*positional: Any, **named: Any) -> Any:
        if len(named["input_ids"]) > 5:
            raise torch.OutOfMemoryError("the device is full")
        return forward(*positional, **named)

    model.forward = small
    mode = ResponseSimilarity(generate={"max_new_tokens": NEW})
    with caplog.at_level(logging.WARNING, logger="interpreto_mllm"):
        [result] = KernelShap(model, tokenizer, inference_mode=mode, batch_size=64, budget=28, progress=False)(
            PROMPT, " red lorry"
        )
    assert "Out of memory" in caplog.text
    assert result.responses is not None and expected.responses is not None
    assert result.responses.answers == expected.responses.answers


def test_answers_are_drawn_with_the_models_probabilities() -> None:
    model = build("gpt2")
    settings = {"do_sample": True, "max_new_tokens": 1, "temperature": 4.0, "top_k": 5}
    generator = CausalGenerator(CausalRunner(model, batch_size=64), Decoding.of(model, settings, 0, seed=3))
    ids = np.asarray(byte_bpe().encode("the sky is"))
    queries = [Generate(ModelInput(ids), draw) for draw in range(1500)]
    drawn = np.zeros(1500, dtype=int)
    with torch.no_grad():
        for indices, generated in generator.generate(queries):
            drawn[indices] = generated.ids[:, 0].numpy()
        logits = model(input_ids=torch.from_numpy(ids)[None]).logits[0, -1] / 4.0
    best = logits.topk(5)
    expected = best.values.softmax(0)
    assert set(drawn.tolist()) <= {*best.indices.tolist(), -1}
    for token, probability in zip(best.indices.tolist(), expected.tolist(), strict=True):
        error = (probability * (1 - probability) / 1500) ** 0.5
        if token not in generator.decoding.endings:
            assert abs((drawn == token).mean() - probability) < 5 * error


@pytest.mark.parametrize("family", ["llama", "lfm2", "t5"])
def test_drawn_answers_follow_the_seed_alone(family: str) -> None:
    def said(seed: int, batch_size: int) -> Any:
        mode = ResponseSimilarity(generate={"do_sample": True, "temperature": 3.0, "max_new_tokens": 4}, repeats=2)
        explainer = ExactShapley(
            build(family), byte_bpe(), inference_mode=mode, seed=seed, batch_size=batch_size, progress=False
        )
        torch.manual_seed(batch_size)
        state = torch.random.get_rng_state()
        [result] = explainer("the sky is", "red")
        assert torch.equal(torch.random.get_rng_state(), state)
        assert result.responses is not None
        return result.responses.answers

    assert said(0, 1) == said(0, 5)
    assert said(0, 5) != said(1, 5)


def test_the_spread_of_drawn_answers_is_part_of_the_standard_errors() -> None:
    model, tokenizer = build("gpt2"), byte_bpe()
    settings = {"do_sample": True, "temperature": 1.5, "max_new_tokens": 2}

    def explain(seed: int, repeats: int) -> Attribution:
        mode = ResponseSimilarity(similarity=_length, generate=settings, repeats=repeats)
        return ExactShapley(model, tokenizer, inference_mode=mode, seed=seed, batch_size=64, progress=False)("the sky", "a")[0]

    runs = [explain(seed, 8) for seed in range(24)]
    spread = torch.stack([run.attributions for run in runs]).std(0)
    told = torch.stack([run.standard_errors for run in runs if run.standard_errors is not None]).square().mean(0).sqrt()
    assert (told > 0).all()
    assert ((told / spread - 1).abs() < 0.5).all()
    first = runs[0]
    assert first.responses is not None and len(first.responses[0]) == 8
    by_hand = [np.mean([_length("a", one.text) if one.text else 0.0 for one in said]) for said in first.responses.answers]
    torch.testing.assert_close(first.values[:, 0], torch.tensor(by_hand, dtype=torch.float64))


def _length(original: str, response: str) -> float:
    return len(original) / (len(original) + len(response))


def test_equal_prompts_are_answered_once() -> None:
    model, tokenizer = build("gpt2"), byte_bpe()
    rows: list[int] = []
    mode = ResponseSimilarity(similarity=ExactMatch(), generate={"max_new_tokens": 2})
    explainer = ExactShapley(model, tokenizer, inference_mode=mode, share_prefixes=False, occlusion=Drop(), progress=False)
    generate = model.generate
    model.generate = lambda *positional, **named: rows.append(len(named["input_ids"])) or generate(*positional, **named)
    [result] = explainer("a a a a a a")
    ids = tokenizer.encode("a a a a a a")
    distinct = {tuple(plain_ids(ids, result.features, row, None, tokenizer)) for row in result.coalitions.tolist()}
    assert len(result.coalitions) == 64
    assert sum(rows) == len(distinct) == 7
