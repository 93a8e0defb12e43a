"""Masks and padding are tried on the model: what is found is what plain forwards show."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import transformers as hf
from support.zoo import CAUSAL, CLASSIFIERS, SEQ2SEQ, VOCABULARY, build, byte_bpe

from interpreto_mllm import Attend, Drop, ExactShapley, InferenceModes
from interpreto_mllm.engine.batches import Grouping
from interpreto_mllm.engine.encoders import ClassifierScorer
from interpreto_mllm.engine.probes import counts_positions_by_mask
from interpreto_mllm.engine.queries import Classify
from interpreto_mllm.engine.whole_prompts import WholePrompts
from interpreto_mllm.prompts.model_input import ModelInput
from interpreto_mllm.prompts.processing import Processing

SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}


def falcon(alibi: bool) -> Any:
    return hf.FalconForCausalLM(hf.FalconConfig(vocab_size=VOCABULARY, alibi=alibi, **SIZES))


def opt_classifier() -> Any:
    return hf.OPTForSequenceClassification(
        hf.OPTConfig(vocab_size=VOCABULARY, word_embed_proj_dim=32, ffn_dim=64, max_position_embeddings=256, **SIZES)
    )


def unpadded(kind: type, config: Any) -> Any:
    """A classifier that pools the last token and knows no padding token."""
    config.num_labels, config.pad_token_id = 3, None
    return kind(config)


MODELS: dict[str, Callable[[], Any]] = {
    **{name: functools.partial(build, name) for name in [*CAUSAL, *SEQ2SEQ, *CLASSIFIERS]},
    "small weights": lambda: CAUSAL["llama"](),
    "falcon": lambda: falcon(False),
    "falcon with alibi": lambda: falcon(True),
    "opt classifier": opt_classifier,
    "gpt2 without padding": lambda: unpadded(
        hf.GPT2ForSequenceClassification, hf.GPT2Config(vocab_size=VOCABULARY, n_embd=32, n_layer=2, n_head=4)
    ),
    "llama without padding": lambda: unpadded(
        hf.LlamaForSequenceClassification, hf.LlamaConfig(vocab_size=VOCABULARY, intermediate_size=64, **SIZES)
    ),
}
CLOSING = {"bloom", "falcon with alibi", "opt classifier"}
"""Models in which masked tokens take no position."""
POOLING_PADDING = {"gpt2 without padding", "llama without padding"}
"""Classifiers that pool the last token of a row, padding included."""


def make(name: str, dtype: torch.dtype = torch.float32) -> Any:
    torch.manual_seed(0)
    return MODELS[name]().eval().to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", MODELS)
def test_a_mask_closes_up_in_few_families(name: str, dtype: torch.dtype) -> None:
    model = make(name, dtype)
    gives_positions = not (name in CLASSIFIERS or name in SEQ2SEQ or name == "opt classifier")
    assert counts_positions_by_mask(model, gives_positions) == (name in CLOSING)


def test_positions_that_are_given_keep_their_place() -> None:
    """OPT counts by the mask unless it is given positions."""
    assert counts_positions_by_mask(make("opt"), gives_positions=False)
    assert not counts_positions_by_mask(make("opt"), gives_positions=True)


@pytest.mark.parametrize("name", [name for name in MODELS if "classifier" in name or "padding" in name or name in CLASSIFIERS])
def test_padding_changes_what_is_pooled_without_a_padding_token(name: str) -> None:
    model = make(name)
    ids = torch.arange(20, 27)
    padding = model.config.pad_token_id or 0
    prompts = WholePrompts(model, Processing(byte_bpe(), model), batch_size=8)
    rows = [Classify(ModelInput(np.arange(20, 20 + length)), (0,)) for length in (7, 8)]
    with torch.no_grad():
        batches = list(ClassifierScorer(prompts, InferenceModes.LOGITS).score(rows))
    assert len(batches) == (1 if name not in POOLING_PADDING else 2)
    assert (prompts.batches.grouping is Grouping.ANY) == (name not in POOLING_PADDING)
    with torch.no_grad():
        plain = model(input_ids=ids[None]).logits
        longer = torch.cat([ids, torch.tensor([padding])])[None]
        padded = model(input_ids=longer, attention_mask=(torch.arange(8) < 7).long()[None]).logits
    assert torch.allclose(plain, padded, atol=1e-5) == (name not in POOLING_PADDING)


@pytest.mark.parametrize("name", sorted(POOLING_PADDING))
def test_texts_go_one_by_one_where_padding_would_count(name: str) -> None:
    model, tokenizer = make(name), byte_bpe()
    tokenizer.pad_token = None
    [result] = ExactShapley(model, tokenizer, occlusion=Drop(), batch_size=8, progress=False)("the sky is blue", 1)
    assert result.counts.forwards == len(result.coalitions)
    ids = tokenizer.encode("the sky is blue")
    with torch.no_grad():
        expected = model(input_ids=torch.tensor([ids])).logits.log_softmax(-1)[0, 1].double()
    torch.testing.assert_close(result.full[0].double(), expected, atol=1e-5, rtol=1e-5)


def test_a_trial_costs_two_forwards_and_only_attend_needs_them() -> None:
    model = make("gpt2").train()
    calls: list[tuple[int, ...]] = []
    handle = model.transformer.register_forward_hook(
        lambda module, args, kwargs, output: calls.append(tuple([*args, kwargs.get("input_ids")][0].shape)), with_kwargs=True
    )
    ExactShapley(model, byte_bpe(), occlusion=Drop())
    assert not calls
    ExactShapley(model, byte_bpe(), occlusion=Attend())
    assert calls == [(1, 12), (1, 8), (1, 12), (1, 12)], "positions, and what is masked"
    ExactShapley(model, byte_bpe(), occlusion=Attend())
    assert len(calls) == 4, "what is known of a model is not tried again"
    assert model.training and torch.is_grad_enabled()
    handle.remove()
