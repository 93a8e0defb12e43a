"""Every part of a fingerprint: where one thing is changed, evaluations are another game's, and the message names it."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import pytest
from support.zoo import build, byte_bpe

from interpreto_mllm import (
    Attend,
    Contrast,
    Drop,
    ExactShapley,
    Granularity,
    InferenceModes,
    Replace,
    ResponseSimilarity,
    Template,
)
from interpreto_mllm.core.fingerprint import differences
from interpreto_mllm.similarity import ExactMatch, TfIdf

TEXT, OTHER = "the sky is blue", "the sea is blue"
CHAT = [{"role": "system", "content": "be brief ."}, {"role": "user", "content": TEXT}]
TEMPLATE: dict[str, Any] = {"text": "{a} is {b}", "values": {"a": "sky", "b": "blue"}, "baselines": {"a": "sea", "b": "red"}}
MANY = {"a": list("bcdefgh"), "b": list("klmnopq")}
SIMILAR: dict[str, Any] = {"inference_mode": ResponseSimilarity(similarity=TfIdf(), generate={"max_new_tokens": 2})}


def longer(**generate: Any) -> dict[str, Any]:
    return {"inference_mode": ResponseSimilarity(similarity=TfIdf(), generate={"max_new_tokens": 2, **generate})}


@cache
def model() -> Any:
    return build("llama")


def changed(part: str) -> Any:
    other = copy.deepcopy(model())
    if part == "config":
        other.config.rms_norm_eps = 0.1
    elif part == "weights":
        other.lm_head.weight.data[3] *= 1.01
    else:
        other.generation_config.repetition_penalty = 1.5
    return other


def template(**arguments: Any) -> Template:
    return Template(**{**TEMPLATE, **arguments})


# what is changed: (options, input, target) before and after, and the name of what differs
CHANGES: dict[str, tuple[Any, Any, str]] = {
    "prompt": (({}, TEXT, "!"), ({}, OTHER, "!"), "text"),
    "occlusion": (({}, TEXT, "!"), ({"occlusion": Attend()}, TEXT, "!"), "occlusion"),
    "baseline": (({"occlusion": Replace("a")}, TEXT, "!"), ({"occlusion": Replace("b")}, TEXT, "!"), "occlusion"),
    "retokenized": (({}, TEXT, "!"), ({"occlusion": Drop(retokenize=True)}, TEXT, "!"), "occlusion"),
    "granularity": (({}, TEXT, "!"), ({"granularity": Granularity.TOKEN}, TEXT, "!"), "features"),
    "value function": (({}, TEXT, "!"), ({"inference_mode": InferenceModes.SOFTMAX}, TEXT, "!"), "value function"),
    "similarity": (
        (SIMILAR, TEXT, "a"),
        ({"inference_mode": ResponseSimilarity(similarity=ExactMatch(), generate={"max_new_tokens": 2})}, TEXT, "a"),
        "value function",
    ),
    "target": (({}, TEXT, "!"), ({}, TEXT, "?"), "targets"),
    "contrast": (({}, TEXT, Contrast("a", "b")), ({}, TEXT, Contrast("b", "a")), "targets"),
    "roles": (({}, CHAT, "!"), ({"roles": ("system", "user")}, CHAT, "!"), "features"),
    "pins": (({}, TEXT, "!"), ({"pinned": ["the"]}, TEXT, "!"), "features"),
    "groups": (({}, TEXT, "!"), ({"groups": [0, 0, 1, 1]}, TEXT, "!"), "features"),
    "tokens of an answer": ((SIMILAR, TEXT, "a"), (longer(max_new_tokens=3), TEXT, "a"), "generation"),
    "drawn answers": ((SIMILAR, TEXT, "a"), (longer(do_sample=True), TEXT, "a"), "generation"),
    "seed of drawn answers": (
        (longer(do_sample=True), TEXT, "a"),
        ({**longer(do_sample=True), "seed": 5}, TEXT, "a"),
        "generation",
    ),
    "template's text": (({}, template(), "!"), ({}, template(text="{a} was {b}"), "!"), "template"),
    "template's values": (({}, template(), "!"), ({}, template(values={"a": "sun", "b": "blue"}), "!"), "template"),
    "template's baselines": (({}, template(), "!"), ({}, template(baselines={"a": "sun", "b": "red"}), "!"), "template"),
    "template's draws": (({}, template(baselines=MANY), "!"), ({}, template(baselines=MANY, draws=15), "!"), "template"),
    "template's seed": (({}, template(baselines=MANY), "!"), ({}, template(baselines=MANY, seed=1), "!"), "template"),
}


@pytest.mark.parametrize("part", CHANGES)
def test_one_change_is_another_game_and_named(part: str) -> None:
    before, after, name = CHANGES[part]
    [one, same, other] = [
        ExactShapley(model(), byte_bpe(), **options).game(given, target).fingerprint
        for options, given, target in (before, before, after)
    ]
    assert one == same
    found = differences(one, other)
    assert any(difference.startswith(name) for difference in found), found


@pytest.mark.parametrize("part", ["config", "weights", "generation config"])
def test_one_change_of_the_model_is_another_game_and_named(part: str) -> None:
    options = SIMILAR if part == "generation config" else {}
    one, other = (ExactShapley(each, byte_bpe(), **options).game(TEXT, "a").fingerprint for each in (model(), changed(part)))
    assert [difference for difference in differences(one, other) if part in difference.partition(":")[0]]
