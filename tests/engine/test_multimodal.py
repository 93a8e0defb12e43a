"""On every family the fast path and the plain path both give the numbers of the raw model, coalition by coalition."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from support.by_hand import answered, generated, value
from support.families import CHATTING, IMAGE_TEXT, REPRESENTATIVE, conversation, family
from support.family_parts import Family
from support.multimodal import ANSWER, BOXES, CLOSE, CUTS, QUESTION, TIMES, drawn, game
from support.quick import each

from interpreto_mllm import ExactShapley, KernelShap, Patches, Windows
from interpreto_mllm.testbed import load_sight, sample_scene_prompts

ENOUGH = 1e-3
CONTINUES_NO_CACHE = {"paligemma"}
"""A family whose prompt is read in both directions, so that no beginning of it can be kept."""
TOWERS = {"vision_tower": "image", "visual": "image", "vision_model": "image", "audio_tower": "audio", "encoder": "audio"}


@contextmanager
def counting(subject: Family, *modalities: str) -> Iterator[list[str]]:
    """Collects a name for every call of an encoder of these modalities."""
    calls: list[str] = []
    towers = [(name, module) for name, module in subject.model.model.named_children() if TOWERS.get(name) in modalities]
    assert len(towers) == len(modalities)
    hooks = [module.register_forward_hook(lambda *_, name=name: calls.append(name)) for name, module in towers]
    try:
        yield calls
    finally:
        for hook in hooks:
            hook.remove()


@pytest.mark.parametrize("name", CHATTING)
def test_values_of_a_joint_game(name: str, caplog: pytest.LogCaptureFixture) -> None:
    subject = family(name)
    messages = conversation(subject, QUESTION)
    fast = game(subject, messages, batch_size=7)
    coalitions = drawn(fast.n)
    expected = torch.stack([value(subject, messages, fast.features, row, ANSWER) for row in coalitions.tolist()])
    with caplog.at_level(logging.INFO, logger="interpreto_mllm"):
        torch.testing.assert_close(fast(coalitions).double(), expected, **CLOSE)
    assert "using plain forwards" not in caplog.text, "the encoders' outputs are to be used"
    order = torch.randperm(len(coalitions), generator=torch.Generator().manual_seed(1))
    single = game(subject, messages, batch_size=1)
    torch.testing.assert_close(single(coalitions[order]).double(), expected[order], **CLOSE)
    plain = game(subject, messages, share_prefixes=False)
    torch.testing.assert_close(plain(coalitions).double(), expected, **CLOSE)
    assert expected.std(0).max() > ENOUGH, "a game in which nothing matters tests nothing"


@pytest.mark.parametrize("name", CHATTING)
def test_features_know_their_modality_and_their_place(name: str) -> None:
    subject = family(name)
    features = game(subject, conversation(subject, QUESTION)).features
    assert [feature.box for feature in features if feature.modality == "image"] == BOXES * ("image" in subject.modalities)
    times = [time for feature in features if feature.modality == "audio" and (time := feature.time)]
    assert times == [pytest.approx(time) for time in TIMES * ("audio" in subject.modalities)]
    words = [feature for feature in features if feature.modality == "text"]
    assert [feature.text for feature in words] == QUESTION.split()
    assert {(feature.role, feature.turn) for feature in features} == {("user", 0)}
    assert all(feature.box is None and feature.time is None for feature in words)


@pytest.mark.parametrize("name", each(CHATTING, REPRESENTATIVE))
def test_without_a_target_it_is_the_answer_that_the_model_generates(name: str) -> None:
    subject = family(name)
    messages = conversation(subject, QUESTION)
    encoding, said = generated(subject, messages)
    own = game(subject, messages, None, generate={"max_new_tokens": 4})
    assert [list(answer.ids) for answer in own.question.targets] == [said]
    whole = torch.ones(1, own.n, dtype=torch.bool)
    torch.testing.assert_close(own(whole)[0].double(), answered(subject, encoding, said), **CLOSE)


@pytest.mark.parametrize("name", each(CHATTING, REPRESENTATIVE))
def test_what_is_fixed_is_encoded_once_and_not_read_again(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """A long instruction, an image and a clip, and words to explain after them."""
    subject = family(name)
    rules = {"role": "system", "content": [{"type": "text", "text": "Describe the picture and the sound. " * 4}]}
    options = {**CUTS, "budget": 16, "batch_size": 4, "pinned": lambda feature: feature.modality != "text"}
    fast = KernelShap(subject.model, subject.processor, **options)
    with caplog.at_level(logging.INFO, logger="interpreto_mllm"):
        fast([rules, *conversation(subject, QUESTION, (3,), (3,))], ANSWER)  # the first call compares with the plain path
    assert ("using plain forwards" in caplog.text) == (name in CONTINUES_NO_CACHE)
    plain = KernelShap(subject.model, subject.processor, **options, share_prefixes=False)
    results = []
    for explainer, calls in ((fast, 1), (plain, 16)):
        with counting(subject, *subject.modalities) as called:
            results += explainer([rules, *conversation(subject, QUESTION)], ANSWER)
        assert len(called) == calls * len(subject.modalities)
    torch.testing.assert_close(results[0].values, results[1].values, **CLOSE)
    if name not in CONTINUES_NO_CACHE:
        assert results[0].counts.tokens < 0.5 * results[1].counts.tokens


def test_an_image_is_not_read_again_though_a_prompt_may_end_with_it(caplog: pytest.LogCaptureFixture) -> None:
    """With all words absent nothing comes after the image, whose last token then predicts the answer."""
    [prompt] = sample_scene_prompts(1, seed=3)
    inputs, results = {"text": prompt.text, "images": [prompt.image]}, []
    with caplog.at_level(logging.INFO, logger="interpreto_mllm"):
        for share in (True, False):
            explainer = KernelShap(*load_sight(), budget=40, share_prefixes=share, pinned=lambda f: f.modality == "image")
            results += explainer(inputs, prompt.answer)
    assert "plain forwards" not in caplog.text
    torch.testing.assert_close(results[0].values, results[1].values, **CLOSE)
    assert results[0].counts.tokens < 0.6 * results[1].counts.tokens


@pytest.mark.parametrize("name", each(CHATTING, REPRESENTATIVE))
def test_each_state_of_an_image_or_a_clip_is_encoded_once(name: str) -> None:
    """States of an image and of a clip, in any combination with each other and with words."""
    subject = family(name)
    explainer = KernelShap(subject.model, subject.processor, **CUTS, batch_size=1)
    first = explainer.game(conversation(subject, QUESTION, pictures=(3,), clips=(3,)), ANSWER)
    first(torch.ones(1, first.n, dtype=torch.bool))  # compares with the plain path; silent clips would be equal in both games
    asked = explainer.game(conversation(subject, QUESTION), ANSWER)
    coalitions = drawn(asked.n, 6)
    coalitions = torch.cat([coalitions, coalitions.clone().index_fill_(1, torch.tensor([asked.n - 1]), True)])
    states = 0
    for modality in subject.modalities:
        mine = [feature.modality == modality for feature in asked.features]
        states += len(coalitions[:, mine].unique(dim=0))
    assert states < len(coalitions) * len(subject.modalities)
    with counting(subject, *subject.modalities) as calls:
        asked(coalitions)
    assert len(calls) == states


@pytest.mark.parametrize("name", ["llava", "qwen3_vl", "voxtral"])
def test_states_are_encoded_together(name: str) -> None:
    subject = family(name)
    cuts = {**CUTS, "image_granularity": Patches(1, 3), "audio_granularity": Windows(200)}
    explainer = ExactShapley(subject.model, subject.processor, **cuts, pinned=lambda feature: feature.modality == "text")
    explainer(conversation(subject, QUESTION, pictures=(3,), clips=(3,)), ANSWER)
    with counting(subject, *subject.modalities) as calls:
        explainer(conversation(subject, QUESTION), ANSWER)
    assert len(calls) <= 2, "the empty and the full one, and the six others"


def test_every_family_of_images_is_in_the_list() -> None:
    assert {name for name in CHATTING if "image" in family(name).modalities} >= set(IMAGE_TEXT)


def test_images_that_a_tower_mixes_are_encoded_one_by_one() -> None:
    [prompt] = sample_scene_prompts(1, seed=3)
    model, processor = load_sight()
    embeddings = model.model.vision_tower.embeddings
    hook = embeddings.register_forward_hook(lambda module, given, output: output + output.mean(0))
    results = []
    for share in (True, False):
        explainer = KernelShap(model, processor, budget=20, share_prefixes=share, pinned=lambda f: f.modality == "text")
        results += explainer({"text": prompt.text, "images": [prompt.image]}, prompt.answer)
    hook.remove()
    torch.testing.assert_close(results[0].values, results[1].values, **CLOSE)
    assert any("each is encoded by itself" in note for note in results[0].notes) and not results[1].notes
