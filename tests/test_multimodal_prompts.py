"""Prompts with images and clips in every form a user may give them: the game played is the one that was meant."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest
import torch
from by_hand import answered, ids_of, parts, processed, rendered, value, without_words
from families import AUDIO_TEXT, CHATTING, IMAGE_TEXT, conversation, family
from family_parts import RATE, Family, clip, picture
from PIL import Image
from test_multimodal import ANSWER, CLOSE, CUTS, QUESTION, drawn, game

from interpreto_mllm import (
    Attend,
    Blur,
    Contrast,
    CutOut,
    DropImage,
    Fill,
    Granularity,
    KernelShap,
    Masks,
    Patches,
    Replace,
    Silences,
    WholeClip,
    WholeImage,
    Windows,
)

SEVERAL_PLAINLY = {"llava_onevision"}
"""Its processor gives each of several images fewer tokens than a lone one, so they cannot be encoded one by one."""
HEARING = [name for name in CHATTING if "audio" in family(name).modalities]
RECURRENT = {"lfm2_vl"}


def text(said: str) -> dict[str, str]:
    """A part of a message."""
    return {"type": "text", "text": said}


def user(*content: dict[str, Any]) -> dict[str, Any]:
    """A message of the user's."""
    return {"role": "user", "content": list(content)}


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


def whole(subject: Family, messages: list[dict]) -> torch.Tensor:
    """The value of a whole chat."""
    return answered(subject, without_words(subject, messages, []), ids_of(subject, ANSWER))


def worth(played: Any, *absent: int) -> torch.Tensor:
    """The value with these features absent."""
    coalition = torch.ones(1, played.n, dtype=torch.bool)
    coalition[0, list(absent)] = False
    return played(coalition)[0].double()


@pytest.mark.parametrize("name", CHATTING)
def test_two_of_each_medium(name: str, caplog: pytest.LogCaptureFixture) -> None:
    subject = family(name)
    with caplog.at_level(logging.INFO, logger="interpreto_mllm"):
        check(subject, conversation(subject, QUESTION, (0, 1), (0, 1)))
    assert ("cannot be given encoded media" in caplog.text) == (name in SEVERAL_PLAINLY)


@pytest.mark.parametrize("name", CHATTING)
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


@pytest.mark.parametrize("name", ["qwen2_vl", "qwen2_audio", "pixtral"])
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


@pytest.mark.parametrize("name", CHATTING)
def test_words_on_both_sides_of_the_media(name: str) -> None:
    subject = family(name)
    check(subject, [user(text("Look here :"), *media(subject, 0), text(QUESTION))])


@pytest.mark.parametrize("name", CHATTING)
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


@pytest.mark.parametrize("name", CHATTING)
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


@pytest.mark.parametrize("name", HEARING)
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


@pytest.mark.parametrize("name", CHATTING)
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


@pytest.mark.parametrize("name", CHATTING)
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
    assert {feature.role for feature in mapped.features} == {None}


@pytest.mark.parametrize("name", ["llava", "qwen2_5_omni"])
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
@pytest.mark.parametrize("name", ["llava_onevision", "qwen3_vl", "smolvlm", "internvl", "mistral3"])
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
@pytest.mark.parametrize("name", ["gemma3", "qwen2_5_omni", "pixtral", "paligemma"])
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
        kept = [position for position in range(encoding["input_ids"].shape[1]) if position not in gone]
        per_token = {"input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids"}
        less = {key: tensor[:, kept] if key in per_token else tensor for key, tensor in encoding.items()}
        torch.testing.assert_close(worth(played, *absent), answered(subject, less, ids_of(subject, ANSWER)), **CLOSE)


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


def test_other_occlusions_and_granularities_of_media() -> None:
    """Blurred patches, and stretches between pauses."""
    subject = family("qwen2_5_omni")
    sound = np.concatenate([clip(0)[:3200], np.zeros(3200, dtype=np.float32), clip(1)[:3200]])
    messages = [user({"type": "image", "image": picture(0)}, {"type": "audio", "audio": sound}, text(QUESTION))]
    played = game(subject, messages, image_occlusion=Blur(3.0), audio_granularity=Silences())
    assert [feature.time for feature in played.features if feature.time] == [(0.0, 0.3), (0.3, 0.6)]
    from PIL import ImageFilter

    blurred = picture(0)
    blurred.paste(picture(0).filter(ImageFilter.GaussianBlur(3.0)).crop((16, 0, 32, 16)), (16, 0))
    quiet = sound.copy()
    quiet[4800:] = 0
    shown = [user({"type": "image", "image": blurred}, {"type": "audio", "audio": quiet}, text(QUESTION))]
    torch.testing.assert_close(worth(played, 1, 5), whole(subject, shown), **CLOSE)
