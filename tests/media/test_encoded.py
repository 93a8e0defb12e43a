"""What a processor returned is explained as it is: its tokens and its whole images and clips."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest
import torch
from support.by_hand import answered, ids_of, parts, processed, rendered
from support.families import CHATTING, CLASSIFIERS, REPRESENTATIVE, VIDEO, conversation, family, watching
from support.family_parts import RATE, Family, clip, picture
from support.multimodal import ANSWER, CLOSE, QUESTION, drawn, game
from support.quick import each

from interpreto_mllm import ExactShapley, Granularity, KernelShap
from interpreto_mllm.media.encoded import ABSENT

TOGETHER = ("idefics3", "smolvlm", "internvl", "paligemma", "granite_speech")
"""Families of whose two images or clips one player is made: tiles are not told from images, nor what has nothing between it."""
COUNTS = [*((name, 2) for name in CHATTING), *((name, 1) for name in TOGETHER)]
QUICK = [*((name, 2) for name in REPRESENTATIVE), ("idefics3", 1)]
ROLES: dict[str, tuple[str, str]] = dict.fromkeys(("llava", "llava_next"), ("USER:", "ASSISTANT:"))
"""What templates without markers write around a message, which nobody can tell from its words."""
PER_TOKEN = ("input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids")
SPLIT_BY_CELLS = "image_grid_thw"


def encoding_of(subject: Family, messages: list[dict], **options: Any) -> dict:
    """A chat as its processor encodes it."""
    return processed(subject, rendered(subject, messages), parts(messages, "image"), parts(messages, "audio"), **options)


def without(encoding: dict, positions: list[int], absent: dict[str, list[int]], count: int) -> dict:
    """The encoding without some tokens, and with nothing to see or hear in some of `count` images or clips."""
    kept = [place for place in range(encoding["input_ids"].shape[1]) if place not in positions]
    less = {name: tensor[:, kept] if name in PER_TOKEN else tensor.clone() for name, tensor in encoding.items()}
    for name, tensor in less.items():
        if not tensor.is_floating_point():
            continue
        modality = "audio" if "features" in name else "image"
        cells = less[SPLIT_BY_CELLS].prod(1).tolist() if modality == "image" and SPLIT_BY_CELLS in less else None
        pieces = tensor.split(cells) if cells else tensor.chunk(count)
        for index in absent.get(modality, []):
            pieces[index][pieces[index] != 0] = ABSENT
    return less


@pytest.mark.parametrize(("name", "count"), each(COUNTS, QUICK))
def test_an_encoding_with_media(name: str, count: int, caplog: pytest.LogCaptureFixture) -> None:
    subject = family(name)
    encoding = encoding_of(subject, conversation(subject, QUESTION, range(count), range(count)))
    options = {"granularity": Granularity.TOKEN}
    with caplog.at_level(logging.INFO, logger="interpreto_mllm"):
        fast = game(subject, encoding, **options)
        coalitions = drawn(fast.n, 4)
        values = fast(coalitions).double()
    assert "encoded media" not in caplog.text
    pieces = [feature for feature in fast.features if feature.modality != "text"]
    each = 1 if name in TOGETHER else count
    labels = {1: ["image"], 2: ["image 1", "image 2"]}[each] * ("image" in subject.modalities)
    labels += {1: ["clip"], 2: ["clip 1", "clip 2"]}[each] * ("audio" in subject.modalities)
    assert [feature.text for feature in pieces] == labels
    words = [feature.positions for feature in fast.features if feature.modality == "text"]
    read = subject.processor.tokenizer.decode([encoding["input_ids"][0, place].item() for [place] in words])
    roles = ROLES.get(name, ("", ""))
    assert "".join(read.split()) == "".join([roles[0], *QUESTION.split(), roles[1]])
    expected = []
    for coalition in coalitions.tolist():
        gone = [feature for feature, there in zip(fast.features, coalition, strict=True) if not there]
        positions = [place for feature in gone for place in feature.positions]
        absent: dict[str, list[int]] = {"image": [], "audio": []}
        for feature in gone:
            if feature.modality != "text":
                absent[feature.modality].append(feature.pieces[0][1])
        expected.append(answered(subject, without(encoding, positions, absent, each), ids_of(subject, ANSWER)))
    torch.testing.assert_close(values, torch.stack(expected), **CLOSE)
    plain = game(subject, encoding, share_prefixes=False, **options)
    torch.testing.assert_close(plain(coalitions).double(), torch.stack(expected), **CLOSE)
    assert values.std(0).max() > 1e-3


@pytest.mark.parametrize("name", each(("llava", "qwen3_vl", "voxtral"), ("qwen3_vl", "voxtral")))
def test_rows_with_an_image_or_a_clip_each(name: str) -> None:
    """Padded on either side, each row is the prompt by itself."""
    subject = family(name)
    chats = [conversation(subject, said, (seed,), (seed,)) for seed, said in enumerate([QUESTION, "The low tone"])]
    alone = [encoding_of(subject, messages) for messages in chats]
    texts = [rendered(subject, messages) for messages in chats]
    given: dict[str, Any] = {"images": [parts(messages, "image") for messages in chats]}
    if subject.modalities == ("audio",):
        given = {"audio": [parts(messages, "audio")[0] for messages in chats], "sampling_rate": RATE}
    for side in ("left", "right"):
        subject.processor.tokenizer.padding_side = side
        together = dict(subject.processor(text=texts, padding=True, return_tensors="pt", **given))
        explainer = KernelShap(subject.model, subject.processor, budget=12, progress=False)
        results = explainer(together, [" red", " blue"])
        for result, encoding, target in zip(results, alone, [" red", " blue"], strict=True):
            [expected] = explainer(encoding, target)
            assert [feature.text for feature in result.features] == [feature.text for feature in expected.features]
            torch.testing.assert_close(result.values, expected.values, **CLOSE)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_encodings_for_classifiers(name: str) -> None:
    """One player per row: everything that is seen or heard."""
    subject = family(name)
    given = [picture(0), picture(1)] if subject.modalities == ("image",) else [clip(0), clip(1)]
    options = {} if subject.modalities == ("image",) else {"sampling_rate": RATE}
    encoding = dict(subject.processor(given, return_tensors="pt", **options))
    results = ExactShapley(subject.model, subject.processor, progress=False)(encoding, [0, 2])
    with torch.no_grad():
        whole = subject.model(**encoding).logits.log_softmax(-1)
        nothing = subject.model(**{key: torch.where(one != 0, ABSENT, 0.0) for key, one in encoding.items()}).logits
    for row, (result, target) in enumerate(zip(results, [0, 2], strict=True)):
        assert [feature.text for feature in result.features] == [{"image": "image", "audio": "clip"}[subject.modalities[0]]]
        torch.testing.assert_close(result.full, whole[row, [target]].double(), **CLOSE)
        torch.testing.assert_close(result.empty, nothing.log_softmax(-1)[row, [target]].double(), **CLOSE)


def test_an_encoding_for_whisper() -> None:
    subject = family("whisper")
    encoding = subject.processor(audio=[clip(0), clip(1)], sampling_rate=RATE, return_tensors="pt")
    results = ExactShapley(subject.model, subject.processor, progress=False)(encoding, [[5, 6, 7], [8, 9]])
    for row, target in enumerate([[5, 6, 7], [8, 9]]):
        ids = torch.tensor([[subject.model.config.decoder_start_token_id, *target[:-1]]])
        with torch.no_grad():
            logits = subject.model(input_features=encoding["input_features"][row : row + 1], decoder_input_ids=ids).logits[0]
        expected = logits.log_softmax(-1)[range(len(target)), target].double()
        torch.testing.assert_close(results[row].full, expected, **CLOSE)


def test_the_encoding_is_not_changed() -> None:
    subject = family("qwen2_5_omni")
    encoding = encoding_of(subject, conversation(subject, QUESTION))
    before = {name: tensor.clone() for name, tensor in encoding.items()}
    KernelShap(subject.model, subject.processor, budget=24, progress=False)(encoding, ANSWER)
    assert encoding.keys() == before.keys()
    assert all(torch.equal(encoding[name], tensor) for name, tensor in before.items())


def test_arrays_and_lists_are_as_good_as_tensors() -> None:
    subject = family("llava")
    encoding = encoding_of(subject, conversation(subject, QUESTION))
    explainer = KernelShap(subject.model, subject.processor, budget=24, progress=False)
    [expected] = explainer(encoding, ANSWER)
    for form in (lambda tensor: tensor.numpy(), lambda tensor: tensor.tolist()):
        [result] = explainer({name: form(tensor) for name, tensor in encoding.items()}, ANSWER)
        torch.testing.assert_close(result.values, expected.values, **CLOSE)


def test_rows_that_cannot_be_told_apart() -> None:
    subject = family("llava")
    text = [rendered(subject, conversation(subject, QUESTION, pictures)) for pictures in ((0, 1), (2,))]
    images = [[picture(0), picture(1)], [picture(2)]]
    encoding = dict(subject.processor(text=text, images=images, padding=True, return_tensors="pt"))
    with pytest.raises(ValueError, match=r"has 2 rows, and it is not clear to which its pixel_values belong: explain one"):
        KernelShap(subject.model, subject.processor)(encoding, [" red", " red"])


def test_what_an_encoding_lacks_or_has_too_much_of() -> None:
    subject = family("llava")
    encoding = encoding_of(subject, conversation(subject, QUESTION))
    tokenizer = subject.processor.tokenizer
    with pytest.raises(ValueError, match=r"holds pixel_values, which cannot be explained with .*: give the model's processor"):
        KernelShap(subject.model, tokenizer)(encoding, ANSWER)
    with pytest.raises(ValueError, match="has a placeholder '<image>' for image, but comes with none"):
        KernelShap(subject.model, subject.processor)({"input_ids": encoding["input_ids"]}, ANSWER)
    with pytest.raises(ValueError, match="pixel_values_videos, which cannot be explained"):
        KernelShap(subject.model, subject.processor)({**encoding, "pixel_values_videos": np.ones((1, 3, 2, 2))}, ANSWER)
    with pytest.raises(ValueError, match="'pixel_values' of the encoding cannot be read as one tensor"):
        KernelShap(subject.model, subject.processor)({**encoding, "pixel_values": [[1.0], [1.0, 2.0]]}, ANSWER)


PIECES = {name: ["video"] for name in VIDEO} | {"smolvlm": ["image"], "internvl": [f"image {number}" for number in range(1, 5)]}
"""What a video of four frames is, encoded: SmolVLM and InternVL make images of its frames."""


@pytest.mark.parametrize("name", each(VIDEO, ("qwen3_vl", "smolvlm")))
def test_an_encoding_with_a_video(name: str) -> None:
    """Times and counts that a processor writes around frames are no words of the prompt, and stay."""
    subject = watching(name)
    messages = conversation(subject, QUESTION)
    encoding = processed(subject, rendered(subject, messages), (), (), parts(messages, "video"))
    fast = game(subject, encoding, granularity=Granularity.TURN)
    assert [feature.text for feature in fast.features] == [*PIECES[name], QUESTION]
    numbers = {key: tensor for key, tensor in encoding.items() if tensor.is_floating_point() and tensor.ndim > 1}
    for absent in ((), (0,)):
        coalition = torch.tensor([[place not in absent for place in range(fast.n)]])
        given = {key: tensor.clone() for key, tensor in encoding.items()}
        for key in numbers if absent else ():
            part = given[key][:1] if name == "internvl" else given[key]
            part[part != 0] = ABSENT
        expected = answered(subject, given, ids_of(subject, ANSWER))
        torch.testing.assert_close(fast(coalition)[0].double(), expected, **CLOSE)


def test_two_videos_in_an_encoding_are_two_pieces() -> None:
    subject = watching("qwen3_vl")
    messages = conversation(subject, QUESTION, videos=(0, 1))
    encoding = processed(subject, rendered(subject, messages), (), (), parts(messages, "video"))
    assert [f.text for f in game(subject, encoding, granularity=Granularity.TURN).features] == ["video 1", "video 2", QUESTION]
