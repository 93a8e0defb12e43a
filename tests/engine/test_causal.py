"""The engine: few tokens, full batches, and whatever happens the same numbers."""

from __future__ import annotations

import functools
import itertools
import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from support.quick import each
from support.zoo import build, byte_bpe, plain_ids, plain_values, sentencepiece_like, wordpiece

from interpreto_mllm import Drop, ExactShapley
from interpreto_mllm.engine.batches import Batches
from interpreto_mllm.engine.prefixes import Node, plan_prefixes

FAMILIES = [
    "llama",
    "gpt2",
    "mistral_sliding",
    "lfm2",
    "mamba",
    "t5",
    "bart",
    "bert",
    "roberta",
    "gpt2_classifier",
    "llama_classifier",
]


def tokenizer_of(family: str) -> Any:
    return wordpiece() if family in ("bert", "roberta") else byte_bpe()


def target_of(family: str) -> Any:
    return 2 if family.endswith("classifier") or "bert" in family else " Paris is"


def watch(model: Any, before: Callable[[torch.Tensor], None]) -> None:
    """Let `before` see the ids of every forward of this one model."""
    forward = model.forward

    @functools.wraps(forward)
    def watched(*positional: Any, **named: Any) -> Any:
        before(named["input_ids"])
        return forward(*positional, **named)

    model.forward = watched


@pytest.mark.parametrize("family", each(FAMILIES, ("llama", "lfm2", "t5", "bert", "gpt2_classifier")))
def test_a_value_depends_on_its_coalition_alone(family: str) -> None:
    model, tokenizer = build(family), tokenizer_of(family)
    coalitions = torch.tensor(list(itertools.product([False, True], repeat=5)))
    order = torch.randperm(32, generator=torch.Generator().manual_seed(1))
    reference = None
    for batch_size in (1, 3, 32):
        game = ExactShapley(model, tokenizer, occlusion=Drop(), batch_size=batch_size, progress=False).game(
            "the sky is blue !", target_of(family)
        )
        values = game(coalitions)
        reference = values if reference is None else reference
        torch.testing.assert_close(values, reference, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(game(coalitions[order]), reference[order], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(game(coalitions[5:6]), reference[5:6], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", ["llama", "lfm2", "t5", "bert", "gpt2_classifier"])
def test_inputs_do_not_see_each_other(family: str) -> None:
    explainer = ExactShapley(build(family), tokenizer_of(family), progress=False)
    prompts = ["the sky is blue", "What is the capital of France ?", "a lorry"]
    targets = [target_of(family)] * 2 + [0 if isinstance(target_of(family), int) else " Paris is green"]
    for prompt, target, together in zip(prompts, targets, explainer(prompts, targets), strict=True):
        [alone] = explainer(prompt, target)
        assert torch.equal(alone.coalitions, together.coalitions)
        torch.testing.assert_close(together.values, alone.values, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(together.attributions, alone.attributions, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("family", ["llama", "lfm2", "bart", "bert"])
def test_padding_of_an_encoding_is_no_part_of_the_prompt(family: str, side: str) -> None:
    model, tokenizer = build(family), sentencepiece_like() if family == "llama" else tokenizer_of(family)
    tokenizer.padding_side = side
    explainer = ExactShapley(model, tokenizer, progress=False)
    prompts = ["the sky is blue", "what is the capital of france"]
    encoding = tokenizer(prompts, padding=True, return_tensors="pt")
    assert (encoding["attention_mask"] == 0).any()
    for padded, written in zip(
        explainer(encoding, [target_of(family)] * 2), explainer(prompts, target_of(family)), strict=True
    ):
        assert [f.positions for f in padded.features] == [f.positions for f in written.features]
        assert torch.equal(padded.coalitions, written.coalitions)
        torch.testing.assert_close(padded.values, written.values, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", each(("llama", "lfm2", "t5", "bert"), ("llama", "t5")))
def test_out_of_memory_halves_the_batch_and_goes_on(family: str, caplog: pytest.LogCaptureFixture) -> None:
    model, tokenizer = build(family), tokenizer_of(family)
    [expected] = ExactShapley(model, tokenizer, progress=False)("the sky is blue !", target_of(family))
    tokens: list[int] = []

    def small_memory(ids: torch.Tensor) -> None:
        tokens.append(ids.numel())
        if ids.numel() > 45:
            raise torch.OutOfMemoryError("the device is full")

    watch(model, small_memory)
    with caplog.at_level(logging.WARNING, logger="interpreto_mllm"):
        [result] = ExactShapley(model, tokenizer, batch_size=32, progress=False)("the sky is blue !", target_of(family))
    assert max(tokens) > 45 >= tokens[-1]
    assert "Out of memory" in caplog.text
    torch.testing.assert_close(result.values, expected.values, atol=1e-5, rtol=1e-5)


def test_a_row_that_does_not_fit_alone_is_an_error() -> None:
    def no_memory(batch: list[int]) -> None:
        raise MemoryError(f"{len(batch)} rows")

    with pytest.raises(MemoryError, match="1 rows"):
        list(Batches(4).run([1, 2, 3], no_memory))


def test_other_errors_of_the_model_are_passed_on() -> None:
    model = build("gpt2")

    def broken(ids: torch.Tensor) -> None:
        raise RuntimeError("shapes do not match")

    watch(model, broken)
    with pytest.raises(RuntimeError, match="shapes do not match"):
        ExactShapley(model, byte_bpe(), progress=False)("the sky is blue", " red")


def test_equal_readings_are_evaluated_once() -> None:
    model, tokenizer = build("gpt2"), byte_bpe()
    rows: list[int] = []
    explainer = ExactShapley(model, tokenizer, share_prefixes=False, progress=False)
    explainer("a a a a a a", " red")  # tries the model, once
    watch(model, lambda ids: rows.append(len(ids)))
    [result] = explainer("a a a a a a", " red")
    ids = tokenizer.encode("a a a a a a")
    distinct = {tuple(plain_ids(ids, result.features, row, None, tokenizer)) for row in result.coalitions.tolist()}
    assert len(result.coalitions) == 64
    assert sum(rows) == len(distinct) == 7
    target = tokenizer.encode(" red")
    for coalition, value in zip(result.coalitions.tolist(), result.values, strict=True):
        left = plain_ids(ids, result.features, coalition, None, tokenizer) or [tokenizer.bos_token_id]
        torch.testing.assert_close(value, plain_values(model, left, target), atol=1e-5, rtol=1e-5)


def test_exact_enumeration_shares_beginnings() -> None:
    model, tokenizer = build("llama"), byte_bpe()
    prompt, target = "the sky is blue and the sea is green ! it was", tokenizer.encode("!")
    [result] = ExactShapley(model, tokenizer, batch_size=64, progress=False)(prompt, target)
    assert (result.n, len(target)) == (12, 1)
    ids = tokenizer.encode(prompt)
    distinct = {tuple(plain_ids(ids, result.features, row)) for row in result.coalitions.tolist()}
    assert result.counts.tokens * 2.5 < sum(len(row) for row in distinct)
    for row in range(0, len(result.coalitions), 97):
        left = plain_ids(ids, result.features, result.coalitions[row].tolist()) or [tokenizer.bos_token_id]
        torch.testing.assert_close(result.values[row], plain_values(model, left, target), atol=1e-5, rtol=1e-5)


def nodes(node: Node) -> list[tuple[Node, list[int]]]:
    """Every node with all sequences at and under it."""
    below = [pair for child in node.children for pair in nodes(child)]
    return [(node, [*node.leaves, *(leaf for child in node.children for leaf in nodes(child)[0][1])]), *below]


@pytest.mark.parametrize("seed", range(5))
def test_a_plan_holds_every_sequence_once_under_its_own_beginning(seed: int) -> None:
    generator = np.random.default_rng(seed)
    base = generator.integers(0, 9, 40)
    kept = generator.random((60, 40)) < 0.8
    sequences = [np.concatenate([np.full(20, 7), base[row]]) for row in kept]
    planned = nodes(plan_prefixes(sequences, batch_size=8, forward_cost=8))
    assert sorted(planned[0][1]) == list(range(60))
    assert len(planned) > 1
    for node, under in planned:
        for index in under:
            assert len(sequences[index]) > node.length
            assert (sequences[index][: node.length] == sequences[node.sample][: node.length]).all()


def test_the_last_token_is_never_part_of_a_beginning() -> None:
    sequences = [np.arange(200), *(np.concatenate([np.arange(200), [900 + token]]) for token in range(7))]
    [node] = plan_prefixes(sequences, batch_size=8, forward_cost=16).children
    assert node.length == 199


def test_nothing_is_shared_where_it_does_not_pay() -> None:
    sequences = [np.asarray([1, token, 3]) for token in range(8)]
    root = plan_prefixes(sequences, batch_size=8, forward_cost=256)
    assert not root.children
    assert sorted(root.leaves) == list(range(8))


@pytest.mark.parametrize("family", ["gpt2", "bert", "t5"])
@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_refused(family: str, wrong: float) -> None:
    model = build(family)
    with torch.no_grad():
        for parameter in list(model.parameters())[-2:]:
            parameter.fill_(wrong)
    with pytest.raises(ValueError, match="not finite"):
        ExactShapley(model, tokenizer_of(family), progress=False)("the sky is blue", target_of(family))
