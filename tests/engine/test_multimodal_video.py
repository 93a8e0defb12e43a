"""On every family that watches videos, the fast path and the plain path both give the numbers of the raw model."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import torch
from support.by_hand import answered, cut_video, generated, value
from support.families import VIDEO, conversation, video, watching
from support.family_parts import picture
from support.multimodal import ANSWER, CLOSE, drawn, whole
from support.quick import each

from interpreto_mllm import DropFrames, Frames, KernelShap, Patches, TimeSpans, Tubes
from interpreto_mllm.games.game import ModelGame

QUESTION = "What colour is the circle ?"
CUTS = (TimeSpans(1.0), Tubes(2, 1, seconds=1.0))
QUICK = [("qwen3_vl", CUTS[0]), ("smolvlm", CUTS[1])]
"""One whose processor writes the times of frames between them, and one whose frames are images."""
ENOUGH = 1e-3
TOWERS = ("visual", "vision_tower", "vision_model")


def game(name: str, messages: Any, target: Any = ANSWER, **options: Any) -> ModelGame:
    subject = watching(name)
    cuts = {"video_granularity": TimeSpans(1.0), "progress": False, **options}
    return KernelShap(subject.model, subject.processor, **cuts).game(messages, target)


@pytest.mark.parametrize("name, cut", each([(name, cut) for name in VIDEO for cut in CUTS], QUICK))
def test_values_of_a_joint_game(name: str, cut: Any, caplog: pytest.LogCaptureFixture) -> None:
    subject = watching(name)
    messages = conversation(subject, QUESTION)
    fast = game(name, messages, batch_size=7, video_granularity=cut)
    coalitions = drawn(fast.n, 4)
    expected = torch.stack([value(subject, messages, fast.features, row, ANSWER) for row in coalitions.tolist()])
    with caplog.at_level(logging.INFO, logger="interpreto_mllm"):
        torch.testing.assert_close(fast(coalitions).double(), expected, **CLOSE)
    assert "using plain forwards" not in caplog.text, "the encoders' outputs are to be used"
    single = game(name, messages, batch_size=1, video_granularity=cut)
    order = torch.randperm(len(coalitions), generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(single(coalitions[order]).double(), expected[order], **CLOSE)
    plain = game(name, messages, share_prefixes=False, video_granularity=cut)
    torch.testing.assert_close(plain(coalitions).double(), expected, **CLOSE)
    assert expected.std(0).max() > ENOUGH, "a game in which nothing matters tests nothing"
    media = [feature for feature in fast.features if feature.modality == "video"]
    without = torch.ones(1, fast.n, dtype=torch.bool)
    without[0, fast.features.index(media[0])] = False
    assert (fast(without)[0] - expected[1]).abs().max() > ENOUGH / 10, "what is seen has to matter"


@pytest.mark.parametrize(
    "name, times", each([(name, times) for name in VIDEO for times in ("closed", "kept")], [("qwen3_vl", "kept")])
)
def test_dropped_frames_take_no_tokens(name: str, times: str) -> None:
    """By hand: the processor is given the frames that are left, and their times."""
    subject = watching(name)
    messages = conversation(subject, QUESTION)
    words = len(QUESTION.split())
    fast = game(name, messages, video_granularity=Frames(), video_occlusion=DropFrames(times))
    plain = game(name, messages, video_granularity=Frames(), video_occlusion=DropFrames(times), share_prefixes=False)
    for present in ((1, 1, 1, 1), (1, 0, 1, 1), (0, 0, 1, 1), (0, 1, 0, 1)):
        row = torch.tensor([[*present, *[1] * words]], dtype=torch.bool)
        absent = [feature.time for feature, there in zip(fast.features, present, strict=False) if not there]
        video = cut_video(messages[0]["content"][0]["video"], absent, times)
        left = [{"role": "user", "content": [{"type": "video", "video": video}, messages[0]["content"][1]]}]
        expected = whole(subject, left)
        torch.testing.assert_close(fast(row)[0].double(), expected, **CLOSE)
        torch.testing.assert_close(plain(row)[0].double(), expected, **CLOSE)
    none = torch.tensor([[*[0] * 4, *[1] * words]], dtype=torch.bool)
    bare = [{"role": "user", "content": messages[0]["content"][1:]}]
    if name != "smolvlm":  # whose template is another one where there is a video
        torch.testing.assert_close(fast(none)[0].double(), whole(subject, bare), **CLOSE)


def test_a_single_frame_is_shown_twice_where_the_processor_takes_pairs() -> None:
    subject = watching("qwen3_vl")
    messages = conversation(subject, QUESTION)
    fast = game("qwen3_vl", messages, video_granularity=Frames(), video_occlusion=DropFrames())
    video = cut_video(messages[0]["content"][0]["video"], [(0.0, 1.5)], "closed")
    left = [{"role": "user", "content": [{"type": "video", "video": video}, messages[0]["content"][1]]}]
    row = torch.tensor([[*(0, 0, 0, 1), *[1] * len(QUESTION.split())]], dtype=torch.bool)
    torch.testing.assert_close(fast(row)[0].double(), whole(subject, left), **CLOSE)


@pytest.mark.parametrize("name", each(VIDEO, ["llava_onevision"]))
def test_each_state_of_a_video_is_encoded_once(name: str) -> None:
    subject = watching(name)
    explainer = KernelShap(subject.model, subject.processor, video_granularity=TimeSpans(1.0), batch_size=1, progress=False)
    first = explainer.game(conversation(subject, QUESTION, videos=(3,)), ANSWER)
    first(torch.ones(1, first.n, dtype=torch.bool))  # compares with the plain path
    asked = explainer.game(conversation(subject, QUESTION), ANSWER)
    coalitions = torch.rand(12, asked.n, generator=torch.Generator().manual_seed(0)) < 0.5
    coalitions[0] = False
    states = coalitions[:, :2].unique(dim=0)
    calls: list[int] = []
    towers = [
        module for name, module in subject.model.model.named_children() if name in ("visual", "vision_tower", "vision_model")
    ]
    [hook] = [tower.register_forward_hook(lambda *_: calls.append(1)) for tower in towers]
    try:
        asked(coalitions)
    finally:
        hook.remove()
    assert len(calls) == len(states) < len(coalitions)


def test_what_a_processor_is_not_told_is_said() -> None:
    messages = conversation(watching("qwen3_vl"), QUESTION)
    kept = {"video_granularity": Frames(), "video_occlusion": DropFrames("kept")}
    said = {name: game(name, messages, **kept).prompt.notes for name in VIDEO}
    assert said["qwen3_vl"] == said["smolvlm"] == ()
    assert said["qwen2_5_vl"] == (
        "video 1: Qwen2_5_VLProcessor is told how far frames are apart on average, and not when each is shown",
    )
    for name in ("llava_onevision", "internvl"):
        assert said[name][0].endswith("is told no times of frames: to it, times that are kept are closed up")


@pytest.mark.parametrize("name", each(["qwen2_5_vl", "qwen3_vl", "internvl", "llava_onevision"], ["qwen3_vl"]))
def test_images_and_videos_in_one_prompt(name: str) -> None:
    """Qwen3-VL adds to the states of its first layers for both; InternVL has one placeholder for both."""
    [message] = conversation(watching(name), QUESTION)
    mixed = [{"role": "user", "content": [{"type": "image", "image": picture(1)}, *message["content"]]}]
    fast = game(name, mixed, image_granularity=Patches(1, 2))
    plain = game(name, mixed, image_granularity=Patches(1, 2), share_prefixes=False)
    coalitions = drawn(fast.n, 2)
    torch.testing.assert_close(fast(coalitions), plain(coalitions), **CLOSE)
    assert [feature.modality for feature in fast.features][:4] == ["image", "image", "video", "video"]


def test_videos_of_other_lengths_are_refused_where_they_cannot_be_put_together() -> None:
    [message] = conversation(watching("internvl"), QUESTION)
    other = {"type": "video", "video": video(3, frames=2)}
    longer = [{"role": "user", "content": [other, *message["content"]]}]
    with pytest.raises(ValueError, match="InternVLProcessor cannot read these images and videos in one prompt: videos of"):
        game("internvl", longer)
    same = [{"role": "user", "content": [{"type": "video", "video": video(3)}, *message["content"]]}]
    assert game("internvl", same).n == 4 + len(QUESTION.split())
    with pytest.raises(ValueError, match="with frames left out"):
        game("internvl", same, video_occlusion=DropFrames())


@pytest.mark.parametrize("name", each(VIDEO, ["qwen2_5_vl"]))
def test_without_a_target_it_is_the_answer_that_the_model_generates(name: str) -> None:
    subject = watching(name)
    messages = conversation(subject, QUESTION)
    encoding, said = generated(subject, messages)
    own = game(name, messages, None, generate={"max_new_tokens": 4})
    assert [list(answer.ids) for answer in own.question.targets] == [said]
    everything = torch.ones(1, own.n, dtype=torch.bool)
    torch.testing.assert_close(own(everything)[0].double(), answered(subject, encoding, said), **CLOSE)


def test_a_mapping_and_a_chat_are_the_same_prompt() -> None:
    subject = watching("qwen3_vl")
    messages = conversation(subject, QUESTION)
    text = subject.processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    given: Any = {"text": text, "videos": [messages[0]["content"][0]["video"]]}
    one, two = game("qwen3_vl", messages), game("qwen3_vl", given)
    cuts = [[(feature.text, feature.time) for feature in played.features] for played in (one, two)]
    assert cuts[0] == cuts[1]
    coalitions = drawn(one.n, 2)
    torch.testing.assert_close(one(coalitions), two(coalitions), **CLOSE)
