"""On every family of models the fast path gives the numbers of one plain, unpadded forward per coalition."""

from __future__ import annotations

import functools
import logging
from typing import Any

import pytest
import torch
from support.quick import each
from support.zoo import CAUSAL, CLASSIFIERS, SEQ2SEQ, build, byte_bpe, plain_ids, plain_values, sentencepiece_like, wordpiece

from interpreto_mllm import Attend, Attribution, ExactShapley, KernelShap

PROMPT = "the sky is blue and green !"
SYSTEM = " ".join(["The capital of France is Paris and the sea is green ."] * 5)
USER = "What is the capital of France , the sky or the sea ?"
PLAIN = {"mamba", "roberta_causal"}
"""Families whose caches do not continue exactly, or count positions in a way of their own."""
KINDS = {**CAUSAL, **SEQ2SEQ, **CLASSIFIERS}


def tokenizer_of(family: str) -> Any:
    if family in ("bert", "roberta"):
        return wordpiece()
    return sentencepiece_like() if family in ("llama", "gemma2", "gemma3_text", "mistral_sliding") else byte_bpe()


def target_of(family: str, tokenizer: Any) -> tuple[Any, list[int]]:
    """A target as a user gives it, and its ids."""
    if family in CLASSIFIERS:
        return 1, [1]
    ids = tokenizer.encode(" Paris lorry", add_special_tokens=False)
    return ids, ids


def check(
    result: Attribution, model: Any, tokenizer: Any, ids: list[int], target: list[int], replacement: list[int] | None
) -> int:
    """Compare every value with a plain forward; returns the tokens that the plain forwards read."""
    tokens = 0
    for coalition, value in zip(result.coalitions.tolist(), result.values, strict=True):
        left = plain_ids(ids, result.features, coalition, replacement, tokenizer) or [tokenizer.bos_token_id]
        tokens += len(left) + len(target) - 1
        torch.testing.assert_close(value, plain_values(model, left, target), atol=1e-5, rtol=1e-5)
    return tokens


@pytest.mark.parametrize("family", KINDS)
def test_all_coalitions_of_a_short_prompt(family: str) -> None:
    model, tokenizer = build(family), tokenizer_of(family)
    given, target = target_of(family, tokenizer)
    [result] = ExactShapley(model, tokenizer, progress=False)(PROMPT, given)
    replacement = None if tokenizer.mask_token_id is None else [tokenizer.mask_token_id]
    assert 6 <= result.n <= 7, "a tokenizer may hold two words in one token"
    assert len(result.values) == 2**result.n
    check(result, model, tokenizer, tokenizer(PROMPT)["input_ids"], target, replacement)
    assert result.values.std(0).max() > 1e-3, "a game in which nothing matters tests nothing"


@pytest.mark.parametrize("family", CAUSAL)
def test_a_long_fixed_beginning_is_read_once(family: str, caplog: pytest.LogCaptureFixture) -> None:
    model, tokenizer = build(family), tokenizer_of(family)
    _, target = target_of(family, tokenizer)
    chat = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": USER}]
    with caplog.at_level(logging.INFO, logger="interpreto_mllm"):
        [result] = KernelShap(model, tokenizer, budget=24, batch_size=8, progress=False)(chat, target)
    text = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert len(ids) > 80
    tokens = check(result, model, tokenizer, ids, target, None)
    said = "using plain forwards" in caplog.text
    assert said == (family in PLAIN)
    assert result.counts.evaluations == 24
    if said:
        assert tokens <= result.counts.tokens < 1.5 * tokens
    else:
        assert result.counts.tokens < 0.55 * tokens


@pytest.mark.parametrize("family", ["llama", "gpt2", "mistral_sliding", "gemma3_text", "opt"])
def test_hidden_tokens_after_a_long_fixed_beginning(family: str) -> None:
    model, tokenizer = build(family), tokenizer_of(family)
    _, target = target_of(family, tokenizer)
    chat = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": USER}]
    [result] = KernelShap(model, tokenizer, budget=24, batch_size=8, occlusion=Attend(), progress=False)(chat, target)
    text = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    length = len(ids) + len(target) - 1
    for coalition, value in zip(result.coalitions.tolist(), result.values, strict=True):
        mask = torch.ones(1, length, dtype=torch.int64)
        for feature, there in zip(result.features, coalition, strict=True):
            mask[0, list(feature.positions)] = int(there)
        expected = plain_values(model, ids, target, attention_mask=mask, position_ids=torch.arange(length)[None])
        torch.testing.assert_close(value, expected, atol=1e-5, rtol=1e-5)
    assert result.counts.tokens < 0.55 * 24 * length


@pytest.mark.parametrize("family", each(("llama", "lfm2", "mamba"), ("llama", "lfm2")))
def test_memory_that_runs_out_while_beginnings_are_shared(family: str) -> None:
    model, tokenizer = build(family), tokenizer_of(family)
    _, target = target_of(family, tokenizer)
    chat = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": USER}]
    [expected] = KernelShap(model, tokenizer, budget=24, progress=False)(chat, target)
    forward = model.forward

    @functools.wraps(forward)
    def small_memory(*positional: Any, **named: Any) -> Any:
        if len(named["input_ids"]) > 3:
            raise torch.OutOfMemoryError("the device is full")
        return forward(*positional, **named)

    model.forward = small_memory
    [result] = KernelShap(model, tokenizer, budget=24, progress=False)(chat, target)
    torch.testing.assert_close(result.values, expected.values, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", SEQ2SEQ)
def test_answers_of_encoder_decoders_are_scored_as_labels(family: str) -> None:
    model, tokenizer = build(family), byte_bpe()
    target = tokenizer.encode("Paris is blue", add_special_tokens=False)
    [result] = ExactShapley(model, tokenizer, progress=False)("the sky is red", "Paris is blue")
    with torch.no_grad():
        output = model(input_ids=torch.tensor([tokenizer.encode("the sky is red")]), labels=torch.tensor([target]))
    expected = output.logits[0].log_softmax(-1)[range(len(target)), target].double()
    torch.testing.assert_close(result.full, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(-result.full.mean(), output.loss.double(), atol=1e-5, rtol=1e-5)


def test_a_classifier_without_padding_token_is_run_on_single_rows(caplog: pytest.LogCaptureFixture) -> None:
    model, tokenizer = build("gpt2_classifier"), byte_bpe()
    model.config.pad_token_id = None
    with caplog.at_level(logging.INFO, logger="interpreto_mllm"):
        [result] = ExactShapley(model, tokenizer, progress=False)("the sky is blue", 2)
    assert "cannot read several rows at once" in caplog.text
    assert result.counts.forwards == len(result.coalitions)
    assert result.notes == ("Rows in a batch influence each other in this model: each is computed by itself.",)
    check(result, model, tokenizer, tokenizer.encode("the sky is blue"), [2], None)


@pytest.mark.parametrize("family", ["llama", "lfm2"])
def test_half_precision_models_are_scored_in_single_precision(family: str) -> None:
    model, tokenizer = build(family).to(torch.bfloat16), tokenizer_of(family)
    _, target = target_of(family, tokenizer)
    plain = ExactShapley(model, tokenizer, batch_size=1, share_prefixes=False, progress=False)
    [result] = plain("the sky is blue", target)
    check(result, model, tokenizer, tokenizer.encode("the sky is blue"), target, None)
    [fast] = ExactShapley(model, tokenizer, progress=False)("the sky is blue", target)
    torch.testing.assert_close(fast.values, result.values, atol=0.3, rtol=0.05)
