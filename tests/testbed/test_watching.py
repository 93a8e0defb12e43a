"""The shipped video-language model answers right, and for the planted reason."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from support.planted import answers, log_probs, rendered, without_each_word
from support.quick import each

from interpreto_mllm import ExactShapley, Frames, Freeze, GaussianProcessShapley, punctuation
from interpreto_mllm.testbed import WATCHING, load_watching, sample_video_prompts
from interpreto_mllm.testbed.videos import ANSWERS, FORMS, ORDERS

GREY = 240


@pytest.fixture(scope="module")
def watching():
    return load_watching()


@pytest.mark.parametrize("order, chat", each([*product(ORDERS, (False, True))], [("after", False), ("last", True)]))
def test_held_out_accuracy(watching, order, chat):
    prompts = sample_video_prompts(100, frames=4, seed=777, order=order)
    said = answers(*watching, prompts, chat)
    assert sum(answer == prompt.answer for answer, prompt in zip(said, prompts, strict=True)) >= 97


@pytest.mark.parametrize("frames", each([2, 3, 5, 6], [6]))
def test_accuracy_for_few_and_many_frames(watching, frames):
    prompts = sample_video_prompts(100, frames=frames, seed=778)
    said = answers(*watching, prompts, chat=False)
    assert sum(answer == prompt.answer for answer, prompt in zip(said, prompts, strict=True)) >= 95


def test_it_is_small_and_offline(watching):
    assert sum(file.stat().st_size for file in WATCHING.iterdir()) <= 3_000_000
    model, processor = watching
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert not model.training
    assert processor.tokenizer.is_fast
    assert type(model).__name__ == "LlavaForConditionalGeneration"


def test_every_word_is_known(watching):
    tokenizer = watching[1].tokenizer
    for prompt in sample_video_prompts(200, seed=3):
        ids = tokenizer(f"{prompt.question.text} {prompt.answer}")["input_ids"]
        assert tokenizer.unk_token_id not in ids
        assert len(ids) == 2 + len(prompt.question.text.split())


def test_a_prompt_says_what_its_causes_are():
    for prompt in sample_video_prompts(100, frames=5, seed=5):
        words = prompt.question.text.split()
        kind, order = next(word for word in words if word in ANSWERS), next(word for word in words if word in ORDERS)
        shown = [(scene.things[0].shape, scene.things[0].colour) for scene in prompt.video.scenes]
        named = [frame for frame, thing in enumerate(shown) if {*thing} & {*words}]
        place = {"first": 0, "last": 4}.get(order)
        if place is None:
            place = named[0] + 1
        assert prompt.answer == shown[place][kind == "colour"]
        assert prompt.causes == tuple(sorted({place, *named})) and len(prompt.spans) == len(prompt.causes)
    assert {form.order for form in FORMS} == {*ORDERS}


def test_without_a_frame_or_a_word_that_matters_the_answer_is_lost(watching):
    """And not without another."""
    model, processor = watching
    lost: dict[bool, list[float]] = {True: [], False: []}
    for prompt in sample_video_prompts(12, frames=4, seed=6):
        text, question = rendered(processor, prompt, False), prompt.question.text
        texts = [text, *without_each_word(text, question)]
        films = [prompt.frames] * len(texts)
        for frame in range(4):
            hidden = prompt.frames.copy()
            hidden[frame] = GREY
            texts.append(text)
            films.append(hidden)
        whole, *each_lost = log_probs(model, processor, texts, prompt.answer, videos=films).tolist()
        named = [word.text for word in prompt.question.words]
        matters = [*(word in named for word in question.split()), *(frame in prompt.causes for frame in range(4))]
        for value, true in zip(each_lost, matters, strict=True):
            lost[true].append(whole - value)
    assert np.mean(np.array(lost[True]) > 0.5) > 0.95
    assert np.mean(np.array(lost[False]) < 0.5) > 0.95


@pytest.mark.parametrize("occlusion", each([None, Freeze()], [None]))
def test_the_frames_that_are_causes_come_first(watching, occlusion):
    prompts = sample_video_prompts(3, frames=4, seed=7, order="after")
    explainer = GaussianProcessShapley(
        *watching, video_granularity=Frames(), video_occlusion=occlusion, pinned=punctuation, budget=48, progress=False
    )
    for prompt, explanation in zip(prompts, explainer([p.messages for p in prompts], [p.answer for p in prompts]), strict=True):
        frames = [index for index, feature in enumerate(explanation.features) if feature.modality == "video"]
        strongest = explanation.attributions[0, frames].abs().topk(2).indices.tolist()
        assert strongest[0] in prompt.causes
        assert occlusion is not None or {*strongest} == {*prompt.causes}


def test_values_are_those_of_plain_forwards(watching):
    [prompt] = sample_video_prompts(1, frames=3, seed=8, order="after")
    options = {"video_granularity": Frames(), "pinned": lambda feature: feature.modality == "text", "progress": False}
    fast, plain = (ExactShapley(*watching, **options, share_prefixes=share) for share in (True, False))
    [one], [two] = fast(prompt.messages, prompt.answer), plain(prompt.messages, prompt.answer)
    torch.testing.assert_close(one.values, two.values, atol=1e-5, rtol=1e-5)


def test_prompts_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="2 to 6 frames"):
        sample_video_prompts(1, frames=7)
    with pytest.raises(ValueError, match="after, first, last"):
        sample_video_prompts(1, order="between")
    _, processor = load_watching()
    with pytest.raises(ValueError, match="images or videos, not both"):
        processor(text="<video>", images=[np.zeros((16, 16, 3), dtype=np.uint8)], videos=[np.zeros((2, 16, 16, 3))])
    with pytest.raises(ValueError, match="2 places <video> for 1 videos"):
        processor(text=["<video> <video>"], videos=[np.zeros((2, 16, 16, 3), dtype=np.uint8)])
