"""What is a feature of a multimodal prompt, and how it disappears: each choice against the raw model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter
from support.by_hand import answered, ids_of, parts, processed, rendered
from support.families import AUDIO_TEXT, CHATTING, REPRESENTATIVE, conversation, family
from support.family_parts import clip, picture
from support.multimodal import ANSWER, CLOSE, QUESTION, drawn, game, text, user, whole, worth
from support.quick import each

from interpreto_mllm import (
    Attend,
    Blur,
    CutOut,
    DropImage,
    Fill,
    Granularity,
    Masks,
    Replace,
    SplitOnSilence,
    WholeClip,
    WholeImage,
)

HEARING = (*AUDIO_TEXT, "qwen2_5_omni")
RECURRENT = {"lfm2_vl"}


@pytest.mark.parametrize("name", each(CHATTING, ("qwen3_vl", "qwen2_audio")))
def test_a_medium_that_is_left_out(name: str) -> None:
    """An absent one of two is as if it had not been attached, and so are both."""
    subject = family(name)
    cuts = {"image_granularity": WholeImage(), "image_occlusion": DropImage()}
    cuts |= {"audio_granularity": WholeClip(), "audio_occlusion": CutOut()}
    both = conversation(subject, QUESTION, (0, 1), (0, 1))
    played = game(subject, both, **cuts)
    plain = game(subject, both, share_prefixes=False, **cuts)
    firsts = [0, 2][: len(subject.modalities)]
    every = [index for index, feature in enumerate(played.features) if feature.modality != "text"]
    torch.testing.assert_close(worth(played, *firsts), whole(subject, conversation(subject, QUESTION, (1,), (1,))), **CLOSE)
    torch.testing.assert_close(worth(played, *every), whole(subject, [user(text(QUESTION))]), **CLOSE)
    coalitions = drawn(played.n)
    torch.testing.assert_close(played(coalitions), plain(coalitions), **CLOSE)
    middle = every[-1] + 2
    asked = QUESTION.split()
    shorter = " ".join([*asked[:1], *asked[2:]])
    if ids_of(subject, shorter) == ids_of(subject, " ".join(asked[:1])) + ids_of(subject, " " + " ".join(asked[2:])):
        expected = whole(subject, conversation(subject, shorter, (1,), (1,)))
        torch.testing.assert_close(worth(played, *firsts, middle), expected, **CLOSE)


@pytest.mark.parametrize("name", each(HEARING, ("qwen2_audio", "granite_speech")))
def test_segments_that_are_cut_out(name: str) -> None:
    subject = family(name)
    only = {"pictures": ()} if "image" in subject.modalities else {}
    messages = conversation(subject, QUESTION, **only)
    sound = parts(messages, "audio")[0]
    shorter = [user({"type": "audio", "audio": np.concatenate([sound[:3200], sound[6400:]])}, text(QUESTION))]
    for share in (True, False):
        played = game(subject, messages, audio_occlusion=CutOut(), share_prefixes=share)
        torch.testing.assert_close(worth(played, 1), whole(subject, shorter), **CLOSE)
        torch.testing.assert_close(worth(played, 0, 1, 2), whole(subject, [user(text(QUESTION))]), **CLOSE)
    fast, plain = (game(subject, messages, audio_occlusion=CutOut(), share_prefixes=share) for share in (True, False))
    coalitions = drawn(fast.n)
    torch.testing.assert_close(fast(coalitions), plain(coalitions), **CLOSE)


@pytest.mark.parametrize("name", each(CHATTING, (*REPRESENTATIVE, "lfm2_vl")))
def test_hidden_words_keep_their_places(name: str) -> None:
    """Under Attend nothing moves: the model's own positions with nothing hidden, and a mask."""
    subject = family(name)
    messages = conversation(subject, QUESTION)
    if name in RECURRENT:
        with pytest.raises(ValueError, match="layers without attention"):
            game(subject, messages, occlusion=Attend())
        return
    encoding = processed(subject, rendered(subject, messages), parts(messages, "image"), parts(messages, "audio"))
    seen: dict[str, Any] = {}
    hook = subject.model.get_decoder().register_forward_pre_hook(lambda _, __, named: seen.update(named), with_kwargs=True)
    answered(subject, encoding, ids_of(subject, ANSWER))
    hook.remove()
    positions = {} if seen.get("position_ids") is None else {"position_ids": seen["position_ids"]}
    for share in (True, False):
        played = game(subject, messages, occlusion=Attend(), share_prefixes=share)
        hidden = [index for index, feature in enumerate(played.features) if feature.text in ("colour", "the", "?")]
        mask = encoding["attention_mask"].clone()
        mask[0, [position for index in hidden for position in played.features[index].positions]] = 0
        expected = answered(subject, {**encoding, "attention_mask": mask}, ids_of(subject, ANSWER), **positions)
        torch.testing.assert_close(worth(played, *hidden), expected, **CLOSE)


@pytest.mark.parametrize("name", ["gemma3", "qwen2_5_omni", "paligemma"])
def test_replaced_words(name: str) -> None:
    subject = family(name)
    messages = conversation(subject, QUESTION)
    [filler] = ids_of(subject, "\n")
    encoding = processed(subject, rendered(subject, messages), parts(messages, "image"), parts(messages, "audio"))
    for share in (True, False):
        played = game(subject, messages, occlusion=Replace("\n"), share_prefixes=share)
        hidden = [index for index, feature in enumerate(played.features) if feature.text in ("colour", "the", "?")]
        ids = encoding["input_ids"].clone()
        ids[0, [position for index in hidden for position in played.features[index].positions]] = filler
        expected = answered(subject, {**encoding, "input_ids": ids}, ids_of(subject, ANSWER))
        torch.testing.assert_close(worth(played, *hidden), expected, **CLOSE)


def test_masks_that_overlap() -> None:
    """A pixel is there when one of the masks over it is."""
    subject = family("qwen2_vl")
    masks = np.zeros((3, 32, 32), dtype=bool)
    masks[0, :20], masks[1, 12:], masks[2, :, :8] = True, True, True
    messages = conversation(subject, QUESTION)
    played = game(subject, messages, image_granularity=Masks(masks), image_occlusion=Fill("red"))
    for absent in ([0], [1], [0, 2], [0, 1], [0, 1, 2]):
        there = np.zeros((32, 32), dtype=bool)
        for index in set(range(3)) - set(absent):
            there |= masks[index]
        pixels = np.where(there[..., None], np.asarray(picture(0)), np.array([255, 0, 0], dtype=np.uint8))
        shown = [user({"type": "image", "image": Image.fromarray(pixels)}, text(QUESTION))]
        torch.testing.assert_close(worth(played, *absent), whole(subject, shown), **CLOSE)


def test_groups_across_modalities() -> None:
    subject = family("qwen2_5_omni")
    messages = conversation(subject, QUESTION)
    apart = game(subject, messages)

    def together(features: list[Any]) -> list[str]:
        """The first patch, the first second and the word "colour" are one player, what else is seen or heard another."""
        return [
            "one" if feature.pieces in (((0, 0),), ((1, 0),)) or feature.text == "colour" else feature.modality
            for feature in features
        ]

    joined = game(subject, messages, groups=together)
    assert [feature.modality for feature in joined.features] == ["mixed", "image", "audio", "text"]
    names = together(apart.features)
    for player, label in enumerate(["one", "image", "audio", "text"]):
        mine = [index for index, name in enumerate(names) if name == label]
        torch.testing.assert_close(worth(joined, player), worth(apart, *mine), **CLOSE)
    assert joined.features[1].box == (0, 0, 32, 32)
    assert joined.features[2].time == pytest.approx((0.2, 0.6))


def test_pieces_that_are_pinned() -> None:
    subject = family("qwen2_5_omni")
    messages = conversation(subject, QUESTION)
    apart = game(subject, messages)
    pinned = game(subject, messages, pinned=["row 1, column 1", 5, "what"])
    kept = [feature for feature in apart.features if feature.text not in ("row 1, column 1", "0.20–0.40 s", "What")]
    assert pinned.features == kept
    coalition = torch.tensor([[feature not in kept for feature in apart.features]])
    torch.testing.assert_close(pinned(torch.zeros(1, pinned.n, dtype=torch.bool)), apart(coalition), **CLOSE)


@pytest.mark.parametrize("granularity", [Granularity.TOKEN, Granularity.SENTENCE, Granularity.TURN, Granularity.ALL_TOKENS])
@pytest.mark.parametrize("name", each(("gemma3", "qwen2_5_omni", "pixtral", "paligemma"), ("gemma3", "paligemma")))
def test_granularities_of_the_text(name: str, granularity: Granularity) -> None:
    """A coalition is worth what is left of the processor's tokens."""
    subject = family(name)
    said = "The circle is red. What colour is the square?"
    messages = conversation(subject, said)
    encoding = processed(subject, rendered(subject, messages), parts(messages, "image"), parts(messages, "audio"))
    played = game(subject, messages, granularity=granularity)
    written = [index for index, feature in enumerate(played.features) if feature.modality == "text"]
    soft = [getattr(subject.model.config, f"{modality}_token_id") for modality in subject.modalities]
    tokens = len(ids_of(subject, said))
    rest = sum(token not in soft for token in encoding["input_ids"][0].tolist())
    counts = {"TOKEN": tokens, "SENTENCE": 2, "TURN": 1, "ALL_TOKENS": rest}
    assert len(written) == counts[granularity.name]
    for absent in (written[::2], written[-1:]):
        gone = [position for index in absent for position in played.features[index].positions]
        if granularity is Granularity.SENTENCE:  # a blank of its own goes with the sentence before it
            ids, decode = encoding["input_ids"][0].tolist(), subject.processor.tokenizer.decode
            left = [p for index in written if index not in absent for p in played.features[index].positions]
            gone += [p for place, p in enumerate(left) if not decode([ids[q] for q in left[: place + 1]]).strip()]
        kept = [position for position in range(encoding["input_ids"].shape[1]) if position not in gone]
        per_token = {"input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids"}
        less = {key: tensor[:, kept] if key in per_token else tensor for key, tensor in encoding.items()}
        torch.testing.assert_close(worth(played, *absent), answered(subject, less, ids_of(subject, ANSWER)), **CLOSE)


def test_other_occlusions_and_granularities_of_media() -> None:
    """Blurred patches, and stretches between pauses."""
    subject = family("qwen2_5_omni")
    sound = np.concatenate([clip(0)[:3200], np.zeros(3200, dtype=np.float32), clip(1)[:3200]])
    messages = [user({"type": "image", "image": picture(0)}, {"type": "audio", "audio": sound}, text(QUESTION))]
    played = game(subject, messages, image_occlusion=Blur(3.0), audio_granularity=SplitOnSilence())
    assert [feature.time for feature in played.features if feature.time] == [(0.0, 0.3), (0.3, 0.6)]
    blurred = picture(0)
    blurred.paste(picture(0).filter(ImageFilter.GaussianBlur(3.0)).crop((16, 0, 32, 16)), (16, 0))
    quiet = sound.copy()
    quiet[4800:] = 0
    shown = [user({"type": "image", "image": blurred}, {"type": "audio", "audio": quiet}, text(QUESTION))]
    torch.testing.assert_close(worth(played, 1, 5), whole(subject, shown), **CLOSE)


def test_a_picture_is_as_trusted_as_its_message_unless_it_says_otherwise() -> None:
    """And it is of the source of its message, such as a tool's result."""
    brought = [{"type": "image", "image": picture(1)}, {"type": "image", "image": picture(2), "trusted": True}]
    chat = [
        {"role": "user", "content": [{"type": "image", "image": picture(0)}, {"type": "text", "text": QUESTION}]},
        {"role": "assistant", "content": "hm"},
        {"role": "tool", "name": "camera", "content": brought},
        {"role": "user", "content": "why?"},
    ]
    options = {"granularity": Granularity.TURN, "image_granularity": WholeImage(), "roles": ("user", "tool")}
    features = game(family("llava"), chat, **options).features
    assert [(one.modality, one.source, one.trusted) for one in features] == [
        ("image", None, True),
        ("image", "camera", False),
        ("image", "camera", True),
        ("text", None, True),
        ("text", None, True),
    ]
