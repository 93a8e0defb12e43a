"""Models, methods and games that are refused."""

from __future__ import annotations

from typing import Any

import torch
import transformers as hf
from support import zoo
from support.refusals.row import SKY, Row, bpe, llama

from interpreto_mllm import (
    Attend,
    AttributionExplainer,
    ExactShapley,
    HierarchicalShapley,
    InferenceModes,
    KernelShap,
    ResponseSimilarity,
    play,
)
from interpreto_mllm.aggregators import KernelAggregator, ShapleyAggregator
from interpreto_mllm.perturbators import ExactPerturbator, KernelPerturbator


def meta() -> Any:
    with torch.device("meta"):
        return hf.LlamaForCausalLM(llama().config)


def canine() -> Any:
    config = hf.CanineConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, num_hash_buckets=8
    )
    return hf.CanineModel(config)


def larger() -> Any:
    tokenizer = zoo.byte_bpe()
    tokenizer.add_tokens([f"word{index}" for index in range(200)])
    return tokenizer


def broken() -> Any:
    model = zoo.build("llama")
    with torch.no_grad():
        model.lm_head.weight[:] = torch.nan
    return model


def parts(perturbator: Any, aggregator: Any) -> Any:
    return AttributionExplainer(llama(), bpe(), perturbator=perturbator, aggregator=aggregator)


def played(game: Any) -> Any:
    return play(game, ExactPerturbator(), ShapleyAggregator(), n_features=2, progress=False)


MODELS = [
    Row("the name of a model", lambda: KernelShap("gpt2", bpe()), "model must be a transformers model; got str", TypeError),
    Row(
        "the class of a model",
        lambda: KernelShap(hf.LlamaForCausalLM, bpe()),
        "got the class LlamaForCausalLM: give an instance",
        TypeError,
    ),
    Row(
        "a model of torch",
        lambda: KernelShap(torch.nn.Linear(2, 2), bpe()),
        "model must be a transformers model; got Linear",
        TypeError,
    ),
    Row("a model on the meta device", lambda: KernelShap(meta(), bpe()), "is on the meta device: it has no weights"),
    Row(
        "a model without a head",
        lambda: KernelShap(llama().model, bpe()),
        "neither generates text nor classifies",
        TypeError,
        True,
    ),
    Row(
        "CANINE without a head",
        lambda: KernelShap(canine(), hf.CanineTokenizer()),
        "neither generates text nor classifies",
        TypeError,
        True,
    ),
    Row(
        "no tokenizer",
        lambda: KernelShap(llama(), None),
        "tokenizer must be the model's tokenizer, or its processor",
        TypeError,
    ),
    Row(
        "another model's tokenizer",
        lambda: KernelShap(llama(), larger()),
        "The tokenizer has 580 tokens but the model's embedding only 512",
    ),
    Row(
        "`Attend()` for recurrent layers",
        lambda: KernelShap(zoo.build("mamba"), bpe(), occlusion=Attend()),
        "use Drop() or Replace(...)",
    ),
    Row(
        "a class where a perturbator is meant",
        lambda: parts(KernelPerturbator, KernelAggregator()),
        "Give an instance: KernelPerturbator()",
        TypeError,
    ),
    Row(
        "an aggregator in the perturbator's place",
        lambda: parts(KernelAggregator(), KernelPerturbator()),
        "perturbator must be a Perturbator",
        TypeError,
    ),
    Row(
        "exact values of many features",
        lambda: ExactShapley(llama(), bpe())("a " * 40, " x"),
        "Use KernelShap, PermutationShapley or MonteCarloShapley",
    ),
    Row(
        "a feature in two groups",
        lambda: HierarchicalShapley(llama(), bpe(), hierarchy=[[0, 1], [1, 2, 3]])(SKY, " x"),
        "Each feature belongs to exactly one group",
    ),
    Row(
        "an empty group",
        lambda: HierarchicalShapley(llama(), bpe(), hierarchy=[[0], []])(SKY, " x"),
        "The grouping holds an empty group",
    ),
    Row(
        "earlier evaluations of another number of prompts",
        lambda: KernelShap(llama(), bpe())(SKY, " x", evaluations=[]),
        "1 inputs but evaluations of 0",
    ),
    Row(
        "a game that returns nothing",
        lambda: played(lambda coalitions: None),
        "one row of values per coalition",
    ),
    Row(
        "a game of another shape", lambda: played(lambda coalitions: torch.zeros(3)), "one row of values per coalition, 2 here"
    ),
    Row(
        "a game without features",
        lambda: play(lambda s: s, ExactPerturbator(), ShapleyAggregator(), n_features=0),
        "the game has no features",
    ),
    Row("a similarity that is a class", lambda: ResponseSimilarity(similarity=KernelAggregator), "similarity must be"),
    Row(
        "weights that are not numbers",
        lambda: KernelShap(broken(), bpe(), inference_mode=InferenceModes.LOGITS)(SKY, " x"),
        "not finite",
        ValueError,
        True,
    ),
]
