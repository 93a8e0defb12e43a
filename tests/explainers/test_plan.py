"""What a call says before it begins: how much it may spend, and how much memory that takes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from support.zoo import build, byte_bpe

from interpreto_mllm import AutoShapley, KernelShap
from interpreto_mllm.engine.memory import LEAST_KEPT, Memory
from interpreto_mllm.evaluation.stopping import Tolerance
from interpreto_mllm.explainers import plan

PROMPT = "the apple is red . the sky is blue . what is the apple ?"


def test_a_call_that_takes_long_says_what_it_may_spend(
    recall: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    KernelShap(*recall, budget=24)(PROMPT, "red")
    assert "at most" not in capsys.readouterr().err
    monkeypatch.setattr(plan, "ANNOUNCED_TOKENS", 100)
    explainer = KernelShap(*recall, budget=24)
    [result] = explainer(PROMPT, "red")
    said = capsys.readouterr().err
    planned = explainer.plan(PROMPT)
    assert f"{result.n} features: at most 24 evaluations, {planned.prompt_tokens:,} tokens, " in said
    assert "0.3 GB of memory" in said
    KernelShap(*recall, budget=24, progress=False)(PROMPT, "red")
    assert not capsys.readouterr().err


def test_a_plan_states_the_memory() -> None:
    model: Any = build("llama")
    tokenizer = byte_bpe()
    length = len(tokenizer.encode(PROMPT))
    found = KernelShap(model, tokenizer, budget=24, batch_size=8).plan(PROMPT).memory
    assert found is not None
    assert found.model == sum(weight.nbytes for weight in (*model.parameters(), *model.buffers()))
    assert found.states == LEAST_KEPT
    with torch.no_grad():
        cache = model(torch.arange(10, 10 + length)[None].expand(8, -1), use_cache=True).past_key_values
    states = sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)
    logits = 8 * 32 * 4 * len(model.get_input_embeddings().weight)
    assert states + logits < found.batch < 40 * (states + logits)
    assert found.total == found.model + found.states + found.batch
    alone = KernelShap(model, tokenizer, budget=24, batch_size=1, share_prefixes=False).plan([PROMPT, PROMPT + PROMPT]).memory
    assert alone is not None and alone.states == 0 and alone.batch < found.batch


def test_a_batch_of_long_prompts_takes_no_more_than_its_tokens() -> None:
    memory = Memory(model=10**9, weights=10**8, state=1000, activation=1000, logits=0)
    device = torch.device("cpu")
    assert memory.peak(32, 2048, device, shares=True).batch == 8192 * 2000
    assert memory.peak(32, 20_000, device, shares=True).batch == 20_000 * 2000, "a single row is read whatever it takes"
    assert memory.peak(2, 100, device, shares=True).batch == 200 * 2000


def test_without_a_budget_many_features_are_explained_up_to_a_precision(recall: Any) -> None:
    def chosen(words: int, **options: Any) -> Any:
        explainer = AutoShapley(*recall, progress=False, **options)
        return explainer.choose(explainer.game(" ".join(["red"] * words), "red").prompt).until

    assert isinstance(chosen(80), Tolerance)
    assert chosen(20) is chosen(80, budget=2000) is chosen(80, num_trials=2) is None
