"""An image beside a text: every value is that of one plain forward over what is left of both."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers as hf
from support.by_hand import painted
from support.families_beside import blip_answering, blip_retrieval, clip, siglip, vilt
from support.family_parts import Family, picture
from support.multimodal import BOXES, CLOSE, CUTS, drawn
from support.zoo import SMALL, plain_ids, wordpiece

from interpreto_mllm import (
    Attend,
    Contrast,
    Drop,
    DropImage,
    ExactShapley,
    InferenceModes,
    KernelShap,
    Occlusion,
    Replace,
    WholeImage,
)

TEXT = "the sky is blue"
PROMPT = {"text": TEXT, "images": picture(0)}
LOGITS = InferenceModes.LOGITS


def output(subject: Family, ids: list[int], boxes: list[Any], **options: Any) -> Any:
    """Of the raw model, for the picture with these boxes painted over."""
    image = subject.processor.image_processor([painted(picture(0), boxes)], return_tensors="pt")
    with torch.no_grad():
        return subject.model(input_ids=torch.tensor([ids]), **image, **options)


def by_hand(
    subject: Family, played: Any, coalitions: torch.Tensor, of: Any, replacement: list[int] | None = None
) -> torch.Tensor:
    """What `of` makes of the output for each coalition."""
    ids = subject.processor.tokenizer.encode(TEXT)
    words = [feature for feature in played.features if feature.modality == "text"]
    assert [feature.text for feature in words] == TEXT.split()
    values = []
    for row in coalitions.tolist():
        left = plain_ids(ids, words, row[len(BOXES) :], replacement)
        boxes = [box for box, kept in zip(BOXES, row, strict=False) if not kept]
        values.append(of(left, boxes))
    return torch.stack(values).double()


def test_scores_of_clip() -> None:
    subject = clip()
    played = KernelShap(subject.model, subject.processor, **CUTS, inference_mode=LOGITS, batch_size=3).game(PROMPT)
    coalitions = drawn(played.n)
    expected = by_hand(subject, played, coalitions, lambda ids, boxes: output(subject, ids, boxes).logits_per_image[0])
    torch.testing.assert_close(played(coalitions).double(), expected, **CLOSE)
    assert expected.std() > 1e-2
    assert played.question.labels == ["image–text score"]
    [result] = Occlusion(subject.model, subject.processor, **CUTS, inference_mode=LOGITS)(PROMPT)
    given = subject.processor(text=[TEXT], images=[picture(0)], return_tensors="pt")
    torch.testing.assert_close(result.full, subject.model(**given).logits_per_image[0].detach().double(), **CLOSE)
    with pytest.raises(ValueError, match="no probability without other texts: use inference_mode="):
        KernelShap(subject.model, subject.processor)


def test_scores_of_siglip_are_of_texts_as_it_was_trained_on() -> None:
    """Filled up to all of its positions, and with the probability of a sigmoid."""
    subject = siglip()
    words = subject.processor.tokenizer

    def probability(ids: list[int], boxes: list[Any]) -> torch.Tensor:
        padded = [*ids, *[words.pad_token_id] * (24 - len(ids))]
        return output(subject, padded, boxes).logits_per_image[0].sigmoid().log()

    played = KernelShap(subject.model, subject.processor, **CUTS).game(PROMPT)
    coalitions = drawn(played.n)
    torch.testing.assert_close(played(coalitions).double(), by_hand(subject, played, coalitions, probability), **CLOSE)
    given = subject.processor(text=[TEXT], images=[picture(0)], return_tensors="pt", padding="max_length", max_length=24)
    [result] = Occlusion(subject.model, subject.processor, **CUTS, inference_mode=LOGITS)(PROMPT)
    torch.testing.assert_close(result.full, subject.model(**given).logits_per_image[0].detach().double(), **CLOSE)
    assert any("filled up to 24 tokens" in note for note in result.notes)
    with pytest.raises(ValueError, match="SiglipModel reads tokens that the attention mask hides"):
        Occlusion(subject.model, subject.processor, **CUTS, occlusion=Attend())(PROMPT)


@pytest.mark.parametrize("occlusion, mask", [(None, True), (Drop(), False)])
def test_questions_about_images(occlusion: Any, mask: bool) -> None:
    subject = vilt()
    explainer = KernelShap(subject.model, subject.processor, **CUTS, occlusion=occlusion, batch_size=3)
    played = explainer.game(PROMPT, ["red", 0, Contrast("yes", "no")])
    coalitions = drawn(played.n)

    def answers(ids: list[int], boxes: list[Any]) -> torch.Tensor:
        chosen = output(subject, ids, boxes).logits[0].log_softmax(-1)
        return torch.stack([chosen[3], chosen[0], chosen[0] - chosen[1]])

    replacement = [subject.processor.tokenizer.mask_token_id] if mask else None
    expected = by_hand(subject, played, coalitions, answers, replacement)
    torch.testing.assert_close(played(coalitions).double(), expected, **CLOSE)
    assert expected.std(0).min() > 1e-3
    [own] = Occlusion(subject.model, subject.processor, **CUTS)(PROMPT)
    given = subject.processor(text=[TEXT], images=[picture(0)], return_tensors="pt")
    assert own.targets == [subject.model.config.id2label[int(subject.model(**given).logits.argmax())]]


def test_whether_a_text_matches_an_image() -> None:
    subject = blip_retrieval()
    played = KernelShap(subject.model, subject.processor, **CUTS).game(PROMPT, "match")
    coalitions = drawn(played.n, 3)
    expected = by_hand(
        subject, played, coalitions, lambda ids, boxes: output(subject, ids, boxes).itm_score[0].log_softmax(-1)[1:]
    )
    torch.testing.assert_close(played(coalitions).double(), expected, **CLOSE)
    with pytest.raises(ValueError, match="is 'no match', 'match' or None; got 'perhaps'"):
        KernelShap(subject.model, subject.processor).game(PROMPT, "perhaps")


def test_several_prompts_and_encodings() -> None:
    subject = clip()
    explainer = Occlusion(subject.model, subject.processor, **CUTS, inference_mode=LOGITS)
    prompts = [PROMPT, {"text": "the sea", "images": [picture(1, width=48)]}]
    for prompt, result in zip(prompts, explainer(prompts), strict=True):
        torch.testing.assert_close(result.values, explainer(prompt)[0].values, **CLOSE)
    encoding = subject.processor(text=[TEXT], images=[picture(0)], return_tensors="pt")
    [encoded] = explainer(encoding)
    torch.testing.assert_close(encoded.full, explainer(PROMPT)[0].full, **CLOSE)
    assert [feature.text for feature in encoded.features] == ["image", *TEXT.split()]


@pytest.mark.parametrize(
    ("prompt", "options", "message"),
    [
        ({"text": TEXT, "images": [picture(0), picture(1)]}, {}, "reads one image beside a text; the prompt has 2"),
        ({"text": TEXT}, {}, "reads one image beside a text; the prompt has 0"),
        (picture(0), {}, "needs its 'text'"),
        (PROMPT, {"image_occlusion": DropImage(), "image_granularity": WholeImage()}, r"cannot be left out: use Fill\(\)"),
        (
            {"text": " ".join(["sky"] * 30), "images": picture(0)},
            {},
            "The prompt has 32 tokens, the model reads 24: shorten it",
        ),
        (TEXT, {}, "reads an image beside a text: give"),
        ({"input_ids": [5, 6]}, {}, "reads an image beside a text: give what its processor makes"),
    ],
)
def test_prompts_that_are_refused(prompt: Any, options: Any, message: str) -> None:
    subject = clip()
    explainer = Occlusion(subject.model, subject.processor, **{**CUTS, **options}, inference_mode=LOGITS)
    with pytest.raises((TypeError, ValueError), match=message):
        explainer(prompt)


def test_targets_that_are_refused() -> None:
    subject = clip()
    with pytest.raises(ValueError, match="one score, which is what is explained: leave the target out; got 'a cat'"):
        Occlusion(subject.model, subject.processor, **CUTS, inference_mode=LOGITS)(PROMPT, "a cat")
    with pytest.raises(ValueError, match="There is no class named 'blue'"):
        Occlusion(vilt().model, vilt().processor, **CUTS)(PROMPT, "blue")


def test_others_are_refused_in_words() -> None:
    subject = blip_answering()
    with pytest.raises(
        TypeError, match=r"BlipForQuestionAnswering neither.*side by side, and gives neither a score nor classes"
    ):
        ExactShapley(subject.model, subject.processor)
    small = {**SMALL, "num_hidden_layers": 1, "image_size": 32, "patch_size": 16}
    processor = hf.ViltProcessor(hf.ViltImageProcessorPil(size={"shortest_edge": 32}), wordpiece())
    with pytest.raises(TypeError, match="side by side, and gives neither"):
        ExactShapley(hf.ViltForMaskedLM(hf.ViltConfig(**small)), processor)


@pytest.mark.parametrize("occlusion", [Replace("sea"), Attend()])
def test_other_occlusions_of_the_text(occlusion: Any) -> None:
    """Under Attend() the words keep their places."""
    subject = vilt()
    played = KernelShap(subject.model, subject.processor, **CUTS, occlusion=occlusion).game(PROMPT, "red")
    coalitions = drawn(played.n, 3)
    ids = torch.tensor(subject.processor.tokenizer.encode(TEXT))
    [sea] = subject.processor.tokenizer.encode("sea", add_special_tokens=False)
    for row, value in zip(coalitions.tolist(), played(coalitions), strict=True):
        absent = [1 + place for place, there in enumerate(row[len(BOXES) :]) if not there]
        mask, given = torch.ones(1, len(ids), dtype=torch.int64), ids.clone()
        if isinstance(occlusion, Attend):
            mask[0, absent] = 0
        else:
            given[absent] = sea
        boxes = [box for box, kept in zip(BOXES, row, strict=False) if not kept]
        expected = output(subject, given.tolist(), boxes, attention_mask=mask).logits[0].log_softmax(-1)[3:]
        torch.testing.assert_close(value, expected, **CLOSE)
