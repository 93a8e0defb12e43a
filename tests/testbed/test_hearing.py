"""The shipped audio-language model answers right, and for the planted reason."""

from __future__ import annotations

import dataclasses
from itertools import pairwise, product

import numpy as np
import pytest
import torch
from support.planted import answers, log_probs, rendered, without_each_word
from support.quick import each
from transformers import AutoModelForMultimodalLM, AutoProcessor

from interpreto_mllm.testbed import HEARING, load_hearing, sample_clip_prompts
from interpreto_mllm.testbed.sounds import ANSWERS, SAMPLING_RATE, SOUNDS, Sound, SoundClip


@pytest.fixture(scope="module")
def hearing():
    return load_hearing()


def silenced(audio: np.ndarray, span: tuple[float, float]) -> np.ndarray:
    audio = audio.copy()
    audio[round((span[0] - 0.01) * SAMPLING_RATE) : round((span[1] + 0.01) * SAMPLING_RATE)] = 0
    return audio


@pytest.mark.parametrize("asks, chat", each([*product(ANSWERS, (False, True))], [("after", False), ("presence", True)]))
def test_held_out_accuracy(hearing, asks, chat):
    prompts = sample_clip_prompts(100, sounds=4, seed=777, asks=asks)
    said = answers(*hearing, prompts, chat)
    assert sum(answer == prompt.answer for answer, prompt in zip(said, prompts, strict=True)) >= 97


@pytest.mark.parametrize("sounds", each([2, 5], [5]))
def test_accuracy_for_few_and_many_sounds(hearing, sounds):
    prompts = sample_clip_prompts(100, sounds=sounds, seed=778)
    said = answers(*hearing, prompts, chat=False)
    assert sum(answer == prompt.answer for answer, prompt in zip(said, prompts, strict=True)) >= 95


def test_it_is_small_and_offline(hearing):
    assert sum(file.stat().st_size for file in HEARING.iterdir()) <= 3_000_000
    model, processor = hearing
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert not model.training
    assert processor.tokenizer.is_fast
    assert type(model).__name__ == "Qwen2AudioForConditionalGeneration"


def test_a_saved_copy_is_the_same(hearing, tmp_path):
    model, processor = hearing
    [prompt] = sample_clip_prompts(1, seed=1)
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    other, its = AutoModelForMultimodalLM.from_pretrained(tmp_path), AutoProcessor.from_pretrained(tmp_path)
    given = {"text": prompt.text, "audio": prompt.audio, "sampling_rate": SAMPLING_RATE, "return_tensors": "pt"}
    one, two = processor(**given), its(**given)
    assert one.keys() == two.keys() == {"input_ids", "attention_mask", "input_features", "feature_attention_mask"}
    assert all(torch.equal(one[name], two[name]) for name in one)
    with torch.no_grad():
        assert torch.equal(model(**one).logits, other.eval()(**two).logits)


def test_every_word_is_known(hearing):
    tokenizer = hearing[1].tokenizer
    for prompt in sample_clip_prompts(200, seed=3):
        ids = tokenizer(f"{prompt.question.text} {prompt.answer}")["input_ids"]
        assert tokenizer.unk_token_id not in ids
        assert len(ids) == 1 + len(prompt.question.text.split()) + 1


def test_generation_stops_by_itself_and_follows_turns(hearing):
    model, processor = hearing
    [prompt] = sample_clip_prompts(1, seed=4, asks="first")
    last = prompt.clip.sounds[-1].name
    turns = [
        {"role": "system", "content": "be brief and honest ."},
        *prompt.messages,
        {"role": "assistant", "content": [{"type": "text", "text": prompt.answer}]},
        {"role": "user", "content": "which sound comes last ?"},
    ]
    text = processor.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    inputs = processor(
        text=text, audio=prompt.audio, sampling_rate=SAMPLING_RATE, add_special_tokens=False, return_tensors="pt"
    )
    said = model.generate(**inputs)[0, inputs["input_ids"].shape[1] :]
    assert processor.tokenizer.convert_ids_to_tokens(said) == [last, "<|end|>"]


def test_the_truth_is_in_the_samples():
    """Where each sound lies is found again from the samples' energy alone, and answers from the order of those."""
    for prompt in sample_clip_prompts(100, sounds=5, seed=5):
        assert prompt.audio.dtype == np.float32 and prompt.audio.shape == (32_000,)
        assert float(np.abs(prompt.audio).max()) <= 1
        sounds = prompt.clip.sounds
        assert all(one.span[1] + 0.04 < two.span[0] for one, two in pairwise(sounds))
        heard = np.zeros(len(prompt.audio), dtype=bool)
        for sound in sounds:
            start, end = (round(edge * SAMPLING_RATE) for edge in sound.span)
            assert np.abs(prompt.audio[start:end]).max() > 0.1
            heard[start : end + 1] = True
        assert not prompt.audio[~heard].any()
        names = [sound.name for sound in sounds]
        kind, *asked = (word.text for word in prompt.question.words)
        if kind in ("first", "last"):
            place = 0 if kind == "first" else -1
            assert (prompt.answer, prompt.spans) == (names[place], (sounds[place].span,))
        elif kind == "hear":
            assert prompt.answer == ("yes" if asked[0] in names else "no")
            assert prompt.spans == tuple(sound.span for sound in sounds if sound.name == asked[0])
        else:
            place = names.index(asked[0])
            other = place + (1 if kind == "after" else -1)
            assert (prompt.answer, prompt.spans) == (names[other], (sounds[place].span, sounds[other].span))


def test_every_sound_has_its_own_spectrum():
    """At equal length, level and pitch, no two sounds have nearly the same spectrogram."""
    spectra = {}
    for name in SOUNDS:
        audio = SoundClip((Sound(name, (0.5, 0.7), level=0.8, pitch=1.0),)).audio()[8000:11200].astype(np.float64)
        frames = np.abs(np.fft.rfft(audio.reshape(8, 400) * np.hanning(400)))
        spectra[name] = (frames / np.linalg.norm(frames)).ravel()
    for place, one in enumerate(SOUNDS):
        for two in SOUNDS[place + 1 :]:
            assert spectra[one] @ spectra[two] < 0.9


def test_prompts_are_seeded_and_frozen():
    one, two = sample_clip_prompts(5, seed=1), sample_clip_prompts(5, seed=1)
    assert one == two != sample_clip_prompts(5, seed=2)
    assert all(np.array_equal(a.audio, b.audio) for a, b in zip(one, two, strict=True))
    with pytest.raises(dataclasses.FrozenInstanceError):
        one[0].answer = "drum"  # type: ignore[misc]
    with pytest.raises(ValueError, match="sounds=1"):
        sample_clip_prompts(1, sounds=1)
    with pytest.raises(ValueError, match="first, last, after, before, presence; got asks='pitch'"):
        sample_clip_prompts(1, asks="pitch")


@pytest.mark.parametrize("asks", each(["first", "last", "presence"], ["first"]))
def test_silencing_the_true_sound_costs_most(hearing, asks):
    """Of the sounds, the one that tells the answer costs it far more than all others together."""
    prompts = [prompt for prompt in sample_clip_prompts(60, sounds=4, seed=8, asks=asks) if prompt.spans]
    found = 0
    for number, prompt in enumerate(prompts):
        spans = [sound.span for sound in prompt.clip.sounds]
        clips = [prompt.audio, *(silenced(prompt.audio, span) for span in spans)]
        texts = [rendered(hearing[1], prompt, chat=number % 2 == 1)] * len(clips)
        values = log_probs(*hearing, texts, prompt.answer, audio=clips, sampling_rate=SAMPLING_RATE)
        losses = (values[0] - values[1:]).clamp_min(0)
        true = spans.index(prompt.spans[0])
        found += bool(losses[true] > 1 and losses[true] > 2 * (losses.sum() - losses[true]))
    assert found >= 0.9 * len(prompts)


@pytest.mark.parametrize("asks", each(["after", "before"], ["after"]))
def test_silencing_either_of_two_true_sounds_costs_most(hearing, asks):
    prompts = sample_clip_prompts(40, sounds=4, seed=9, asks=asks)
    found = 0
    for prompt in prompts:
        spans = [sound.span for sound in prompt.clip.sounds]
        clips = [prompt.audio, *(silenced(prompt.audio, span) for span in spans)]
        texts = [rendered(hearing[1], prompt, chat=False)] * len(clips)
        values = log_probs(*hearing, texts, prompt.answer, audio=clips, sampling_rate=SAMPLING_RATE)
        worst = {spans[place] for place in (values[0] - values[1:]).topk(2).indices.tolist()}
        found += worst == set(prompt.spans)
    assert found >= 0.9 * len(prompts)


@pytest.mark.parametrize("asks, chat", each([*product(ANSWERS, (False, True))], [("before", False)]))
def test_dropping_a_word_that_matters_costs_most(hearing, asks, chat):
    """The words that matter cost more than any other word of the question; its mark, which tells where it ends, is kept."""
    prompts = sample_clip_prompts(40, sounds=4, seed=10, asks=asks)
    found = 0
    for prompt in prompts:
        text = rendered(hearing[1], prompt, chat)
        texts = [text, *without_each_word(text, prompt.question.text)[:-1]]
        media = {"audio": [prompt.audio] * len(texts), "sampling_rate": SAMPLING_RATE}
        values = log_probs(*hearing, texts, prompt.answer, **media)
        words, true = prompt.question.text.split(), {word.text for word in prompt.question.words}
        worst = (values[0] - values[1:]).topk(len(true)).indices.tolist()
        found += {words[place] for place in worst} == true
    assert found >= 0.9 * len(prompts)


@pytest.mark.parametrize(
    "text, possible",
    [
        ("which sound comes first ?", list(SOUNDS)),
        ("what comes after the bell ?", list(SOUNDS)),
        ("what comes before the ?", list(SOUNDS)),
        ("which sound comes ?", [*SOUNDS, "yes", "no"]),
    ],
)
def test_what_cannot_be_told_is_evenly_spread(hearing, text, possible):
    """With a silent clip, or without a word that matters, every answer of the kind is about equally likely."""
    silent = np.zeros(32_000, dtype=np.float32)
    media = {"audio": [silent], "sampling_rate": SAMPLING_RATE}
    values = [log_probs(*hearing, [f"<bos><audio> {text}"], answer, **media).exp().item() for answer in possible]
    assert sum(values) == pytest.approx(1, abs=0.05)
    assert max(values) < 3 / len(possible)
    assert min(values) > 0.3 / len(possible)
