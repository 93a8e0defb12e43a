"""A result says with what it was computed, and the same scores come out of its file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.zoo import build, byte_bpe

from interpreto_mllm import (
    Attend,
    Attribution,
    AttributionExplainer,
    AutoShapley,
    Boxes,
    Fill,
    Granularity,
    HierarchicalShapley,
    InferenceModes,
    KernelShap,
    Lime,
    Masks,
    MonteCarloShapley,
    Mute,
    Occlusion,
    OtherModalities,
    Patches,
    PermutationShapley,
    RemoteModel,
    Replace,
    ReplaceImage,
    ResponseSimilarity,
    ScreenedShapley,
    Sign,
    Sobol,
    SpokenWords,
    StopPhrases,
    Tolerance,
    TopK,
    TopPairs,
    WhiteNoise,
    Windows,
    punctuation,
)
from interpreto_mllm.aggregators import KernelAggregator
from interpreto_mllm.explainers.packing import Lost, packed, unpacked
from interpreto_mllm.perturbators import KernelPerturbator
from interpreto_mllm.results.settings import Settings
from interpreto_mllm.similarity import External, TfIdf
from interpreto_mllm.testbed import load_hearing, load_sight, sample_clip_prompts, sample_scene_prompts

FACT = "the apple is red . what is it ?"
BASE: dict[str, Any] = {"progress": False, "budget": 40}
SIMILARITY = ResponseSimilarity(similarity=TfIdf(), generate={"max_new_tokens": 2})


def from_file(explanation: Attribution, path: Path) -> Settings:
    explanation.save(path)
    settings = Attribution.load(path).settings
    assert settings is not None and settings == explanation.settings
    return settings


CALLS: dict[str, tuple[type[AttributionExplainer], dict[str, Any]]] = {
    "defaults": (KernelShap, {}),
    "sentences": (KernelShap, {"granularity": Granularity.SENTENCE, "budget": 4}),
    "spans": (KernelShap, {"granularity": [(0, 3), (4, 9), (13, 16)], "budget": 8}),
    "replace": (KernelShap, {"occlusion": Replace("it"), "size_effects": False, "seed": 3}),
    "logits": (Lime, {"inference_mode": InferenceModes.LOGITS, "kernel_width": 0.5}),
    "pinned texts": (PermutationShapley, {"pinned": ["the", 3], "antithetic": False}),
    "punctuation": (Sobol, {"pinned": punctuation, "order": "first"}),
    "phrases": (Occlusion, {"pinned": StopPhrases("the", "is"), "window": 2}),
    "modality": (KernelShap, {"pinned": OtherModalities("text", also=punctuation)}),
    "limited": (MonteCarloShapley, {"cover_minimal": True}),
    "groups": (KernelShap, {"groups": [0, 0, 1, 1, 2, 3, 4, 5, 6]}),
    "top": (KernelShap, {"until": TopK(1), "budget": 90}),
    "whole answers": (KernelShap, {"rows": "answer", "until": TopPairs(1, index="FSII"), "budget": 20, "pinned": [0]}),
    "tree": (HierarchicalShapley, {"hierarchy": [[0, 1, 2, 3, 4], [5, 6, [7, 8]]]}),
    "screened": (ScreenedShapley, {"hierarchy": [[0, 1, 2, 3, 4], [5, 6, [7, 8]]], "budget": 40}),
    "chosen": (AutoShapley, {"roles": ("user", "system")}),
    "answers": (KernelShap, {"inference_mode": SIMILARITY}),
    "parts": (AttributionExplainer, {"perturbator": KernelPerturbator(), "aggregator": KernelAggregator(False)}),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_text_is_explained_again_from_a_file(recall: Any, name: str, tmp_path: Path) -> None:
    method, options = CALLS[name]
    target = None if name == "answers" else " red"
    [one] = method(*recall, **{**BASE, **options})(FACT, target)
    settings = from_file(one, tmp_path / "one.json")
    for kind in (method, AttributionExplainer):
        again = kind.from_settings(*recall, settings)
        assert type(again) is method
    [two] = again(FACT, target)
    assert two.attributions.equal(one.attributions) and two.coalitions.equal(one.coalitions)
    assert two.settings == one.settings and two.fingerprint == one.fingerprint
    assert settings.method == method.__name__


def test_attention_is_masked_again() -> None:
    model, tokenizer = build("llama"), byte_bpe()
    [one] = KernelShap(model, tokenizer, occlusion=Attend(), **BASE)("the sky is blue", "!")
    [two] = KernelShap.from_settings(model, tokenizer, one.settings)("the sky is blue", "!")
    assert two.attributions.equal(one.attributions)


def test_pictures_and_clips_are_explained_again_from_a_file(tmp_path: Path) -> None:
    [scene], [clip] = sample_scene_prompts(1, things=3, seed=1, asks="colour"), sample_clip_prompts(1, seed=0)
    other = np.random.default_rng(0).integers(0, 256, (48, 48, 3), dtype=np.uint8)
    for model, prompt, options in (
        (load_sight(), scene, {"image_granularity": Patches(2, 2), "image_occlusion": Fill("grey")}),
        (load_sight(), scene, {"image_granularity": Boxes([(0, 0, 96, 96)]), "image_occlusion": ReplaceImage(other)}),
        (load_hearing(), clip, {"audio_granularity": Windows(900), "audio_occlusion": WhiteNoise(3, 0.5)}),
    ):
        [one] = KernelShap(*model, pinned=punctuation, **BASE, **options)(prompt.messages, "red")
        settings = from_file(one, tmp_path / "one.json")
        [two] = AttributionExplainer.from_settings(*model, settings)(prompt.messages, "red")
        assert two.attributions.equal(one.attributions) and two.fingerprint == one.fingerprint


@pytest.mark.parametrize(
    "value",
    [
        {"max_new_tokens": 3, "stop": ["a"]},
        Masks(np.eye(3, dtype=bool)[None]),
        SpokenWords([("a", 0.0, 0.5)], refine=True),
        Mute(),
        Sign(0, 2, confidence=0.9),
        Tolerance(float("inf")),
        np.arange(3),
        frozenset({"a", "b"}),
    ],
)
def test_values_come_back_from_json(value: Any) -> None:
    data = json.loads(json.dumps(packed(value), allow_nan=False))
    again = unpacked(data)
    assert type(again) is type(value) and packed(again) == data


def own_filter(feature: Any) -> bool:
    return feature.text == "the"


def test_what_a_file_cannot_hold_must_be_given_again(recall: Any, tmp_path: Path) -> None:
    [one] = KernelShap(*recall, pinned=own_filter, **BASE)(FACT, " red")
    settings = from_file(one, tmp_path / "one.json")
    assert "own_filter" in settings.readable()["pinned"]
    with pytest.raises(ValueError, match=r"pinned was <function own_filter .*give it again.*pinned=\.\.\."):
        KernelShap.from_settings(*recall, settings)
    [two] = KernelShap.from_settings(*recall, settings, pinned=own_filter)(FACT, " red")
    assert two.attributions.equal(one.attributions)


def test_settings_of_others_are_refused(recall: Any) -> None:
    [one] = KernelShap(*recall, **BASE)(FACT, " red")
    assert one.settings is not None
    with pytest.raises(ValueError, match=r"of KernelShap, but Lime\.from_settings makes Lime"):
        Lime.from_settings(*recall, one.settings)
    with pytest.raises(ValueError, match=r"of Unheard, but AttributionExplainer\.from_settings makes .*KernelShap"):
        AttributionExplainer.from_settings(*recall, Settings("Unheard"))
    with pytest.raises(TypeError, match="KernelShap has no option 'bugdet'"):
        KernelShap.from_settings(*recall, one.settings, bugdet=3)


@pytest.mark.usefixtures("unchecked")
def test_a_result_is_no_settings(recall: Any) -> None:
    with pytest.raises(TypeError, match=r"the settings of a result, explanation\.settings; got None"):
        KernelShap.from_settings(*recall)
    with pytest.raises(TypeError, match=r"the settings of a result, explanation\.settings; got 'Lime'"):
        KernelShap.from_settings(*recall, "Lime")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "data",
    [
        {"class": "External", "arguments": {"model": "somebody/else"}},
        {"class": "Popen", "arguments": {"args": "ls"}},
        {"function": "system"},
        {"member": "os.system"},
        {"pickle": "gASV"},
    ],
)
def test_a_file_names_nothing_but_what_is_in_the_tables(recall: Any, data: Any) -> None:
    with pytest.raises(Lost):
        unpacked(data)
    [one] = KernelShap(*recall, **BASE)(FACT, " red")
    assert one.settings is not None
    tampered = Settings.from_data({**one.settings.to_data(), "options": {**one.settings.options, "pinned": data}})
    with pytest.raises(ValueError, match=r"pinned was .*give it again"):
        KernelShap.from_settings(*recall, tampered)
    assert packed(External(lambda texts: None, "tokenizer"))["repr"]


def test_settings_are_shown_and_hold_no_secret(recall: Any, tmp_path: Path) -> None:
    [one] = KernelShap(*recall, pinned=["<b>", "the"][1:], occlusion=Replace("it"), **BASE)(FACT, " red")
    assert "settings: size_effects=True, granularity=Granularity.WORD, occlusion=Replace(replacement='it'" in repr(one)
    assert "budget=40" in repr(one) and repr(one).endswith("; Lfm2ForCausalLM")
    one.to_html(tmp_path / "one.html")
    page = (tmp_path / "one.html").read_text(encoding="utf-8")
    assert '<details class="settings"><summary>Settings</summary>' in page and "<th>pinned</th><td>[&#x27;the&#x27;]" in page
    assert one.settings is not None
    assert set(one.settings.versions) == {"interpreto_mllm", "torch", "transformers", "python"}
    remote = RemoteModel("https://me:secret@host/v1", "m", api_key="secret")
    explainer = KernelShap(remote, inference_mode=SIMILARITY)
    settings = explainer.described(explainer.settings, explainer._adapter)
    assert dict(settings.model) == {"server": "https://host/v1", "name": "m", "route": "chat"}
    assert settings.generation["max_new_tokens"] == 2 and "secret" not in json.dumps(settings.to_data())


def test_views_keep_the_settings(recall: Any) -> None:
    [one] = KernelShap(*recall, **BASE)(FACT, " red")
    assert one.span().settings == one.normalized("abs_sum").settings == one.settings is not None
