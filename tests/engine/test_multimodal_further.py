"""Further families, each held to the contract: values are those of plain forwards, answers those of `generate`."""

from __future__ import annotations

import copy
import logging
from typing import Any

import pytest
import torch
import transformers as hf
from support.by_hand import answered, generated, painted, value
from support.families import FURTHER, conversation, family
from support.family_parts import Family, picture
from support.multimodal import ANSWER, BOXES, CLOSE, CUTS, QUESTION, drawn, game
from support.zoo import plain_ids

from interpreto_mllm import DropImage, ExactShapley, KernelShap, Occlusion, WholeImage

ENOUGH = 1e-3
MAKES_TOKENS = {"chameleon"}
"""A family whose images become tokens inside the model, so that no encoding of them can be given to it."""
SAID = "Describe the picture"


@pytest.mark.parametrize("name", FURTHER)
def test_values_of_a_joint_game(name: str, caplog: pytest.LogCaptureFixture) -> None:
    subject = family(name)
    messages = conversation(subject, QUESTION)
    played = game(subject, messages, batch_size=7)
    coalitions = drawn(played.n, 2)
    expected = torch.stack([value(subject, messages, played.features, row, ANSWER) for row in coalitions.tolist()])
    with caplog.at_level(logging.INFO, logger="interpreto_mllm"):
        torch.testing.assert_close(played(coalitions).double(), expected, **CLOSE)
    assert ("using plain forwards" in caplog.text) == (name in MAKES_TOKENS)
    assert expected.std(0).max() > ENOUGH


@pytest.mark.thorough
@pytest.mark.parametrize("name", FURTHER)
def test_values_depend_on_the_coalition_alone(name: str) -> None:
    subject = family(name)
    messages = conversation(subject, QUESTION)
    expected = game(subject, messages, share_prefixes=False)
    coalitions = drawn(expected.n)
    order = torch.randperm(len(coalitions), generator=torch.Generator().manual_seed(1))
    for options in ({"batch_size": 1}, {"batch_size": 3}):
        values = game(subject, messages, **options)(coalitions[order])
        torch.testing.assert_close(values, expected(coalitions)[order], **CLOSE)


@pytest.mark.thorough
@pytest.mark.parametrize("name", FURTHER)
def test_own_answers(name: str) -> None:
    subject = family(name)
    messages = conversation(subject, QUESTION)
    encoding, said = generated(subject, messages)
    own = game(subject, messages, None, generate={"max_new_tokens": 4})
    assert [list(answer.ids) for answer in own.question.targets] == [said]
    torch.testing.assert_close(
        own(torch.ones(1, own.n, dtype=torch.bool))[0].double(), answered(subject, encoding, said), **CLOSE
    )


def placed(subject: Family, row: list[bool], features: list[Any]) -> dict[str, torch.Tensor]:
    """What the processor makes of a text and a picture, less the tokens of absent words."""
    boxes = [box for box, there in zip(BOXES, row, strict=False) if not there]
    given = dict(subject.processor(text=[SAID], images=[painted(picture(0), boxes)], return_tensors="pt"))
    words = [feature for feature in features if feature.modality == "text"]
    assert [feature.text for feature in words] == SAID.split()
    ids = torch.tensor([plain_ids(given["input_ids"][0].tolist(), words, row[len(BOXES) :])])
    return given | {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def test_a_processor_that_finds_a_place_for_the_image_itself() -> None:
    """BLIP-2: before the text, which has no placeholder."""
    subject = family("blip2")
    prompt = {"text": SAID, "images": picture(0)}
    played = KernelShap(subject.model, subject.processor, **CUTS).game(prompt, ANSWER)
    coalitions = drawn(played.n, 3)
    ids = subject.processor.tokenizer(ANSWER, add_special_tokens=False)["input_ids"]
    expected = [answered(subject, placed(subject, row, played.features), ids) for row in coalitions.tolist()]
    torch.testing.assert_close(played(coalitions).double(), torch.stack(expected), **CLOSE)
    assert torch.stack(expected).std(0).min() > ENOUGH
    given = placed(subject, [True] * played.n, played.features)
    said = subject.model.generate(**given, max_new_tokens=4)[0, given["input_ids"].shape[1] :].tolist()
    own = KernelShap(subject.model, subject.processor, **CUTS, generate={"max_new_tokens": 4}).game(prompt)
    assert [list(answer.ids) for answer in own.question.targets] == [said]
    with pytest.raises(ValueError, match="puts the tokens of an image before the text by itself: leave '<image>' out of it"):
        KernelShap(subject.model, subject.processor, **CUTS).game({"text": f"<image>{SAID}", "images": picture(0)}, ANSWER)
    left_out: dict[str, Any] = {"image_granularity": WholeImage(), "image_occlusion": DropImage()}
    with pytest.raises(ValueError, match=r"reads an image with every text, so it cannot be left out: use Fill\(\)"):
        KernelShap(subject.model, subject.processor, **left_out).game(prompt, ANSWER)
    with pytest.raises(TypeError, match="reads an image beside a text: give"):
        KernelShap(subject.model, subject.processor).game(SAID, ANSWER)


def test_a_processor_that_finds_a_place_may_be_told_it_as_well() -> None:
    """PaliGemma."""
    subject = family("paligemma")
    told, found = (game(subject, {"text": text, "images": picture(0)}) for text in (f"<image>{SAID}", SAID))
    coalitions = drawn(found.n, 2)
    torch.testing.assert_close(found(coalitions), told(coalitions), **CLOSE)


def test_an_encoder_that_reads_an_image_and_a_text() -> None:
    """Florence-2."""
    subject = family("florence2")
    prompt = {"text": SAID, "images": picture(0)}
    explainer = KernelShap(subject.model, subject.processor, **CUTS, batch_size=3)
    played = explainer.game(prompt, ANSWER)
    coalitions = drawn(played.n, 3)
    target = list(played.question.targets[0].ids)
    start = subject.model.config.decoder_start_token_id
    expected = []
    for row in coalitions.tolist():
        with torch.no_grad():
            output = subject.model(
                **placed(subject, row, played.features), decoder_input_ids=torch.tensor([[start, *target[:-1]]])
            )
        chosen = output.logits[0].log_softmax(-1)[range(len(target)), target]
        expected.append(chosen[list(played.question.targets[0].scored)].double())
    torch.testing.assert_close(played(coalitions).double(), torch.stack(expected), **CLOSE)
    assert torch.stack(expected).std(0).min() > ENOUGH
    given = placed(subject, [True] * played.n, played.features)
    settings = {"max_new_tokens": 4, "min_new_tokens": 3}
    said = subject.model.generate(**given, **settings)[0, 1:].tolist()
    own = KernelShap(subject.model, subject.processor, **CUTS, generate=settings).game(prompt)
    assert [list(answer.ids) for answer in own.question.targets] == [said]


def test_a_decoder_that_starts_with_a_prompt_of_its_own() -> None:
    """Donut: the question is the decoder's, which starts with it alone, and the page the encoder's."""
    subject = family("donut")
    begin = torch.tensor([subject.processor.tokenizer.encode("<s_docvqa><s_question>", add_special_tokens=False)])
    [result] = Occlusion(subject.model, subject.processor, **CUTS, generate={"decoder_input_ids": begin})(
        {"images": picture(0)}, ANSWER
    )
    ids = subject.processor.tokenizer(ANSWER, add_special_tokens=False)["input_ids"]
    read = [*begin[0].tolist(), *ids]
    for row, values in zip(result.coalitions.tolist(), result.values, strict=True):
        boxes = [box for box, there in zip(BOXES, row, strict=True) if not there]
        pixels = subject.processor(images=painted(picture(0), boxes), return_tensors="pt")
        with torch.no_grad():
            logits = subject.model(**pixels, decoder_input_ids=torch.tensor([read[:-1]])).logits[0].log_softmax(-1)
        expected = torch.stack([logits[place - 1, read[place]] for place in range(len(read) - len(ids), len(read))])
        torch.testing.assert_close(values, expected.double(), **CLOSE)
    assert result.values.std(0).min() > 1e-4
    own = Occlusion(subject.model, subject.processor, **CUTS, generate={"decoder_input_ids": begin, "max_new_tokens": 4})
    pixels = subject.processor(images=picture(0), return_tensors="pt")
    said = subject.model.generate(**pixels, decoder_input_ids=begin, max_new_tokens=4)[0].tolist()
    [answer] = own.game({"images": picture(0)}).question.targets
    assert [answer.ids[place] for place in answer.scored] == said[begin.shape[1] :]


@pytest.mark.parametrize(("name", "argument"), [("mllama", "cross_attention_mask"), ("instructblip", "qformer_input_ids")])
def test_models_whose_images_are_more_than_tokens_are_refused(name: str, argument: str) -> None:
    subject = family(name)
    with pytest.raises(TypeError, match=rf"ForConditionalGeneration reads '{argument}', which its processor makes of the text"):
        ExactShapley(subject.model, subject.processor)


class Marking(hf.LlavaProcessor):
    """Makes a number for each token, that no image alone has."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        made = super().__call__(*arguments, **options)
        return made | {"marks": torch.ones_like(made["input_ids"])}


class Marked(hf.LlavaForConditionalGeneration):
    """Reads it."""

    def forward(self, *arguments: Any, marks: Any = None, **options: Any) -> Any:
        raise AssertionError("not before it is refused")


def test_what_a_processor_makes_of_the_text_and_the_images_is_found_by_trial() -> None:
    subject = family("llava")
    processor = copy.copy(subject.processor)
    processor.__class__ = Marking
    with pytest.raises(TypeError, match="Marked reads 'marks', which its processor makes of the text and the images together"):
        ExactShapley(Marked(subject.model.config), processor)
