"""Gradient methods on kinds of models: complete, and worth what coalitions are worth."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers as hf
from support import families, zoo
from support.family_parts import clip, picture
from support.quick import each

from interpreto_mllm import (
    Blur,
    Contrast,
    ExactShapley,
    Granularity,
    InferenceModes,
    InputXGradient,
    IntegratedGradients,
    KernelShap,
    Patches,
    Points,
    Saliency,
    TopMass,
    WhiteNoise,
    Windows,
)

TOKENIZER, WORDS = zoo.byte_bpe(), zoo.wordpiece()
PROMPT, TARGET = "The sky is blue, apples", " red one"
MORE = pytest.mark.thorough
QUICK = ("llava", "qwen2_audio")
CLOSE: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-4}


def t5(activation: str) -> Any:
    """A T5 of usual weights, of the second version where its activation is gated."""
    torch.manual_seed(0)
    sizes = {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4}
    config = hf.T5Config(
        vocab_size=zoo.VOCABULARY, **sizes, decoder_start_token_id=0, pad_token_id=0, feed_forward_proj=activation
    )
    return hf.T5ForConditionalGeneration(config).eval()


def near(gap: torch.Tensor | None, limit: float) -> bool:
    return gap is not None and float(gap.abs().max()) < limit


@pytest.mark.parametrize(
    "family, steps, limit",
    [
        ("gpt2", 32, 1e-4),
        ("bart", 32, 1e-4),
        *(pytest.param(name, 64, 1e-4, marks=MORE) for name in ("llama", "qwen2", "qwen3", "gemma2", "gemma3_text", "bloom")),
        *(pytest.param(name, 64, 1e-4, marks=MORE) for name in ("mistral_sliding", "roberta_causal")),
        pytest.param("lfm2", 128, 1e-5, marks=MORE),
        pytest.param("opt", 256, 2e-2, marks=MORE),  # its ReLU has kinks
        pytest.param("mamba", 1024, 1e-4, marks=MORE),
    ],
)
def test_answers_are_explained_completely_and_worth_what_they_are(family: str, steps: int, limit: float) -> None:
    model = zoo.build(family)
    [found] = IntegratedGradients(model, TOKENIZER, steps=steps, progress=False)(PROMPT, TARGET)
    whole = KernelShap(model, TOKENIZER).game(PROMPT, TARGET)(torch.ones(1, found.n, dtype=torch.bool))
    torch.testing.assert_close(found.full.float(), whole[0], **CLOSE)
    assert near(found.completeness_gap, limit)
    assert (found.counts.points, found.t) == (steps, len(found.targets))
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize(
    "options",
    [
        {"granularity": Granularity.TURN, "inference_mode": InferenceModes.ENTROPY},
        *(pytest.param({"granularity": one}, marks=MORE) for one in Granularity),
        *(
            pytest.param({"inference_mode": one}, marks=MORE)
            for one in (*InferenceModes, TopMass(3))
            if one is not InferenceModes.SIMILARITY
        ),
    ],
    ids=str,
)
def test_every_granularity_and_value_function_is_explained_completely(options: dict[str, Any]) -> None:
    model = zoo.build("llama")
    chat = [{"role": "user", "content": f"{PROMPT}. It is big."}, {"role": "system", "content": "Ah"}]
    [found] = IntegratedGradients(model, TOKENIZER, steps=48, roles=("user", "system"), progress=False, **options)(chat, TARGET)
    whole = KernelShap(model, TOKENIZER, roles=("user", "system"), **options).game(chat, TARGET)(torch.ones(1, found.n).bool())
    torch.testing.assert_close(found.full.float(), whole[0].float(), **CLOSE)
    assert near(found.completeness_gap, 1e-3)


@pytest.mark.parametrize("activation, limit", [("gated-gelu", 1e-5), pytest.param("relu", 0.05, marks=MORE)])
def test_t5_is_explained_completely(activation: str, limit: float) -> None:
    """Its second version, in 64 steps; the ReLU of the first has kinks at which no rule of integration is exact."""
    model = t5(activation)
    [found] = IntegratedGradients(model, TOKENIZER, steps=64, progress=False)(PROMPT, TARGET)
    assert near(found.completeness_gap, limit)
    assert float((found.full - found.empty).abs().max()) > 0.5


@pytest.mark.thorough
def test_the_gap_of_a_model_with_kinks_and_steep_attention_shrinks_with_the_steps() -> None:
    """T5 under weights four times as large as usual, whose attention, scaled by nothing, hardly differs from an argmax."""
    gaps = []
    for steps in (256, 1024, 4096):
        [found] = IntegratedGradients(zoo.build("t5"), TOKENIZER, steps=steps, progress=False)(PROMPT, TARGET)
        assert found.completeness_gap is not None
        gaps.append(float(found.completeness_gap.abs().max()))
    whole = KernelShap(zoo.build("t5"), TOKENIZER).game(PROMPT, TARGET)(torch.ones(1, found.n, dtype=torch.bool))
    torch.testing.assert_close(found.full.float(), whole[0], **CLOSE)
    assert gaps[0] > 3 * gaps[1] > 9 * gaps[2]


@pytest.mark.parametrize("family", ["bert", *(pytest.param(name, marks=MORE) for name in zoo.CLASSIFIERS if name != "bert")])
def test_classes_are_explained_completely_all_from_one_forward(family: str) -> None:
    model, tokenizer = zoo.build(family), WORDS if family == "bert" else TOKENIZER
    [found] = IntegratedGradients(model, tokenizer, steps=32, progress=False)(PROMPT, [0, 1, 2, Contrast(0, 2)])
    assert near(found.completeness_gap, 1e-4)
    torch.testing.assert_close(found.attributions[3], found.attributions[0] - found.attributions[2], **CLOSE)
    assert (found.counts.forwards, found.counts.backwards) == (2, 4)  # one of the baseline and the prompt, one of 32 points


def test_words_at_masks_labels_of_tokens_and_ends_of_answers() -> None:
    torch.manual_seed(0)
    config = hf.BertConfig(**zoo.SMALL, num_labels=3, max_position_embeddings=128, pad_token_id=0)
    ends = hf.BertConfig(**zoo.SMALL, max_position_embeddings=128, pad_token_id=0)
    asked: list[tuple[Any, str, Any]] = [
        (hf.BertForMaskedLM(config), "The sky is <mask> and the sea", "blue"),
        (hf.BertForTokenClassification(config), PROMPT, [("sky", 1), ("blue", 2)]),
        (hf.BertForQuestionAnswering(ends), PROMPT, "sky"),
    ]
    for model, prompt, target in asked:
        [found] = IntegratedGradients(model.eval(), WORDS, steps=8, progress=False)(prompt, target)
        assert near(found.completeness_gap, 1e-4)
        game = IntegratedGradients(model.eval(), WORDS).game(prompt, target)
        plain = ExactShapley(model.eval(), WORDS).game(prompt, target)
        everything = torch.ones(1, found.n, dtype=torch.bool)
        torch.testing.assert_close(game(everything).float(), plain(everything), **CLOSE)


@pytest.mark.parametrize(
    "name",
    [
        "llava",
        "qwen2_audio",
        *(
            pytest.param(name, marks=MORE)
            for name in (*families.CHATTING, "idefics2", "glm4v")
            if name not in ("llava", "qwen2_audio")
        ),
    ],
)
def test_images_and_clips_move_from_their_occlusions(name: str) -> None:
    """What the model is worth with images and clips absent is what it is worth as a game of coalitions."""
    subject = families.family(name)
    messages = families.conversation(subject)
    cuts: dict[str, Any] = {"image_granularity": Patches(2, 2), "audio_granularity": Windows(200)}
    explainer = InputXGradient(subject.model, subject.processor, **cuts, progress=False)
    game, plain = (one.game(messages, "red blue") for one in (explainer, KernelShap(subject.model, subject.processor, **cuts)))
    text = [feature.modality == "text" for feature in game.features]
    coalitions = torch.tensor([text, [True] * game.n])
    torch.testing.assert_close(game(coalitions).float(), plain(coalitions), rtol=1e-4, atol=2e-4)
    [found] = explainer(messages, "red blue")
    assert float(found.attributions[:, ~torch.tensor(text)].abs().max()) > 0


STEEP = ("gemma3", "lfm2_vl", "llava_onevision", "paligemma")
"""Their values change abruptly on a part of the way: in 96 steps their gaps are up to 0.05, in these at most 4e-5."""


@pytest.mark.parametrize("name", each(families.CHATTING, ("llava",)))
def test_answers_about_images_and_clips_are_explained_completely(name: str) -> None:
    subject = families.family(name)
    options: dict[str, Any] = {"image_granularity": Patches(2, 2), "audio_granularity": Windows(200), "whole_answer": True}
    steps = 1536 if name in STEEP else 24 if name == "llava" else 96
    explainer = IntegratedGradients(subject.model, subject.processor, steps=steps, image_occlusion=Blur(3), **options)
    [found] = explainer(families.conversation(subject), "red")
    assert near(found.completeness_gap, 1e-4)


def test_pixels_belong_to_the_patches_that_show_them() -> None:
    """Small steps along each piece alone change the value as its slope says; slopes of all pieces add up."""
    subject = families.family("llava")
    messages = families.conversation(subject)
    options: dict[str, Any] = {"image_granularity": Patches(2, 2), "progress": False, "inference_mode": InferenceModes.LOGITS}
    explainer = InputXGradient(subject.model.double(), subject.processor, **options)
    try:
        [found], game = explainer(messages, "red"), explainer.game(messages, "red")
        step = 1e-2
        for feature in (0, 3, 5):
            presences = torch.ones(2, found.n, dtype=torch.float64)
            presences[0, feature], presences[1, feature] = 1 - step, 1 + step
            low, high = game(presences)
            torch.testing.assert_close((high - low) / (2 * step), found.attributions[:, feature], rtol=2e-2, atol=1e-3)
    finally:
        subject.model.float()


def test_frames_of_a_clip_belong_to_the_segments_that_sound_in_them() -> None:
    subject = families.family("qwen2_audio")
    messages = families.conversation(subject)
    explainer = Saliency(subject.model, subject.processor, audio_granularity=Windows(200), progress=False)
    [moving] = [part for part in explainer.game(messages, "red").asked.moving if part.name is not None]
    owner = moving.owner.reshape(moving.shape)[0]
    order = [int(one) for one in owner.mode(0).values.tolist() if one >= 0]  # of each frame, over its frequencies
    assert set(order) == {0, 1, 2}
    assert sum(one != other for one, other in zip(order, sorted(order), strict=True)) <= 2  # those across a border


@pytest.mark.parametrize("family", ["vit", pytest.param("ast", marks=MORE), pytest.param("wav2vec2", marks=MORE)])
def test_classifiers_of_images_and_clips(family: str) -> None:
    subject = families.family(family)
    given = {"images": picture(0)} if family == "vit" else {"audio": clip(0)}
    options: dict[str, Any] = {"audio_granularity": Windows(200), "progress": False}
    if family == "wav2vec2":  # it normalises the waveform itself, so that its values jump where the clip falls silent
        options["audio_occlusion"] = WhiteNoise()
    [found] = IntegratedGradients(subject.model, subject.processor, steps=32, **options)(given, 0)
    assert near(found.completeness_gap, 2e-3)


def test_what_changes_with_a_whole_clip_moves_with_all_of_its_segments() -> None:
    """The level of the silence after a clip follows its loudest sound: a share of its slope belongs to each segment."""
    subject = families.family("voxtral")
    messages = families.conversation(subject)
    explainer = InputXGradient(subject.model, subject.processor, audio_granularity=Windows(200), progress=False)
    game = explainer.game(messages, "red")
    [part] = [part for part in game.asked.moving if part.name is not None]
    assert part.groups == ((0, 1, 2),) and set(part.owner.tolist()) == {-2, 0, 1, 2}
    presences = torch.ones(3, game.n, dtype=torch.float64)
    presences[:, :3] = torch.eye(3)
    made = part.at(Points(presences), part.starts(torch.zeros(3, dtype=torch.int64)))[:, part.owner == -2, 0]
    silent, loud = part.baselines[0, part.owner == -2, 0], part.whole[part.owner == -2, 0]
    torch.testing.assert_close(made, (silent + (loud - silent) / 3).expand(3, -1))
    slopes = torch.randn(3, len(part.owner), dtype=torch.float64)
    for feature in range(3):
        own = slopes[:, part.owner == feature].sum(1) + slopes[:, part.owner == -2].sum(1) / 3
        torch.testing.assert_close(part.sums(slopes, 4)[:, feature], own)
