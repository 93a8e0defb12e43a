"""Answers to prompts with images and clips: token for token what the raw model says to each coalition alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
import transformers as hf
from support.by_hand import extended, left, painted, parts, processed, silenced, without_words
from support.by_hand import rendered as rendered_chat
from support.families import conversation, family
from support.family_parts import RATE, Family, clip
from support.multimodal import CUTS, NEW_TOKENS, QUESTION, bare, generated
from support.planted import rendered
from support.quick import each

from interpreto_mllm import (
    Attend,
    Attribution,
    Boxes,
    DropImage,
    InferenceModes,
    KernelShap,
    Occlusion,
    Response,
    ResponseSimilarity,
    WholeImage,
    Windows,
)
from interpreto_mllm.similarity import Contextual, ExactMatch, Static
from interpreto_mllm.testbed import load_hearing, load_sight, sample_clip_prompts, sample_scene_prompts
from interpreto_mllm.testbed.shapes import CELLS, cell_box

FAMILIES = ("llava", "qwen2_5_vl", "gemma3", "qwen2_audio", "qwen2_5_omni")
"""Plain positions, positions of several axes, attention in both directions within an image, sound, and all of it."""


def play(subject: Family, messages: Any, target: Any = " red square", **options: Any) -> Attribution:
    mode = options.pop("mode", ResponseSimilarity(generate={"max_new_tokens": NEW_TOKENS, **options.pop("generate", {})}))
    settings = {**CUTS, "budget": 24, "batch_size": 7, **options}
    [result] = KernelShap(subject.model, subject.processor, inference_mode=mode, **settings)(messages, target)
    return result


def alone(subject: Family, messages: Any, features: Sequence[Any], coalition: Sequence[bool]) -> tuple[int, ...]:
    """What the raw model says to what the processor makes of one coalition."""
    return generated(subject, without_words(subject, *left(messages, features, coalition, ("user",))))


@pytest.mark.parametrize(
    ("name", "share_prefixes"),
    each(
        [(name, share) for name in FAMILIES for share in (True, False)],
        [*((name, True) for name in FAMILIES), ("llava", False)],
    ),
)
def test_every_family_answers_as_it_does_alone(name: str, share_prefixes: bool) -> None:
    subject = family(name)
    messages = conversation(subject, QUESTION)
    result = play(subject, messages, share_prefixes=share_prefixes)
    assert result.responses is not None
    for coalition, [said] in zip(result.coalitions.tolist(), result.responses.answers, strict=True):
        assert said.ids == alone(subject, messages, result.features, coalition)
    assert len(set(result.responses.texts)) > 4, "the answers differ, so the comparison can fail"
    if share_prefixes:
        assert result.counts.forwards < 24 * NEW_TOKENS / 2, "rows are answered side by side"


@pytest.mark.parametrize("name", ["llava", "qwen2_5_vl"])
def test_the_original_answer_is_what_the_model_says_to_it_all(name: str) -> None:
    subject = family(name)
    messages = conversation(subject, QUESTION)
    result = play(
        subject, messages, None, mode=ResponseSimilarity(similarity=ExactMatch(), generate={"max_new_tokens": NEW_TOKENS})
    )
    assert result.responses is not None
    whole = [True] * result.n
    assert result.responses.originals[0].ids == alone(subject, messages, result.features, whole)
    assert result.full.item() == 1


@pytest.mark.parametrize("name, settings", [("llava", {}), ("llava", {"num_beams": 2}), ("qwen2_5_vl", {})])
def test_dropped_images_and_settings_of_generate(name: str, settings: dict[str, Any]) -> None:
    """Prompts with two images, one or none, and answers that are left to `generate`."""
    subject = family(name)
    messages = conversation(subject, QUESTION, pictures=(0, 1))
    cuts = {"image_granularity": WholeImage(), "image_occlusion": DropImage()}
    result = play(subject, messages, budget=40, generate=settings, **cuts)
    assert result.responses is not None
    counts = set()
    for coalition, [said] in zip(result.coalitions.tolist(), result.responses.answers, strict=True):
        occluded, words = left(messages, result.features, coalition, ("user",))
        images = [index for index, feature in enumerate(result.features) if feature.modality == "image"]
        there = iter([coalition[index] for index in images])
        occluded[0]["content"] = [part for part in occluded[0]["content"] if part["type"] == "text" or next(there)]
        counts.add(len(occluded[0]["content"]) - 1)
        assert said.ids == generated(subject, without_words(subject, occluded, words), **settings)
    assert counts == {0, 1, 2}


@pytest.mark.parametrize("share_prefixes", [True, False])
@pytest.mark.parametrize("name", each(("llava", "qwen2_vl", "qwen2_5_vl"), ("llava", "qwen2_5_vl")))
def test_hidden_words_keep_their_places(name: str, share_prefixes: bool) -> None:
    """One plain forward per token, the positions those of the whole prompt."""
    subject = family(name)
    messages = conversation(subject, QUESTION)
    options = {"occlusion": Attend(), "budget": 14, "pinned": lambda feature: feature.modality != "text"}
    result = play(subject, messages, share_prefixes=share_prefixes, **options)
    assert result.responses is not None
    encoding = processed(subject, rendered_chat(subject, messages), parts(messages, "image"))
    length = encoding["input_ids"].shape[1]
    for coalition, [said] in zip(result.coalitions.tolist(), result.responses.answers, strict=True):
        absent = [p for f, there in zip(result.features, coalition, strict=True) if not there for p in f.positions]
        ids: list[int] = []
        while len(ids) < NEW_TOKENS and subject.processor.tokenizer.eos_token_id not in ids:
            given = extended(subject, encoding, ids)
            positions = torch.arange(length + len(ids))[None]
            if name != "llava":
                known = {key: given[key] for key in ("input_ids", "image_grid_thw", "mm_token_type_ids")}
                positions = subject.model.model.get_rope_index(**known)[0]
            mask = torch.ones(1, length + len(ids), dtype=torch.int64)
            mask[0, absent] = 0
            with torch.no_grad():
                logits = subject.model(**{**given, "attention_mask": mask}, position_ids=positions).logits
            ids.append(int(logits[0, -1].argmax()))
        assert said.ids == bare(ids, subject.processor.tokenizer)
    assert len(set(result.responses.texts)) > 3


@pytest.mark.parametrize("name", each((*FAMILIES, "paligemma"), ("llava", "qwen2_5_omni", "paligemma")))
def test_states_of_an_answer_after_its_prompt(name: str) -> None:
    """With the images and clips that the prompt comes with, some of them dropped."""
    subject = family(name)
    messages = conversation(subject, QUESTION)
    silence = {"suppress_tokens": [*range(5), 203, 204]} if name == "paligemma" else {}  # it would say nothing else
    mode = ResponseSimilarity(Contextual(after_prompt=True), generate={"max_new_tokens": NEW_TOKENS, **silence})
    result = play(subject, messages, " red square", mode=mode, budget=16)
    assert result.responses is not None
    original = subject.processor.tokenizer(" red square", add_special_tokens=False)["input_ids"]

    def vector(coalition: Sequence[bool], ids: Sequence[int]) -> torch.Tensor:
        encoding = without_words(subject, *left(messages, result.features, coalition, ("user",)))
        with torch.no_grad():
            output = subject.model(**extended(subject, encoding, ids), output_hidden_states=True)
        return output.hidden_states[-1][0, -len(ids) :].mean(0).double()

    wanted = vector([True] * result.n, original)
    for coalition, [said], value in zip(result.coalitions.tolist(), result.responses.answers, result.values[:, 0], strict=True):
        expected = torch.cosine_similarity(wanted, vector(coalition, said.ids), dim=0) if said.text else torch.tensor(0.0)
        assert value.item() == pytest.approx(expected.item(), abs=1e-5)
    assert result.values.std() > 1e-4


@pytest.mark.parametrize("name", [*FAMILIES, "paligemma"])
def test_states_of_an_answer_alone(name: str) -> None:
    subject = family(name)
    words = subject.processor.tokenizer
    texts = [" red", " red square and a circle", " the blue one is the circle ?"]
    begin = [] if words.bos_token_id is None else [words.bos_token_id]
    for given in (subject.processor, words):
        each = Contextual(subject.model, given, batch_size=3)([(Response(text), None) for text in texts])
        for text, states in zip(texts, each, strict=True):
            ids = words(text, add_special_tokens=False)["input_ids"]
            begun = {"input_ids": torch.tensor([begin], dtype=torch.int64), "attention_mask": torch.ones(1, len(begin))}
            with torch.no_grad():
                output = subject.model(**extended(subject, begun, ids), output_hidden_states=True)
            torch.testing.assert_close(states, output.hidden_states[-1][0, len(begin) :], atol=1e-5, rtol=1e-5)


def test_states_of_what_is_heard_by_an_encoder() -> None:
    subject = family("whisper")
    generate = {"max_new_tokens": NEW_TOKENS}
    with pytest.raises(ValueError, match="reads no text"):
        KernelShap(subject.model, subject.processor, inference_mode=ResponseSimilarity(Contextual(), generate=generate))
    sound = clip(0)
    mode = ResponseSimilarity(Contextual(after_prompt=True), generate=generate, log_probability=True)
    explainer = KernelShap(
        subject.model, subject.processor, inference_mode=mode, audio_granularity=Windows(100), progress=False
    )
    [result] = explainer({"audio": sound}, " red square")
    assert result.responses is not None
    start = [subject.model.config.decoder_start_token_id]

    def vector(coalition: Sequence[bool], ids: Sequence[int]) -> torch.Tensor:
        absent = [f.time for f, there in zip(result.features, coalition, strict=True) if not there and f.time]
        heard = subject.processor(audio=silenced(sound, absent), sampling_rate=RATE, return_tensors="pt")
        with torch.no_grad():
            output = subject.model(**heard, decoder_input_ids=torch.tensor([[*start, *ids]]), output_hidden_states=True)
        return output.decoder_hidden_states[-1][0, 1:].mean(0).double()

    wanted = vector([True] * result.n, result.responses.originals[0].ids)
    for coalition, [said], value in zip(result.coalitions.tolist(), result.responses.answers, result.values[:, 0], strict=True):
        expected = torch.cosine_similarity(wanted, vector(coalition, said.ids), dim=0) if said.text else torch.tensor(0.0)
        assert value.item() == pytest.approx(expected.item(), abs=1e-5)
    scored = KernelShap(subject.model, subject.processor, audio_granularity=Windows(100), progress=False)
    [other] = scored({"audio": sound}, " red square")
    told = result.rescore(InferenceModes.LOG_SOFTMAX)
    torch.testing.assert_close(told.values, other.span().values, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "embedding",
    [Static(), *(pytest.param(one, marks=pytest.mark.thorough) for one in (Contextual(), Contextual(after_prompt=True)))],
)
def test_of_a_model_that_speaks_it_is_what_it_says_in_words(embedding: Any) -> None:
    """Its transcript, which is the text that its own `generate` gives besides the sound; embedded by what wrote it."""
    whole, thinker = family("qwen2_5_omni_speaking"), family("qwen2_5_omni")
    messages = conversation(whole, QUESTION)
    mode = ResponseSimilarity(embedding, generate={"max_new_tokens": NEW_TOKENS}, log_probability=True)
    result, same = (play(subject, messages, None, mode=mode) for subject in (whole, thinker))
    torch.testing.assert_close(result.values, same.values, rtol=0, atol=0)
    told = [one.rescore(InferenceModes.LOG_SOFTMAX).values for one in (result, same)]
    torch.testing.assert_close(*told, rtol=0, atol=0)
    encoding = processed(whole, rendered_chat(whole, messages), parts(messages, "image"), parts(messages, "audio"))
    with torch.no_grad():
        text = whole.model.generate(**encoding, generation_mode="text", thinker_max_new_tokens=NEW_TOKENS)[0].tolist()
    assert result.responses is not None
    assert result.responses.originals[0].ids == bare(text[encoding["input_ids"].shape[1] :], whole.processor.tokenizer)
    if embedding == Static():
        again = result.rescore(ResponseSimilarity(Static(whole.model, whole.processor)))
        torch.testing.assert_close(again.values, result.values, rtol=0, atol=0)


def test_a_model_that_answers_in_sound_alone_is_refused() -> None:
    config = hf.MusicgenConfig(
        text_encoder=hf.T5Config(d_model=16, d_kv=4, d_ff=16, num_layers=1, num_heads=2).to_dict() | {"model_type": "t5"},
        audio_encoder=hf.EncodecConfig().to_dict(),
        decoder=hf.MusicgenDecoderConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, ffn_dim=16).to_dict(),
    )
    with pytest.raises(TypeError, match="MusicgenForConditionalGeneration answers in audio, and no part of it"):
        KernelShap(hf.MusicgenForConditionalGeneration(config), family("qwen2_audio").processor)


def test_the_model_that_sees_answers_otherwise_without_the_true_cell() -> None:
    """Each cell of the grid painted over in turn: the answer is what the model says to such a picture, and needs one cell."""
    model, processor = load_sight()
    subject = Family("sight", model, processor)
    options = {"image_granularity": Boxes([cell_box(cell) for cell in range(CELLS)]), "progress": False}
    mode = ResponseSimilarity(similarity=ExactMatch(), generate={"max_new_tokens": 3})
    pinned = {"pinned": lambda feature: feature.modality == "text", "inference_mode": mode}
    explainer = Occlusion(model, processor, **options, **pinned)
    lost, others = 0, 0
    for prompt in sample_scene_prompts(6, seed=21, asks="colour"):
        [result] = explainer(prompt.messages)
        assert result.responses is not None
        assert result.responses.originals[0].text == prompt.answer
        text = rendered(processor, prompt, chat=True)
        for coalition, [said] in zip(result.coalitions.tolist(), result.responses.answers, strict=True):
            absent = [feature.box for feature, there in zip(result.features, coalition, strict=True) if not there]
            encoding = processed(subject, text, [painted(prompt.image, absent)], add_special_tokens=False)
            assert said.ids == generated(subject, encoding, max_new_tokens=3)
        scores = {feature.box: score for feature, score in zip(result.features, result.attributions[0].tolist(), strict=True)}
        lost += scores.pop(prompt.cells[0]) == 1
        others += sum(score > 0 for score in scores.values())
    assert lost >= 5 and others == 0


def test_the_model_that_hears_answers_otherwise_without_the_true_sound() -> None:
    model, processor = load_hearing()
    subject = Family("hearing", model, processor, ("audio",))
    mode = ResponseSimilarity(similarity=ExactMatch(), generate={"max_new_tokens": 3})
    pinned = {"pinned": lambda feature: feature.modality == "text", "inference_mode": mode, "progress": False}
    lost, others = 0, 0
    for prompt in sample_clip_prompts(6, sounds=4, seed=22, asks="first"):
        spans = [tuple(round(edge * RATE) for edge in (s.span[0] - 0.01, s.span[1] + 0.01)) for s in prompt.clip.sounds]
        [result] = Occlusion(model, processor, audio_granularity=lambda samples, rate, s=spans: s, **pinned)(prompt.messages)
        assert result.responses is not None
        assert result.responses.originals[0].text == prompt.answer
        text = rendered(processor, prompt, chat=True)
        for coalition, [said] in zip(result.coalitions.tolist(), result.responses.answers, strict=True):
            absent = [feature.time for feature, there in zip(result.features, coalition, strict=True) if not there]
            encoding = processed(subject, text, clips=[silenced(prompt.audio, absent)], add_special_tokens=False)
            assert said.ids == generated(subject, encoding, max_new_tokens=3)
        scores = result.attributions[0].tolist()
        lost += scores[0] == 1
        others += sum(score > 0 for score in scores[1:])
    assert lost >= 5 and others == 0
