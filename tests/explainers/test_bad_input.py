"""What cannot be explained is refused in the user's words, before the model is asked anything."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from support import zoo
from support.silent import Silent

from interpreto_mllm import (
    Attend,
    AttributionExplainer,
    ExactShapley,
    Granularity,
    HierarchicalShapley,
    InferenceModes,
    KernelShap,
    PermutationShapley,
    Replace,
    Template,
    play,
    punctuation,
)
from interpreto_mllm.aggregators import KernelAggregator, ShapleyAggregator
from interpreto_mllm.perturbators import ExactPerturbator, KernelPerturbator

pytestmark = pytest.mark.usefixtures("unchecked")
TOKENIZER = zoo.byte_bpe()
LLAMA, BERT, MAMBA = zoo.build("llama"), zoo.build("bert"), zoo.build("mamba")
CHAT = [{"role": "user", "content": "the sky"}]
SKY = "the sky is blue"


def refused(call, message: str, kind: type[Exception] = ValueError) -> None:
    with Silent(LLAMA, BERT, MAMBA) as silent, pytest.raises(kind, match=re.escape(message)):
        call()
    assert silent.forwards == 0


def kernel(model=LLAMA, tokenizer=TOKENIZER, **options) -> KernelShap:
    return KernelShap(model, tokenizer, **options)


INPUTS = {
    "empty prompt": ("", " x", "The prompt is empty"),
    "white space": (" \n\t", " x", "The prompt is empty"),
    "no inputs": ([], " x", "There are no inputs: the list is empty."),
    "an empty one among others": ([SKY, ""], " x", "The prompt is empty"),
    "no ids": ({"attention_mask": [1]}, " x", "An encoding needs 'input_ids'"),
    "only padding": ({"input_ids": [[5, 6]], "attention_mask": [[0, 0]]}, " x", "Row 0 of the encoding is empty"),
    "empty encoding": ({"input_ids": []}, " x", "Row 0 of the encoding is empty"),
    "foreign ids": ({"input_ids": [40, 600]}, " x", "The prompt has token id 600, the model's ids lie in [0, 512)"),
    "last word is the assistant's": ([*CHAT, {"role": "assistant", "content": "x"}], None, "ends with an assistant message"),
    "empty target": (SKY, "", "The target is empty"),
    "no targets": (SKY, [], "targets is empty"),
    "no ids in target": (SKY, torch.zeros(0, dtype=torch.int64), "The target is empty"),
    "foreign target ids": (SKY, [3, 512], "Target id 512 is out of range: the model's ids lie in [0, 512)"),
    "two inputs, three targets": ([SKY, SKY], [" a", " b", " c"], "2 inputs but 3 targets: give one target"),
    "prompt beyond the context": (SKY * 80, " x", "shorten it (nothing is truncated)"),
    "target beyond the context": (SKY, " blue" * 200, "shorten one of them (nothing is truncated)"),
    "too long together": ("a b" * 60, [5] * 140, "the model has 256: shorten one of them"),
}


@pytest.mark.parametrize(("inputs", "targets", "message"), INPUTS.values(), ids=INPUTS.keys())
def test_inputs_and_targets(inputs, targets, message):
    refused(lambda: kernel()(inputs, targets), message)


@pytest.mark.parametrize("inputs", [7, None, b"the sky", [3, 4], [None]])
def test_inputs_of_another_kind(inputs):
    refused(lambda: kernel()(inputs, " x"), "Give a string, a chat", TypeError)


@pytest.mark.parametrize("target", [7, 1.5, {"a": 1}])
def test_targets_of_another_kind(target):
    refused(lambda: kernel()(SKY, target), "A target of a language model is a text, token ids, a Contrast or None", TypeError)


CLASSES = {
    "beyond the last": (3, "Class 3 is out of range: the model has 3 classes, from 0."),
    "negative": (-1, "Class -1 is out of range"),
    "unknown name": ("joy", "no class named 'joy'; the model's classes are ['LABEL_0', 'LABEL_1', 'LABEL_2']"),
}


@pytest.mark.parametrize(("target", "message"), CLASSES.values(), ids=CLASSES.keys())
def test_classes(target, message):
    refused(lambda: kernel(BERT, zoo.wordpiece())(SKY, target), message)


SETTINGS = {
    "granularity as text": (
        dict(granularity="word"),
        "granularity must be a member such as Granularity.WORD, not the string 'word'",
    ),
    "granularity": (dict(granularity=3), "granularity must be one of Granularity.ALL_TOKENS"),
    "mode as text": (dict(inference_mode="softmax"), "inference_mode must be one of InferenceModes.LOGITS"),
    "no rows": (dict(batch_size=0), "batch_size must be a positive int; got 0"),
    "half a row": (dict(batch_size=1.5), "batch_size must be a positive int; got 1.5"),
    "a yes": (dict(batch_size=True), "batch_size must be a positive int; got True"),
    "roles": (dict(roles="user"), "roles must be a collection of role names, such as ('user',); got 'user'"),
    "no roles": (dict(roles=None), "roles must be a collection of role names"),
    "pin as text": (
        dict(pinned="the"),
        "pinned must be a list of texts or indices, or a filter such as punctuation; got 'the'",
    ),
    "pin as number": (dict(pinned=3), "pinned must be a list of texts or indices"),
    "seed": (dict(seed="a"), "seed must be an int; got 'a'"),
    "occlusion": (dict(occlusion="drop"), "occlusion must be Drop(), Replace(...) or Attend(); got 'drop'"),
    "no mask token": (dict(occlusion=Replace()), "no mask token: use Replace('some text'), Replace(token_id) or Drop()"),
    "mask out of range": (dict(occlusion=Replace(99999)), "token ids of this tokenizer lie in [0, 380)"),
    "mask of nothing": (dict(occlusion=Replace("")), "this text has no tokens; use Drop()"),
    "span": (dict(granularity=[(3, 1)]), "Span (3, 1) is wrong"),
}


@pytest.mark.parametrize(("options", "message"), SETTINGS.values(), ids=SETTINGS.keys())
def test_settings(options, message):
    refused(lambda: kernel(**options), message)


PLAY = {
    "everything pinned": (dict(pinned=["the", "sky", "is", "blue"]), "every feature of the prompt is pinned"),
    "filtered away": (dict(pinned=lambda feature: True), "every feature of the prompt is pinned"),
    "unknown pin": (dict(pinned=["moon"]), "pinned names 'moon'"),
    "groups": (dict(groups=[0]), "groups needs one label per feature: 4 features, 1 labels"),
    "nothing in the pieces": (dict(granularity=lambda text: []), "Nothing is left to explain"),
    "pieces": (dict(granularity=[(0, 50)]), "at most 15, the length of the text"),
    "small budget": (dict(budget=3), "KernelPerturbator needs a budget of at least 4 evaluations for 4 features; got 3"),
    "small fraction": (dict(budget=0.01), "needs a budget of at least 4"),
    "no budget": (dict(budget=0), "budget must be a positive int, or a fraction of 2^n in (0, 1]; got 0"),
    "negative budget": (dict(budget=-5), "budget must be a positive int"),
    "a yes": (dict(budget=True), "budget must be a positive int, or a fraction of 2^n in (0, 1]; got True"),
    "more than all": (dict(budget=1.5), "A float budget is a fraction of 2^n and lies in (0, 1]; got 1.5"),
    "not a number": (dict(budget=float("nan")), "budget must be a positive int, or a fraction"),
}


@pytest.mark.parametrize(("options", "message"), PLAY.values(), ids=PLAY.keys())
def test_settings_that_meet_their_prompt(options, message):
    refused(lambda: kernel(**options)(SKY, " x"), message)


@pytest.mark.parametrize("method", [PermutationShapley, ExactShapley])
def test_budgets_below_a_methods_minimum(method):
    minimum = {PermutationShapley: 5, ExactShapley: 16}[method]
    refused(
        lambda: method(LLAMA, TOKENIZER, budget=minimum - 1)(SKY, " x"), f"a budget of at least {minimum} evaluations for 4"
    )


def test_exact_values_of_many_features():
    call = lambda: ExactShapley(LLAMA, TOKENIZER)("a " * 40, " x")  # noqa: E731
    refused(call, "Exact values of 40 features take 2^40 = 1,099,511,627,776 evaluations")
    refused(call, "Use KernelShap, PermutationShapley or MonteCarloShapley")


def test_only_punctuation():
    refused(lambda: kernel(pinned=punctuation)("?!", " x"), "every feature of the prompt is pinned")


def test_unknown_argument():
    refused(lambda: kernel(granularty=Granularity.WORD), "granularty", TypeError)
    refused(lambda: kernel()(SKY, " x", budget=3), "budget", TypeError)


def test_parts():
    aggregator, perturbator = KernelAggregator(), KernelPerturbator()
    parts = lambda p, a: AttributionExplainer(LLAMA, TOKENIZER, perturbator=p, aggregator=a)  # noqa: E731
    refused(lambda: parts(KernelPerturbator, aggregator), "Give an instance: KernelPerturbator().", TypeError)
    refused(lambda: parts(perturbator, KernelAggregator), "Give an instance: KernelAggregator().", TypeError)
    refused(lambda: parts(aggregator, perturbator), "perturbator must be a Perturbator", TypeError)


def test_models_and_tokenizers():
    larger = zoo.byte_bpe()
    larger.add_tokens([f"word{index}" for index in range(200)])
    refused(lambda: kernel(LLAMA, larger), "The tokenizer has 580 tokens but the model's embedding only 512")
    refused(lambda: kernel(LLAMA, None), "tokenizer must be the model's tokenizer, or its processor; got NoneType", TypeError)
    refused(lambda: kernel("gpt2"), "model must be a transformers model; got str", TypeError)
    refused(lambda: kernel(torch.nn.Linear(2, 2)), "model must be a transformers model; got Linear", TypeError)
    refused(lambda: kernel(LLAMA.model), "neither generates text nor classifies", TypeError)
    refused(lambda: kernel(MAMBA, occlusion=Attend()), "use Drop() or Replace(...)")


def test_a_tokenizer_that_lacks_the_models_end():
    foreign = zoo.build("llama")
    foreign.config.eos_token_id = [2, 400]
    message = "The model ends its answers with token id 400, which the tokenizer (380 tokens) does not have"
    refused(lambda: kernel(foreign), message)
    foreign.config.eos_token_id = 2
    foreign.generation_config.eos_token_id = 400
    refused(lambda: kernel(foreign), message)
    foreign.generation_config.eos_token_id = 99999  # a default that is no id of this model either
    kernel(foreign)


def test_hierarchies():
    for hierarchy in ([[0, 1], [1, 2, 3]], [[0, 1]], [0, 1, 2, 3, 9]):
        with Silent(LLAMA) as silent, pytest.raises(ValueError, match=r"Each feature belongs|The grouping must hold"):
            HierarchicalShapley(LLAMA, TOKENIZER, hierarchy=hierarchy)(SKY, " x")
        assert silent.forwards == 0
    refused(lambda: HierarchicalShapley(LLAMA, TOKENIZER, hierarchy=[[0], []]), "The grouping holds an empty group")


def test_pins_and_groups_of_a_template():
    template = Template("{a} b {c}", {"a": "x", "c": "z"}, {"a": "y", "c": "y"})
    refused(lambda: kernel(pinned=["b"])(template, " x"), "pinned names 'b', which is not a feature of this prompt")
    refused(lambda: kernel(pinned=["x", "z"])(template, " x"), "every feature of the prompt is pinned")
    refused(lambda: kernel(groups=["x"])(template, " x"), "groups needs one label per feature: 2 features, 1 labels")


def test_games():
    arguments = dict(n_features=2, progress=False)
    parts = (ExactPerturbator(), ShapleyAggregator())
    with pytest.raises(ValueError, match="one row of values per coalition, 2 here; got shape"):
        play(lambda s: np.zeros(3), *parts, **arguments)
    with pytest.raises(ValueError, match="not finite"):
        play(lambda s: torch.full((len(s),), torch.nan), *parts, **arguments)
    with pytest.raises(ValueError, match="the game has no features"):
        play(lambda s: s.sum(1), *parts, n_features=0)


def test_values_that_are_not_finite():
    broken = zoo.build("llama")
    with torch.no_grad():
        broken.lm_head.weight[:] = torch.nan
    with pytest.raises(ValueError, match="not finite"):
        kernel(broken, inference_mode=InferenceModes.LOGITS)(SKY, " x")
