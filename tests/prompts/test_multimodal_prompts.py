"""Prompts with images and clips in every form a user may give them: the game played is the one that was meant."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from support.by_hand import answered, ids_of, parts, processed, rendered, value, without_words
from support.families import AUDIO_TEXT, CHATTING, IMAGE_TEXT, REPRESENTATIVE, conversation, family
from support.family_parts import RATE, Family, clip
from support.multimodal import ANSWER, CLOSE, CUTS, QUESTION, drawn, game, text, user, whole, worth
from support.quick import each

from interpreto_mllm import (
    Contrast,
    KernelShap,
    Patches,
    Windows,
)

SEVERAL_PLAINLY = {"llava_onevision"}
"""Its processor gives each of several images fewer tokens than a lone one, so they cannot be encoded one by one."""


def media(subject: Family, seed: int) -> list[dict[str, Any]]:
    """Parts with a picture and a clip, as far as the family takes them."""
    [message] = conversation(subject, "", (seed,), (seed,))
    return message["content"][:-1]


def check(subject: Family, messages: list[dict], count: int = 2, **options: Any) -> None:
    """Both paths against the raw model."""
    fast = game(subject, messages, **options)
    coalitions = drawn(fast.n, count)
    roles = options.get("roles", ("user",))
    expected = torch.stack([value(subject, messages, fast.features, row, ANSWER, roles) for row in coalitions.tolist()])
    torch.testing.assert_close(fast(coalitions).double(), expected, **CLOSE)
    plain = game(subject, messages, share_prefixes=False, **options)
    torch.testing.assert_close(plain(coalitions[-2:]).double(), expected[-2:], **CLOSE)


@pytest.mark.parametrize("name", each(CHATTING, (*REPRESENTATIVE, "llava_onevision")))
def test_two_of_each_medium(name: str, caplog: pytest.LogCaptureFixture) -> None:
    subject = family(name)
    with caplog.at_level(logging.INFO, logger="interpreto_mllm"):
        check(subject, conversation(subject, QUESTION, (0, 1), (0, 1)))
    assert ("cannot be given encoded media" in caplog.text) == (name in SEVERAL_PLAINLY)


@pytest.mark.parametrize("name", each(CHATTING, ("idefics3", "qwen2_5_omni")))
def test_turns_with_media_in_two_of_them(name: str) -> None:
    subject = family(name)
    said = {"role": "assistant", "content": [text("The square is blue.")]}
    messages = [user(*media(subject, 0), text("Describe this")), said, user(*media(subject, 1), text(QUESTION))]
    check(subject, messages)
    features = game(subject, messages).features
    turns = [feature.turn or 0 for feature in features if feature.modality != "text"]
    assert turns == sorted(turns)
    assert {(feature.turn, feature.modality) for feature in features} == {
        (turn, modality) for turn in (0, 2) for modality in (*subject.modalities, "text")
    }


@pytest.mark.parametrize("name", each(("qwen2_vl", "qwen2_audio", "pixtral"), ("qwen2_audio", "pixtral")))
def test_only_the_roles_asked_for_are_explained(name: str) -> None:
    subject = family(name)
    rules = {"role": "system", "content": [*media(subject, 2), text("Describe this")]}
    messages = [rules, user(*media(subject, 0), text(QUESTION))]
    check(subject, messages)
    check(subject, messages, roles=("system",))
    system = game(subject, messages, roles=("system",))
    assert {(feature.role, feature.turn) for feature in system.features} == {("system", 0)}
    assert {index for feature in system.features for index, _ in feature.pieces} == {0}
    assert {index for feature in game(subject, messages).features for index, _ in feature.pieces} == {1}


@pytest.mark.parametrize("name", each(CHATTING, REPRESENTATIVE))
def test_words_on_both_sides_of_the_media(name: str) -> None:
    subject = family(name)
    check(subject, [user(text("Look here :"), *media(subject, 0), text(QUESTION))])


@pytest.mark.parametrize("name", each(CHATTING, ("paligemma", "qwen2_5_omni")))
def test_a_prompt_without_media(name: str) -> None:
    """A string, and a chat as the processor itself would read it."""
    subject = family(name)
    options: dict[str, Any] = {"add_generation_prompt": True, "tokenize": True, "return_dict": True, "return_tensors": "pt"}
    messages = [user(text(QUESTION))]
    check(subject, messages)
    ids = ids_of(subject, ANSWER)
    if name != "paligemma":  # its processor insists on an image
        encoding = dict(subject.processor.apply_chat_template(messages, **options))
        torch.testing.assert_close(worth(game(subject, messages)), answered(subject, encoding, ids), **CLOSE)
    plain = processed(subject, QUESTION)
    torch.testing.assert_close(worth(game(subject, QUESTION)), answered(subject, plain, ids), **CLOSE)


@pytest.mark.parametrize("name", each(CHATTING, ("idefics3", "paligemma", "qwen2_audio")))
def test_a_text_with_placeholders_and_its_media(name: str) -> None:
    """The mapping gives the game of the chat that renders to the same text, media in reading order."""
    subject = family(name)
    messages = conversation(subject, QUESTION, (0, 1), (0,))
    given: dict[str, Any] = {"text": rendered(subject, messages)}
    if "image" in subject.modalities:
        given["images"] = parts(messages, "image")
    if "audio" in subject.modalities:
        given["audio"] = clip(0) if name == "qwen2_audio" else [clip(0)]
    mapped, chat = game(subject, given), game(subject, messages)
    torch.testing.assert_close(worth(mapped), worth(chat), **CLOSE)
    for medium in range(len(mapped.prompt.media)):
        first = next(i for i, feature in enumerate(mapped.features) if feature.pieces == ((medium, 0),))
        other = next(i for i, feature in enumerate(chat.features) if feature.pieces == ((medium, 0),))
        torch.testing.assert_close(worth(mapped, first), worth(chat, other), **CLOSE)
    first, other = ([feature.text for feature in played.features].index("colour") for played in (mapped, chat))
    torch.testing.assert_close(worth(mapped, first), worth(chat, other), **CLOSE)
    if mapped.prompt.notes:  # the markup is made of special tokens, so that the text is known to be a rendered chat
        assert {feature.role for feature in mapped.features} == {"user"}
        texts, own = (sorted(feature.text for feature in played.features) for played in (mapped, chat))
        assert texts == own or (name in ("qwen2_audio", "voxtral") and set(own) <= set(texts))  # whose clips have captions
    else:
        assert {feature.role for feature in mapped.features} == {None}


@pytest.mark.parametrize("name", each(("llava", "qwen2_5_omni"), ("llava",)))
def test_several_prompts_at_once(name: str) -> None:
    """With other media, another number of them, or none: each result is that of a call of its own."""
    subject = family(name)
    prompts = [
        conversation(subject, QUESTION),
        conversation(subject, "Which is the low tone ?", (1,), (1,)),
        conversation(subject, QUESTION, (1, 2), (1, 2)),
        "The square is blue",
    ]
    targets = [ANSWER, " blue", " high", " tone"]
    options = {**CUTS, "budget": 15, "image_granularity": Patches(1, 2), "audio_granularity": Windows(300)}
    together = KernelShap(subject.model, subject.processor, **options)(prompts, targets)
    for one, prompt, target in zip(together, prompts, targets, strict=True):
        [alone] = KernelShap(subject.model, subject.processor, **options)(prompt, target)
        assert torch.equal(one.coalitions, alone.coalitions)
        torch.testing.assert_close(one.values, alone.values, **CLOSE)
        assert one.features == alone.features


ODD = Image.fromarray(np.random.default_rng(0).integers(0, 256, (37, 53, 3), dtype=np.uint8))


def transparent(image: Image.Image) -> tuple[Image.Image, Image.Image]:
    """An image of which a corner is transparent, and the same on white."""
    clear, opaque = image.convert("RGBA"), image.copy()
    clear.paste((10, 20, 30, 0), (0, 0, 9, 9))
    opaque.paste((255, 255, 255), (0, 0, 9, 9))
    return clear, opaque


KINDS = {
    "odd size": (ODD, ODD),
    "wide": (ODD.crop((0, 0, 53, 11)), ODD.crop((0, 0, 53, 11))),
    "transparent": transparent(ODD),
    "grey": (ODD.convert("L"), ODD.convert("L").convert("RGB")),
    "palette": (ODD.convert("P"), ODD.convert("P").convert("RGB")),
    "array": (np.asarray(ODD), ODD),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "name", each(("llava_onevision", "qwen3_vl", "smolvlm", "internvl", "mistral3"), ("qwen3_vl", "smolvlm"))
)
def test_images_of_any_kind_and_size(name: str, kind: str) -> None:
    subject, (given, plain) = family(name), KINDS[kind]
    messages = [user({"type": "image", "image": given}, text(QUESTION))]
    expected = [user({"type": "image", "image": plain}, text(QUESTION))]
    played = game(subject, messages)
    coalitions = drawn(played.n, 2)
    by_hand = torch.stack([value(subject, expected, played.features, row, ANSWER) for row in coalitions.tolist()])
    torch.testing.assert_close(played(coalitions).double(), by_hand, **CLOSE)


@pytest.mark.parametrize("name", IMAGE_TEXT[:4])
def test_an_image_alone_is_a_prompt_where_the_text_says_nothing_to_explain(name: str) -> None:
    subject = family(name)
    messages = conversation(subject, QUESTION)
    played = game(subject, messages, pinned=QUESTION.split())
    assert {feature.modality for feature in played.features} == {"image"}
    coalitions = drawn(played.n, 3)
    joint = game(subject, messages)
    filled = torch.cat([coalitions, torch.ones(len(coalitions), joint.n - played.n, dtype=torch.bool)], 1)
    torch.testing.assert_close(played(coalitions), joint(filled), **CLOSE)


def test_targets_of_all_kinds() -> None:
    subject = family("smolvlm")
    messages = conversation(subject, QUESTION)
    red, blue = ids_of(subject, " red"), ids_of(subject, " blue square")
    encoding = without_words(subject, messages, [])
    first, second = answered(subject, encoding, red), answered(subject, encoding, blue)
    torch.testing.assert_close(worth(game(subject, messages, " red")), first, **CLOSE)
    torch.testing.assert_close(worth(game(subject, messages, torch.tensor(red))), first, **CLOSE)
    torch.testing.assert_close(worth(game(subject, messages, [red, blue])), torch.cat([first, second]), **CLOSE)
    contrast = worth(game(subject, messages, Contrast(" red", " blue square")))
    torch.testing.assert_close(contrast, (first.sum() - second.sum())[None], **CLOSE)


@pytest.mark.parametrize("name", AUDIO_TEXT)
def test_a_clip_at_another_rate_is_resampled_and_said_so(name: str, caplog: pytest.LogCaptureFixture) -> None:
    soxr = pytest.importorskip("soxr")
    subject = family(name)
    slow = clip(0)[::2].copy()
    given = [user({"type": "audio", "audio": slow, "sampling_rate": RATE // 2}, text(QUESTION))]
    with caplog.at_level(logging.WARNING, logger="interpreto_mllm"):
        played = game(subject, given)
    assert f"has {RATE // 2} samples per second, the model wants {RATE}: resampled" in caplog.text
    expected = [user({"type": "audio", "audio": soxr.resample(slow, RATE // 2, RATE)}, text(QUESTION))]
    torch.testing.assert_close(worth(played), whole(subject, expected), **CLOSE)
