"""Evaluations are taken over by the game that they are of, and by no other; the message names what differs."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.server import Server
from support.zoo import build, byte_bpe

from interpreto_mllm import (
    Attend,
    Attribution,
    Blur,
    Contrast,
    ExactShapley,
    Fill,
    Granularity,
    InferenceModes,
    KernelShap,
    Patches,
    PermutationShapley,
    RemoteModel,
    Replace,
    ResponseSimilarity,
    Template,
    TopK,
    WhiteNoise,
    Windows,
    punctuation,
)
from interpreto_mllm.core.fingerprint import UNCHECKED
from interpreto_mllm.similarity import ExactMatch, TfIdf
from interpreto_mllm.testbed import load_hearing, load_sight, sample_clip_prompts, sample_scene_prompts

FACT = "the apple is red . what is it ?"
OPTIONS: dict[str, Any] = {"budget": 24, "progress": False}
SAY: dict[str, Any] = {"generate": {"max_new_tokens": 2}}
SIMILARITY = ResponseSimilarity(similarity=TfIdf(), **SAY)


def plus(amount: float) -> Any:
    return lambda logits, targets: logits.gather(-1, targets[..., None])[..., 0] + amount


def slots(baseline: str) -> Template:
    return Template("the {thing} is {what} .", {"thing": "apple", "what": "red"}, {"thing": baseline, "what": "it"})


@pytest.fixture(scope="module")
def sight() -> Any:
    return load_sight()


@pytest.fixture(scope="module")
def scenes() -> list[Any]:
    """The same question about two pictures."""
    one, other = (prompt.messages for prompt in sample_scene_prompts(2, things=3, seed=1, asks="colour"))
    other = copy.deepcopy(other)
    for there, here in zip(one[0]["content"], other[0]["content"], strict=True):
        if there["type"] == "text":
            here["text"] = there["text"]
    return [one, other]


def refused(explainers: tuple[Any, Any], inputs: Any, targets: Any, words: str, path: Path) -> None:
    """What the first explainer evaluated of the first input is refused by the second one, given as a result or a checkpoint."""
    first, second = explainers
    here, there = inputs if isinstance(inputs, tuple) else (inputs, inputs)
    [told, asked] = targets if isinstance(targets, tuple) else (targets, targets)
    [one] = first(here, told, checkpoint=path)
    with pytest.raises(ValueError, match=rf"are of another game: .*{words}"):
        second(there, asked, evaluations=[one])
    with pytest.raises(ValueError, match=rf"is of another call \(input 0: .*{words}"):
        second(there, asked, checkpoint=path)
    [again] = first(here, told, evaluations=[one])
    assert again.counts.paid == 0 and again.notes == one.notes


@pytest.mark.parametrize(
    "there, here, words",
    [
        ({}, {"occlusion": Attend()}, r"occlusion: Drop\(.*\) there, Attend\(\) here"),
        ({"occlusion": Replace("it")}, {"occlusion": Replace("is")}, "occlusion: Replace.*'it'.* there, Replace.*'is'.* here"),
        ({}, {"inference_mode": InferenceModes.SOFTMAX}, "value function: log_softmax there, softmax here"),
        ({"inference_mode": plus(1.0)}, {"inference_mode": plus(2.0)}, "value function: <lambda> .* there, <lambda> "),
        (
            {"granularity": [(0, 3), (4, 9)]},
            {"granularity": [(0, 3), (10, 12)]},
            "features: 'the', 'apple' .* there, 'the', 'is' .* here",
        ),
        ({"pinned": [0]}, {"pinned": [1]}, "features: 'apple', .* there, 'the', .* here"),
        ({"groups": [0, 0, 1, 1, 1, 1, 1, 1, 1]}, {"groups": [0, 1, 1, 1, 1, 1, 1, 1, 1]}, "features: 'the apple', "),
    ],
)
def test_other_options_are_another_game(recall: Any, there: Any, here: Any, words: str, tmp_path: Path) -> None:
    if "occlusion" in there or "occlusion" in here:
        recall = (build("llama"), byte_bpe()) if isinstance(here["occlusion"], Attend) else recall
    explainers = KernelShap(*recall, **OPTIONS, **there), KernelShap(*recall, **OPTIONS, **here)
    refused(explainers, FACT, " red" if len(recall[1]) < 100 else "!", words, tmp_path / "run.json")


def test_other_targets_and_templates_are_another_game(recall: Any, tmp_path: Path) -> None:
    explainer = KernelShap(*recall, **OPTIONS)
    both = explainer, explainer
    refused(both, FACT, (" red", " blue"), r"targets: 'red' #\w+ there, 'blue' #\w+ here", tmp_path / "targets")
    contrasts = Contrast(" red", " blue"), Contrast(" blue", " red")
    refused(both, FACT, contrasts, "targets: 'red − blue' #.* there, 'blue − red'", tmp_path / "contrasts")
    refused(both, (slots("dog"), slots("sky")), " red", "template: ", tmp_path / "templates")


def test_another_model_is_another_game(recall: Any, tmp_path: Path) -> None:
    model, tokenizer = build("llama"), byte_bpe()
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.lm_head.weight[5] *= 1.01
    explainers = KernelShap(model, tokenizer, **OPTIONS), KernelShap(other, tokenizer, **OPTIONS)
    refused(explainers, "the sky is blue", "!", r"the model's weights: .* there, .* here\.?", tmp_path / "weights")
    wider = copy.deepcopy(model)
    wider.config.rms_norm_eps = 0.1
    explainers = KernelShap(model, tokenizer, **OPTIONS), KernelShap(wider, tokenizer, **OPTIONS)
    refused(explainers, "the sky is blue", "!", "the model's config: ", tmp_path / "config")
    trained = KernelShap(model, tokenizer, **OPTIONS)
    [before] = trained("the sky is blue", "!")
    with torch.no_grad():
        model.lm_head.weight[5] *= 1.01
    with pytest.raises(ValueError, match="another game: the model's weights"):
        trained("the sky is blue", "!", evaluations=[before])


def test_another_picture_is_another_game(sight: Any, scenes: list[Any], tmp_path: Path) -> None:
    explainer = KernelShap(*sight, image_granularity=Patches(2, 2), pinned=punctuation, **OPTIONS)
    refused((explainer, explainer), tuple(scenes), "red", r"image 1: 192 × 192 #\w+ there, 192 × 192 #", tmp_path / "picture")
    for name, options, words in (
        (
            "fill",
            {"image_occlusion": Fill("red")},
            r"occlusion of image 1: Fill\(colour='mean'\) .* there, Fill\(colour='red'\)",
        ),
        ("blur", {"image_occlusion": Blur(9)}, r"occlusion of image 1: Fill\(colour='mean'\) .* there, Blur\(radius=9\)"),
        ("pieces", {"image_granularity": shifted}, r"pieces of image 1: 4 #\w+ there, 4 #\w+ here"),
    ):
        settings = {"image_granularity": Patches(2, 2), "pinned": punctuation, **OPTIONS, **options}
        refused((explainer, KernelShap(*sight, **settings)), scenes[0], "red", words, tmp_path / name)


def shifted(pixels: np.ndarray) -> np.ndarray:
    return np.roll(Patches(2, 2)(pixels), 1, axis=2)


def test_another_clip_is_another_game(tmp_path: Path) -> None:
    hearing, [one, other] = load_hearing(), (prompt.messages for prompt in sample_clip_prompts(2, seed=0))
    other = copy.deepcopy(other)
    for there, here in zip(one[0]["content"], other[0]["content"], strict=True):
        if there["type"] == "text":
            here["text"] = there["text"]
    explainer = KernelShap(*hearing, audio_granularity=Windows(900), **OPTIONS)
    refused((explainer, explainer), (one, other), "high", "clip 1: .* there, ", tmp_path / "clip")
    noisy = KernelShap(*hearing, audio_granularity=Windows(900), audio_occlusion=WhiteNoise(1), **OPTIONS)
    refused((explainer, noisy), one, "high", r"occlusion of clip 1: Mute\(\) .* there, WhiteNoise\(seed=1", tmp_path / "noise")


def test_answers_under_another_similarity_are_compared_anew(recall: Any, tmp_path: Path) -> None:
    first = KernelShap(*recall, inference_mode=SIMILARITY, **OPTIONS)
    [one] = first(FACT, checkpoint=tmp_path / "run.json")
    other = KernelShap(*recall, inference_mode=ResponseSimilarity(similarity=ExactMatch(), **SAY), **OPTIONS)
    [expected], [found] = other(FACT), other(FACT, evaluations=[one])
    assert found.counts.paid == 0 and found.values.equal(expected.values)
    assert found.evaluations.fingerprint == expected.evaluations.fingerprint
    with pytest.raises(ValueError, match=r"value function: ResponseSimilarity.* there, ResponseSimilarity"):
        other(FACT, checkpoint=tmp_path / "run.json")
    penalised = copy.deepcopy(recall[0])
    penalised.generation_config.repetition_penalty = 1.5
    with pytest.raises(ValueError, match=r"another game: generation config: "):
        KernelShap(penalised, recall[1], inference_mode=SIMILARITY, **OPTIONS)(FACT, evaluations=[one])


@pytest.fixture(scope="module")
def servers(recall: Any) -> Iterator[list[Server]]:
    served = [Server(*recall), Server(*recall)]
    yield served
    for server in served:
        server.stop()


def test_another_server_is_another_game(servers: list[Server], tmp_path: Path) -> None:
    options = {**OPTIONS, "inference_mode": SIMILARITY, "granularity": Granularity.SENTENCE}
    here, there = (server.url.replace("://", "://me:secret@") for server in servers)
    one, other = KernelShap(RemoteModel(here, "recall"), **options), KernelShap(RemoteModel(there, "recall"), **options)
    refused((one, other), FACT, "red", "server: http://127.0.0.1:.* there, http://127.0.0.1:", tmp_path / "server")
    assert "secret" not in (tmp_path / "server").read_text(encoding="utf-8")


def test_what_decides_no_value_may_differ(recall: Any, tmp_path: Path) -> None:
    first = KernelShap(*recall, **OPTIONS)
    [one] = first(FACT, " red", checkpoint=tmp_path / "run.json")
    free: dict[str, Any] = {"seed": 3, "batch_size": 2, "share_prefixes": False, "budget": 90, "until": TopK(1), "roles": ()}
    [two] = PermutationShapley(*recall, **{**OPTIONS, **free})(FACT, " red", evaluations=[one])
    assert two.evaluations.fingerprint == one.evaluations.fingerprint
    assert two.counts.paid < two.counts.evaluations
    resumed = KernelShap(*recall, **{**OPTIONS, "seed": 3})(FACT, " red", checkpoint=tmp_path / "run.json")
    assert resumed[0].counts.paid < 24


def test_a_result_keeps_its_fingerprint_in_a_file(recall: Any, tmp_path: Path) -> None:
    explainer = ExactShapley(*recall, granularity=Granularity.SENTENCE, progress=False)
    [one] = explainer(FACT, " red")
    one.save(tmp_path / "one.json")
    again = Attribution.load(tmp_path / "one.json")
    assert again.fingerprint == one.fingerprint == explainer.game(FACT, " red").fingerprint
    assert explainer(FACT, " red", evaluations=[again])[0].counts.paid == 0
    with pytest.raises(ValueError, match="another game: text: "):
        explainer("the sky is red . what is it ?", " red", evaluations=[again])


def test_without_a_fingerprint_what_is_held_is_compared_and_a_note_says_so(recall: Any, tmp_path: Path) -> None:
    explainer = ExactShapley(*recall, granularity=Granularity.SENTENCE, progress=False)
    [one] = explainer(FACT, " red")
    one.save(tmp_path / "old.json")
    content = json.loads((tmp_path / "old.json").read_text())
    del content["fingerprint"]
    (tmp_path / "old.json").write_text(json.dumps(content))
    old = Attribution.load(tmp_path / "old.json")
    [taken] = explainer(FACT, " red", evaluations=[old])
    assert taken.counts.paid == 0 and taken.notes == (UNCHECKED,)
    [twice] = explainer(FACT, " red", evaluations=[taken])
    assert taken.fingerprint is None and twice.notes == (UNCHECKED,), "doubt is not forgotten"
    with pytest.raises(ValueError, match="2 features, this game has 3"):
        explainer("the sky is red . what is it ? it is red .", " red", evaluations=[old])
    chat = [{"role": "user", "content": FACT}]
    answering = ExactShapley(*recall, granularity=Granularity.SENTENCE, inference_mode=SIMILARITY, progress=False)
    [first] = answering(chat)
    unknown = replace(first, evaluations=replace(first.evaluations, fingerprint=None))
    assert UNCHECKED in answering.extend(unknown, "what is it ?").notes
    assert UNCHECKED not in answering.extend(first, "what is it ?").notes


def test_a_conversation_goes_on_only_with_what_answered_it(recall: Any) -> None:
    options: dict[str, Any] = {"granularity": Granularity.SENTENCE, "inference_mode": SIMILARITY, "progress": False}
    explainer = ExactShapley(*recall, **options)
    [first] = explainer([{"role": "user", "content": FACT}])
    other = copy.deepcopy(recall[0])
    with torch.no_grad():
        other.get_input_embeddings().weight[9] += 0.1
    with pytest.raises(ValueError, match="The explanation's answers are of another game: the model's weights"):
        ExactShapley(other, recall[1], **options).extend(first, "what is it ?")
    with pytest.raises(ValueError, match=r"answers are of another game: occlusion: Drop\(.*\) there, Replace"):
        ExactShapley(*recall, occlusion=Replace("it"), **options).extend(first, "what is it ?")
    second = explainer.extend(first, "what is it ?")
    with pytest.raises(ValueError, match="The explanation's answers are of another game: the model's weights"):
        ExactShapley(other, recall[1], **options).extend(second, "what is it ?")


def test_what_cannot_be_compared_is_noted(recall: Any) -> None:
    class Sealed:
        __slots__ = ()

        def __call__(self, logits: Any, targets: Any) -> Any:
            return InferenceModes.LOGITS(logits, targets)

    explainer = KernelShap(*recall, inference_mode=Sealed(), **OPTIONS)
    [one] = explainer(FACT, " red")
    [again] = explainer(FACT, " red", evaluations=[one])
    assert again.notes == ("Earlier evaluations were taken over although this could not be compared: value function.",)
