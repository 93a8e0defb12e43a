"""Images and clips that cannot be explained are refused in the user's words, before the model is asked anything."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from support import zoo
from support.families import conversation, family
from support.family_parts import RATE, clip, picture
from support.multimodal import ANSWER, CUTS, QUESTION
from support.silent import Silent

from interpreto_mllm import (
    Attend,
    CutOut,
    DropImage,
    Granularity,
    KernelShap,
    Masks,
    Patches,
    Picture,
    Replace,
    SpokenWords,
    Template,
)

SEEING, HEARING, BOTH = "qwen2_vl", "qwen2_audio", "qwen2_5_omni"
IMAGE = {"type": "image", "image": picture(0)}
AUDIO = {"type": "audio", "audio": clip(0)}
TEXT = {"type": "text", "text": QUESTION}


def user(*parts: Any) -> list[dict]:
    """A chat of one message."""
    return [{"role": "user", "content": list(parts)}]


def refused(
    name: str, inputs: Any, message: str, kind: type[Exception] = ValueError, target: Any = ANSWER, **options: Any
) -> None:
    """An error of this kind and with these words, and no forward."""
    subject = family(name)
    with Silent(subject.model) as silent, pytest.raises(kind) as raised:
        KernelShap(subject.model, subject.processor, **{**CUTS, **options})(inputs, target)
    assert silent.forwards == 0
    assert message in str(raised.value), str(raised.value)


INPUTS: dict[str, tuple[str, Any, str]] = {
    "clip for a model that sees": (
        SEEING,
        user(AUDIO, TEXT),
        "has a part of the type audio, which Qwen2VLProcessor does not read",
    ),
    "image for one that hears": (
        HEARING,
        user(IMAGE, TEXT),
        "has a part of the type image, which Qwen2AudioProcessor does not",
    ),
    "clip in a mapping": (SEEING, {"text": QUESTION, "audio": clip(0)}, "has a part of the type audio"),
    "an unknown part": (BOTH, user({"type": "smell", "smell": 1}, TEXT), "parts are of the type text, image, audio"),
    "a part without content": (
        BOTH,
        user({"type": "image"}, TEXT),
        "Message 0 needs a text under 'content', or a list of parts",
    ),
    "no parts": (BOTH, user(), "Message 0 needs a text under 'content'"),
    "more images than placeholders": (
        SEEING,
        {"text": f"<|image_pad|> {QUESTION}", "images": [picture(0), picture(1)]},
        "comes with 2 image part(s), but the text has 1 placeholders '<|image_pad|>' for them: write one where each belongs",
    ),
    "no placeholder": (SEEING, {"text": QUESTION, "images": picture(0)}, "but the text has 0 placeholders '<|image_pad|>'"),
    "fewer images than placeholders": (
        SEEING,
        {"text": f"<|image_pad|><|image_pad|> {QUESTION}", "images": picture(0)},
        "comes with 1 image part(s), but the text has 2 placeholders",
    ),
    "placeholders and no image": (
        SEEING,
        f"<|image_pad|> {QUESTION}",
        'has a placeholder \'<|image_pad|>\' for image, but comes with none: give {"text": ..., "images": ...}',
    ),
    "a placeholder in a chat": (
        HEARING,
        user({"type": "text", "text": "Hear <|AUDIO|> this"}),
        "has a placeholder '<|AUDIO|>' for audio, but comes with none",
    ),
    "a placeholder beside a part": (
        SEEING,
        user(IMAGE, {"type": "text", "text": "What is <|image_pad|> ?"}),
        "comes with 1 image part(s), but the text has 2 placeholders",
    ),
    "a mapping without text": (
        SEEING,
        {"images": picture(0)},
        "The prompt needs its 'text', with a placeholder for each image",
    ),
    "a mapping with an empty text": (SEEING, {"text": " ", "images": picture(0)}, "The prompt needs its 'text'"),
    "an image without pixels": (SEEING, user({"type": "image", "image": np.zeros((0, 4, 3))}, TEXT), "The image has no pixels"),
    "large floats": (SEEING, user({"type": "image", "image": np.full((8, 8, 3), 255.0)}, TEXT), "divide by 255"),
    "an empty clip": (HEARING, user({"type": "audio", "audio": np.zeros(0)}, TEXT), "The recording is empty"),
    "whole numbers": (
        HEARING,
        user({"type": "audio", "audio": np.ones(9, dtype=np.int64)}, TEXT),
        "Samples are floats from -1",
    ),
    "loud samples": (HEARING, user({"type": "audio", "audio": np.full(9, 300.0)}, TEXT), "divide 16-bit samples by 32768"),
    "samples that are no numbers": (
        HEARING,
        user({"type": "audio", "audio": np.full(9, np.nan)}, TEXT),
        "the largest of these is",
    ),
    "no rate": (
        HEARING,
        user({"type": "audio", "audio": clip(0), "sampling_rate": 0}, TEXT),
        "A sampling rate is a positive number",
    ),
    "an address": (
        SEEING,
        user({"type": "image", "url": "https://example.org/cat.png"}, TEXT),
        "Nothing is downloaded: save the image",
    ),
    "a long clip": (
        HEARING,
        user({"type": "audio", "audio": clip(0, 1.7)}, TEXT),
        "The clip is 1.70 s long, but Qwen2AudioProcessor uses only its first",
    ),
    "a long clip for Whisper": (
        "whisper",
        {"audio": clip(0, 2.5)},
        "The clip is 2.50 s long, but WhisperProcessor uses only its first",
    ),
    "a long clip for a classifier": (
        "ast",
        {"audio": clip(0, 1.0)},
        "The clip is 1.00 s long, but ASTFeatureExtractor uses only its first",
    ),
    "text for Whisper": ("whisper", {"text": "a tone", "audio": clip(0)}, "This model reads no text: leave 'text' out"),
    "text for a classifier": ("vit", {"text": "a cat", "images": picture(0)}, "This model reads no text: leave 'text' out"),
    "two images for a classifier": (
        "vit",
        {"images": [picture(0), picture(1)]},
        "This model reads one image or clip at a time",
    ),
    "no image for a classifier": ("vit", {"images": []}, "This model reads one image or clip at a time, the prompt has 0"),
    "a clip for a classifier of images": (
        "vit",
        {"audio": clip(0)},
        "has a part of the type audio, which ViTImageProcessorPil",
    ),
    "ids for a classifier": (
        "vit",
        {"input_ids": [[4, 5]]},
        "This model reads no text: give what ViTImageProcessorPil makes of",
    ),
}


@pytest.mark.parametrize(("name", "inputs", "message"), INPUTS.values(), ids=INPUTS.keys())
def test_inputs(name: str, inputs: Any, message: str) -> None:
    refused(name, inputs, message, target=None if name in ("vit", "ast") else ANSWER)


@pytest.mark.parametrize(("name", "seconds"), [(HEARING, 1.0), ("whisper", 1.0), ("ast", 0.655)])
def test_how_long_a_clip_may_be(name: str, seconds: float) -> None:
    """What the message names is what the extractor can take: 1 s, and 64 frames of 25 ms every 10 ms."""
    subject = family(name)
    inputs = user({"type": "audio", "audio": clip(0, 2.0)}, TEXT) if name == HEARING else {"audio": clip(0, 2.0)}
    with pytest.raises(ValueError, match="uses only its first") as raised:
        KernelShap(subject.model, subject.processor, **CUTS)(inputs, [5] if name != "ast" else 1)
    told = float(str(raised.value).split("first ")[1].split(" s")[0])
    assert told == pytest.approx(seconds, abs=0.04)


@pytest.mark.parametrize("name", ["granite_speech", "wav2vec2", "voxtral"])
def test_processors_that_hear_everything(name: str) -> None:
    subject = family(name)
    inputs = {"audio": clip(0, 2.0)} if name == "wav2vec2" else user({"type": "audio", "audio": clip(0, 2.0)}, TEXT)
    target = 1 if name == "wav2vec2" else ANSWER
    explainer = KernelShap(subject.model, subject.processor, **CUTS)
    played = explainer.game(inputs, target)
    assert len([feature for feature in played.features if feature.modality == "audio"]) == 10
    played(torch.ones(1, played.n, dtype=torch.bool))


OTHERS: dict[str, tuple[str, Any, str]] = {
    "text for a classifier": ("vit", "a cat", 'This model reads no text: give {"images": ...}'),
    "a text for Whisper": ("whisper", "a tone", 'This model reads no text: give {"audio": ...}'),
    "a chat for a classifier": ("wav2vec2", user(TEXT), 'This model reads no text: give {"audio": ...}'),
    "a number": (SEEING, user({"type": "image", "image": 7}, TEXT), "Cannot read an image from int"),
    "a word for a clip": (HEARING, user({"type": "audio", "audio": {1, 2}}, TEXT), "Cannot read a recording from set"),
}


@pytest.mark.parametrize(("name", "inputs", "message"), OTHERS.values(), ids=OTHERS.keys())
def test_inputs_of_another_kind(name: str, inputs: Any, message: str) -> None:
    refused(name, inputs, message, TypeError, target=None if name in ("vit", "wav2vec2") else ANSWER)


def test_files(tmp_path: Path) -> None:
    corrupt, cut, missing = tmp_path / "corrupt.png", tmp_path / "cut.png", tmp_path / "missing.png"
    corrupt.write_bytes(b"no image at all")
    picture(0).save(cut)
    cut.write_bytes(cut.read_bytes()[:80])
    refused(SEEING, user({"type": "image", "path": str(corrupt)}, TEXT), f"{corrupt} is not an image that can be read")
    refused(SEEING, user({"type": "image", "image": str(cut)}, TEXT), "is damaged")
    refused(SEEING, user({"type": "image", "path": str(missing)}, TEXT), "There is no image file at", FileNotFoundError)
    refused(HEARING, user({"type": "audio", "path": str(missing)}, TEXT), "There is no audio file at", FileNotFoundError)
    pytest.importorskip("soundfile")
    refused(HEARING, user({"type": "audio", "path": str(corrupt)}, TEXT), "is not a recording that can be read")


SETTINGS: dict[str, tuple[str, dict[str, Any], str]] = {
    "masks of another size": (SEEING, {"image_granularity": Masks(np.ones((2, 16, 16), dtype=bool))}, "16"),
    "empty masks": (SEEING, {"image_granularity": Masks(np.arange(2)[:, None, None] * np.ones((2, 32, 32)) > 0)}, "no pixel"),
    "more patches than pixels": (SEEING, {"image_granularity": Patches(40, 1)}, "40"),
    "dropping patches": (
        SEEING,
        {"image_occlusion": DropImage()},
        "DropImage() leaves out whole images, and this one is cut into 4",
    ),
    "words after the end": (HEARING, {"audio_granularity": SpokenWords([("high", 0.0, 3.0)])}, "the clip is 0.6 s long"),
    "everything pinned": (BOTH, {"pinned": lambda feature: True}, "every feature of the prompt is pinned"),
    "an unknown pin": (BOTH, {"pinned": ["row 9, column 9"]}, "pinned names 'row 9, column 9', which is not a feature"),
    "too few labels": (BOTH, {"groups": [0, 1]}, "groups needs one label per feature: 13 features, 2 labels"),
    "tokens around what is left out": (
        HEARING,
        {"granularity": Granularity.ALL_TOKENS, "audio_occlusion": CutOut()},
        "Under ALL_TOKENS an image, a clip or a video cannot be left out of the prompt",
    ),
    "no role": (BOTH, {"roles": ["system"]}, "No message has a role to explain"),
}


@pytest.mark.parametrize(("name", "options", "message"), SETTINGS.values(), ids=SETTINGS.keys())
def test_settings(name: str, options: dict[str, Any], message: str) -> None:
    refused(name, conversation(family(name), QUESTION), message, **options)


def test_a_clip_that_cuts_to_nothing() -> None:
    for name in ("wav2vec2", "whisper"):
        message = "With every piece absent nothing is left for the model to read: use Fill() for images and Mute() for clips"
        refused(name, {"audio": clip(0)}, message, target=None, audio_occlusion=CutOut())


def test_media_for_a_text_model() -> None:
    """A plain tokenizer, and a processor's tokenizer without its processor."""
    text, subject = zoo.build("llama"), family(SEEING)
    calls: list[Callable[[], Any]] = [
        lambda: KernelShap(text, zoo.byte_bpe())(user(IMAGE, TEXT), " x"),
        lambda: KernelShap(text, zoo.byte_bpe())({"text": QUESTION, "images": picture(0)}, " x"),
        lambda: KernelShap(subject.model, subject.processor.tokenizer)(user(IMAGE, TEXT), " x"),
    ]
    for call in calls:
        with (
            Silent(text, subject.model) as silent,
            pytest.raises(ValueError, match="has a part of the type image, which") as raised,
        ):
            call()
        assert silent.forwards == 0
        assert "give the model's processor as the second argument" in str(raised.value)


@pytest.mark.parametrize("name", ["vit", "wav2vec2"])
def test_text_settings_of_models_that_read_no_text(name: str) -> None:
    subject = family(name)
    for occlusion in (Replace("x"), Replace(), Attend()):
        with pytest.raises(ValueError, match="reads no text, but `occlusion` is for texts"):
            KernelShap(subject.model, subject.processor, occlusion=occlusion)
    refused(name, Template("a {thing}", {"thing": "cat"}, {"thing": "dog"}), "This model reads no text", TypeError, target=1)


def test_a_picture_cut_by_hand_keeps_its_pieces() -> None:
    """Not bad input: whatever the settings say, a Picture is taken as it is."""
    subject = family(SEEING)
    cut = Picture.of(picture(0), Patches(1, 3))
    explainer = KernelShap(subject.model, subject.processor, **CUTS)
    features = explainer.game(user({"type": "image", "image": cut}, TEXT), ANSWER).features
    assert len([feature for feature in features if feature.modality == "image"]) == 3


def test_masks_that_do_not_cover_leave_the_rest_in_place() -> None:
    subject = family(SEEING)
    masks = np.zeros((1, 32, 32), dtype=bool)
    masks[0, :4, :4] = True
    explainer = KernelShap(subject.model, subject.processor, image_granularity=Masks(masks), progress=False)
    played = explainer.game(user(IMAGE, TEXT), ANSWER)
    [medium] = played.prompt.media
    assert isinstance(medium, Picture)
    shown = medium.render(np.array([False]))
    assert isinstance(shown, Image.Image)
    assert (np.asarray(shown)[4:] == np.asarray(picture(0))[4:]).all()


def test_a_resampled_clip_is_told(caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("soxr")
    subject = family(HEARING)
    with caplog.at_level(logging.WARNING, logger="interpreto_mllm"):
        given = user({"type": "audio", "audio": {"array": clip(0)[::2].copy(), "sampling_rate": RATE // 2}}, TEXT)
        KernelShap(subject.model, subject.processor, **CUTS).game(given, ANSWER)
    assert "has 8000 samples per second, the model wants 16000: resampled" in caplog.text
