"""Long prompts: what is read, how much of it at a time, and what is held meanwhile; the numbers are those of plain forwards."""

from __future__ import annotations

import functools
import itertools
from typing import Any

import numpy as np
import pytest
import torch
from support.quick import each
from support.zoo import CAUSAL, build, byte_bpe

from interpreto_mllm import Attend, AttributionExplainer, KernelShap, Occlusion
from interpreto_mllm.aggregators import LassoAggregator
from interpreto_mllm.core.evaluations import Draw
from interpreto_mllm.engine import memory, runner
from interpreto_mllm.engine.batch_cuts import batch_sizes
from interpreto_mllm.engine.cache import CacheRow
from interpreto_mllm.engine.cache_trial import Branch
from interpreto_mllm.engine.kept_states import KeptStates
from interpreto_mllm.engine.memory import Memory
from interpreto_mllm.engine.prefix_walk import PrefixWalk
from interpreto_mllm.engine.prefixes import Node, plan_prefixes
from interpreto_mllm.perturbators import Perturbator

WORDS = "the sky is blue and the sea is green , so the boat on it was red ."
LONG = " ".join([WORDS] * 9)


def cut_costs(lengths: list[int], rows: int, tokens: int, held: int, cost: int) -> list[int]:
    """What every way to cut so many rows costs that is allowed, in tokens."""
    found = []
    for cuts in itertools.product([False, True], repeat=len(lengths) - 1):
        batches = [[lengths[0]]]
        for length, cut in zip(lengths[1:], cuts, strict=True):
            batches = [*batches, [length]] if cut else [*batches[:-1], [*batches[-1], length]]
        if all(len(b) == 1 or (len(b) <= rows and len(b) * (b[-1] + held) <= tokens) for b in batches):
            found.append(sum(len(b) * b[-1] + cost for b in batches))
    return found


@pytest.mark.parametrize("seed", range(6))
def test_batches_are_cut_where_it_costs_least(seed: int) -> None:
    generator = np.random.default_rng(seed)
    lengths = sorted(generator.integers(1, 300, 9).tolist())
    rows, held = int(generator.integers(2, 7)), int(generator.integers(0, 50))
    for tokens, cost in itertools.product((400, 900, 10**6), (0, 5, 60)):
        sizes = batch_sizes(lengths, rows, tokens, held, cost)
        assert sum(sizes) == 9 and max(sizes) <= rows
        ends = np.cumsum(sizes)
        assert all(size == 1 or size * (lengths[end - 1] + held) <= tokens for size, end in zip(sizes, ends, strict=True))
        paid = sum(size * lengths[end - 1] + cost for size, end in zip(sizes, ends, strict=True))
        best = min(cut_costs(lengths, rows, tokens, held, cost))
        assert paid - max(0.05 * paid, 4 * cost) < best <= paid


def tree_of(seed: int) -> tuple[Node, list[np.ndarray]]:
    generator = np.random.default_rng(seed)
    base = generator.integers(0, 9, 60)
    kept = generator.random((50, 60)) < (0.9 if seed % 2 else 0.98)
    sequences = [np.concatenate([np.full(20, 7), base[row], [1]]) for row in kept]
    return plan_prefixes(sequences, batch_size=4, forward_cost=4), sequences


@pytest.mark.parametrize("positions", [0, 50, 100, 200, 400, 10**6])
@pytest.mark.parametrize("seed", range(4))
def test_a_walk_holds_no_more_states_than_it_may(seed: int, positions: int) -> None:
    root, sequences = tree_of(seed)
    assert len(root.children[0].children) or len(root.children) > 1
    live: dict[int, int] = {}

    class Held:
        def __init__(self, length: int):
            live[id(self)] = length

        def __del__(self) -> None:
            del live[id(self)]

    def extend(nodes: list[Branch]) -> list[Branch]:
        assert sum(live.values()) + sum(node.length for node, _ in nodes) <= positions + max(
            (row.length for _, row in nodes if row is not None), default=0
        ), "what is read on from is given up afterwards"
        for node, row in nodes:
            assert row is None or row.length < node.length
        return [(node, CacheRow(Held(node.length), 0, node.length)) for node, _ in nodes]

    seen, saved = [], 0
    for leaves in PrefixWalk(extend, lambda row, end, cached: cached, positions, together=8).leaves(root):
        assert sum(live.values()) <= positions
        seen += [leaf for leaf, _ in leaves]
        saved += sum(cached.length for _, cached in leaves if cached is not None)
    assert sorted(seen) == list(range(len(sequences)))
    assert not live
    assert (saved > 0) == (positions >= 50)


def test_states_are_kept_by_their_use_and_by_what_they_begin_with() -> None:
    model = build("llama")
    ids = torch.arange(10, 40)[None]
    with torch.no_grad():
        whole = model(ids, use_cache=True).past_key_values
        other = model(ids.flip(1), use_cache=True).past_key_values
    symbols = ids[0].numpy()
    kept = KeptStates(positions=50)
    kept.add(symbols, CacheRow(whole, 0, 30))
    kept.add(symbols[:20], CacheRow(whole, 0, 20))
    assert kept.held == 30, "a beginning of what is kept is known"
    found = kept.longest(np.concatenate([symbols[:12], [99, 98]]))
    assert found is not None and found.length == 12
    assert torch.equal(found.cache.layers[1].keys, whole.layers[1].keys[:, :, :12])
    assert whole.layers[1].keys.shape[2] == 30
    assert kept.longest(np.array([99])) is None
    kept.add(symbols[::-1].copy(), CacheRow(other, 0, 30))
    assert kept.held == 30 and kept.longest(symbols) is None, "what was used last stays"
    kept = KeptStates(positions=0)
    kept.add(symbols, CacheRow(whole, 0, 30))
    assert not kept.held
    kept = KeptStates(positions=25)
    kept.add(symbols, CacheRow(whole, 0, 30))
    assert kept.held == 25, "of more than there is room for, the beginning"


def watched(model: Any) -> list[torch.Size]:
    """The shapes of the ids of every forward of this one model."""
    found: list[torch.Size] = []
    forward = model.forward

    @functools.wraps(forward)
    def seen(*positional: Any, **named: Any) -> Any:
        found.append(named["input_ids"].shape)
        return forward(*positional, **named)

    model.forward = seen
    return found


class Rounds(Perturbator):
    """Leaves out one of the last features after the other, two in a round."""

    adaptive = True

    def minimum_budget(self, n: int) -> int:
        return 4

    def draw(self, n: int, budget: int, generator: torch.Generator) -> Any:
        without = ~torch.eye(n, dtype=torch.bool)
        for start in range(n - 9, n - 1, 2):
            yield Draw(without[start : start + 2])


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_a_round_goes_on_from_states_of_earlier_rounds(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, tokenizer = build(family), byte_bpe()
    monkeypatch.setattr(memory, "FORWARD_TOKENS", 4)
    parts: dict[str, Any] = {"perturbator": Rounds(), "aggregator": LassoAggregator(0.1), "progress": False}
    [plain] = AttributionExplainer(model, tokenizer, **parts, share_prefixes=False)(LONG, " red")

    def second() -> Any:
        explainer = AttributionExplainer(model, tokenizer, **parts)
        explainer(LONG, " red")  # compares continued caches with plain forwards
        return explainer(LONG, " red")[0]

    kept = second()
    torch.testing.assert_close(kept.values, plain.values, atol=1e-5, rtol=1e-5)
    monkeypatch.setattr(runner, "KEPT_SHARE", 0.0)
    alone = second()
    length = len(tokenizer.encode(LONG))
    assert plain.counts.tokens > 8 * length > alone.counts.tokens > kept.counts.tokens + 2 * length


@pytest.mark.parametrize("family", each(list(CAUSAL), ("llama", "gpt2", "bloom", "mistral_sliding")))
def test_hidden_tokens_are_not_read(family: str) -> None:
    model, tokenizer = build(family), byte_bpe()
    options: dict[str, Any] = {"occlusion": Attend(), "budget": 16, "pinned": [17], "progress": False}
    if family in ("lfm2", "mamba", "bloom"):
        with pytest.raises(ValueError, match=r"use Drop\(\)"):
            KernelShap(model, tokenizer, **options)
        return
    [short] = KernelShap(model, tokenizer, **options)(WORDS, " red lorry")
    [plain] = KernelShap(model, tokenizer, **options, share_prefixes=False)(WORDS, " red lorry")
    torch.testing.assert_close(short.values, plain.values, atol=1e-5, rtol=1e-5)
    if family in ("llama", "gpt2"):
        assert short.counts.tokens < 0.75 * plain.counts.tokens


@pytest.mark.parametrize("family", each(list(CAUSAL), ("llama", "gpt2", "lfm2")))
def test_logits_between_the_answers_of_a_batch_are_not_computed(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, tokenizer = build(family), byte_bpe()
    options: dict[str, Any] = {"budget": 24, "progress": False}
    [plain] = KernelShap(model, tokenizer, **options, batch_size=1, share_prefixes=False)(WORDS, " red lorry")
    monkeypatch.setattr(runner, "MIN_LOGITS", 1)
    made: list[int] = []
    model.get_output_embeddings().register_forward_hook(  # pyright: ignore[reportCallIssue]
        lambda module, args, output: made.append(output.shape[1])
    )
    [few] = KernelShap(model, tokenizer, **options)(WORDS, " red lorry")
    torch.testing.assert_close(few.values, plain.values, atol=1e-5, rtol=1e-5)
    if family in ("lfm2", "mamba"):
        assert made[-1] == len(tokenizer.encode(" red lorry"))


def test_a_batch_is_bound_by_its_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    model, tokenizer = build("llama"), byte_bpe()
    [expected] = KernelShap(model, tokenizer, budget=40, progress=False)(WORDS, " red")
    shapes = watched(model)
    monkeypatch.setitem(memory.BATCH_TOKENS, "cpu", 60)
    [result] = KernelShap(model, tokenizer, budget=40, progress=False)(WORDS, " red")
    assert all(shape[0] == 1 or shape.numel() <= 60 for shape in shapes)
    assert any(shape[0] > 1 for shape in shapes)
    torch.testing.assert_close(result.values, expected.values, atol=1e-5, rtol=1e-5)


def test_leaving_out_reads_little_more_than_half_in_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    model, tokenizer = build("llama"), byte_bpe()
    monkeypatch.setattr(memory, "FORWARD_TOKENS", 4)
    [plain] = Occlusion(model, tokenizer, share_prefixes=False, progress=False)(LONG, " red")
    found = []
    for bytes_kept in (2**28, 2**17):
        monkeypatch.setattr(memory, "LEAST_KEPT", bytes_kept)
        [result] = Occlusion(model, tokenizer, progress=False)(LONG, " red")
        torch.testing.assert_close(result.values, plain.values, atol=1e-5, rtol=1e-5)
        found.append(result.counts.tokens / plain.counts.tokens)
    assert found[0] < 0.56 and found[0] <= found[1] < 0.9


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_bytes_of_states_are_those_of_a_cache(family: str) -> None:
    model = build(family)
    with torch.no_grad():
        cache = model(torch.arange(10, 40)[None], use_cache=True).past_key_values
    held = sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)
    assert Memory.of(model).state * 30 == held
    assert Memory.of(model).model == sum(t.nbytes for t in (*model.parameters(), *model.buffers()))
