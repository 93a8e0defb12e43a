"""Models are tried on short prompts in the place of long ones where these show the same, and are found out on them."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
import torch
from support.quick import each
from support.zoo import CAUSAL, build, byte_bpe

from interpreto_mllm import Attend, Attribution, Drop, Granularity, Occlusion
from interpreto_mllm.engine.prefixes import PrefixOrder
from interpreto_mllm.engine.queries import Score
from interpreto_mllm.engine.stand_ins import SHARED, TOKENS, goes_the_same_way, stand_in_tree, stand_in_with_hidden, stand_ins
from interpreto_mllm.prompts.model_input import ModelInput

SENTENCES = "the sky is blue . the sea is green . a lorry is red and yellow . the grass grows in the sun . " * 3
CLOSE: dict[str, Any] = {"atol": 1e-4, "rtol": 1e-4}


def llama(**settings: Any) -> Any:
    """One whose settings allow for long prompts."""
    model: Any = build("llama")
    for name, value in {"max_position_embeddings": 4096, **settings}.items():
        setattr(model.config, name, value)
    return model


def explained(model: Any, **given: Any) -> Attribution:
    """Sentences left out in turn, and all kinds of trials."""
    options: dict[str, Any] = {"granularity": Granularity.SENTENCE, "progress": False, **given}
    [result] = Occlusion(model, byte_bpe(), **options)(SENTENCES, " red lorry")
    return result


def same(model: Any, **options: Any) -> None:
    """The fast values are the plain ones."""
    fast, plain = explained(model, **options), explained(model, **options, share_prefixes=False, batch_size=1)
    torch.testing.assert_close(fast.values, plain.values, **CLOSE)


@pytest.mark.parametrize("occlusion", [Drop(), Attend()])
def test_trials_cost_little_beside_a_long_prompt(occlusion: Any) -> None:
    model, tokens = llama(), 0
    forward = model.forward

    @functools.wraps(forward)
    def counting(*positional: Any, **named: Any) -> Any:
        nonlocal tokens
        tokens += named["input_ids"].numel()
        return forward(*positional, **named)

    model.forward = counting
    first = explained(model, occlusion=occlusion)
    trials, whole = tokens - first.counts.tokens, len(byte_bpe().encode(SENTENCES))
    assert 0 < trials < 45 * TOKENS
    assert whole > 3 * TOKENS
    tokens = 0
    again = explained(model, occlusion=occlusion)
    assert tokens == again.counts.tokens == first.counts.tokens, "what was found is remembered"
    assert torch.equal(first.values, again.values)
    same(model, occlusion=occlusion)


@pytest.mark.parametrize("name", each(CAUSAL, ["gpt2"]))
def test_long_prompts_have_their_plain_values_in_all_families(name: str) -> None:
    same(build(name))


def test_rows_that_are_mixed_are_found_out() -> None:
    model = llama()
    model.model.embed_tokens.register_forward_hook(lambda module, given, output: output + 0.3 * output.mean(0))
    result = explained(model, batch_size=4)
    assert any("each is computed by itself" in note for note in result.notes)


def test_caches_that_change_numbers_are_found_out() -> None:
    model = llama()
    forward = model.forward

    @functools.wraps(forward)
    def spoiled(*positional: Any, **named: Any) -> Any:
        output = forward(*positional, **named)
        cache = named.get("past_key_values")
        if cache is not None and cache.get_seq_length() > named["input_ids"].shape[1]:
            output.logits = output.logits.roll(1, -1)
        return output

    model.forward = spoiled
    same(model)


def test_a_model_that_reads_ahead_is_refused() -> None:
    model = llama()
    model.model.layers[0].self_attn.is_causal = False
    model.config._attn_implementation = "eager"
    model.model.layers[0].register_forward_hook(lambda module, given, output: output + output.mean(1, keepdim=True))
    with pytest.raises(ValueError, match="answer"):
        explained(model)


def test_where_a_length_may_matter_nothing_stands_in() -> None:
    long = [ModelInput(np.arange(100))]
    assert goes_the_same_way(llama(), long)
    assert not goes_the_same_way(llama(), [ModelInput(np.arange(TOKENS))]), "it is as short"
    assert not goes_the_same_way(llama(max_position_embeddings=150), long), "an answer may go beyond"
    assert not goes_the_same_way(llama(window_of_something=64), long)
    assert goes_the_same_way(llama(window_of_something=512, hidden_size=64), long)
    assert not goes_the_same_way(llama(rope_parameters={"original": 64}), long)
    assert not goes_the_same_way(llama(layer_types=["full_attention", "conv"]), long)
    assert not goes_the_same_way(llama().to(torch.bfloat16), long)
    assert not goes_the_same_way(build("mamba"), long)


def test_stand_ins_are_the_end_of_a_prompt() -> None:
    seen = np.arange(100) % 3 > 0
    query = Score(ModelInput(np.arange(100), positions=np.arange(100) * 2), (1, 2))
    ends = stand_ins(query)
    assert [len(each.input.ids) for each in ends] == [36, 24, 12, 36]
    assert all(each.input.ids[-1] == 99 and each.input.places()[-1] == 198 for each in ends[:3])
    assert ends[3].input.ids.tolist() != ends[0].input.ids.tolist()
    hidden = stand_in_with_hidden(Score(ModelInput(np.arange(100), seen), (1,)))
    assert hidden.input.ids.tolist() == list(range(64, 100))
    assert hidden.input.seen is not None and hidden.input.seen[-1] and 10 < hidden.input.seen.sum() < 30


@pytest.mark.parametrize("hidden", [False, True])
def test_the_tree_of_stand_ins_says_what_its_rows_share(hidden: bool) -> None:
    root, rows = stand_in_tree(ModelInput(np.arange(100) % 7, positions=np.arange(100) + 5), hidden)
    assert all((row.input.seen is not None) == hidden for row in rows)
    for child in root.children:
        nodes = [child, *child.children]
        for node in nodes:
            for leaf in node.leaves:
                assert (rows[leaf].input.ids[: node.length] == rows[node.sample].input.ids[: node.length]).all()
                assert (rows[leaf].input.places()[: node.length] == np.arange(64, 100)[: node.length] + 5).all()
    assert PrefixOrder([row.input.ids for row in rows[:2]]).shared[1] >= SHARED
    assert sorted(leaf for child in root.children for node in (child, *child.children) for leaf in node.leaves) == [0, 1, 2, 3]
    assert rows[0].input.ids.tolist() != rows[1].input.ids.tolist()
