"""Train the shipped audio-language model: `python -m interpreto_mllm.testbed.train_hearing`, some minutes on two cores."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from transformers import (
    LlamaConfig,
    Qwen2AudioConfig,
    Qwen2AudioEncoderConfig,
    Qwen2AudioForConditionalGeneration,
    Qwen2AudioProcessor,
    WhisperFeatureExtractor,
)
from transformers.models.whisper.modeling_whisper import sinusoids

from interpreto_mllm.testbed import HEARING, sounds
from interpreto_mllm.testbed.facts import SYSTEMS
from interpreto_mllm.testbed.question import PlantedQuestion
from interpreto_mllm.testbed.training import (
    CONTEXT,
    Batch,
    Choice,
    Trainer,
    Turn,
    generate_briefly,
    make_batch,
    make_tokenizer,
    make_turn,
    read_options,
    report,
    write,
)

BINS, HOP = 40, 320
POSITIONS = round(sounds.CLIP_SECONDS * sounds.SAMPLING_RATE) // HOP // 2
BATCH, RATE = 64, 1e-3
ANYTHING: Choice = (*sounds.SOUNDS, "yes", "no")
"""All answers."""


def make_processor() -> Qwen2AudioProcessor:
    """A tokenizer of words, and a feature extractor for clips of two seconds, a frame every 20 ms."""
    forms = " ".join([*(form.text for form in sounds.FORMS), *SYSTEMS])
    read = sorted({word.strip("{}") for word in forms.split()} - {"name"})
    features = WhisperFeatureExtractor(
        feature_size=BINS,
        sampling_rate=sounds.SAMPLING_RATE,
        hop_length=HOP,
        n_fft=2 * HOP,
        chunk_length=round(sounds.CLIP_SECONDS),
        return_attention_mask=True,
    )
    tokenizer = make_tokenizer([*ANYTHING, *read, ",", "!"], medium="audio")
    return Qwen2AudioProcessor(features, tokenizer, chat_template=tokenizer.chat_template, audio_token="<audio>")


def make_model(tokenizer: Any) -> Qwen2AudioForConditionalGeneration:
    """An untrained Qwen2-Audio of about 400 k parameters, whose weights start larger than usual."""
    audio = Qwen2AudioEncoderConfig(
        num_mel_bins=BINS,
        d_model=64,
        encoder_layers=2,
        encoder_attention_heads=4,
        encoder_ffn_dim=128,
        max_source_positions=POSITIONS,
        initializer_range=0.08,
    )
    text = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=96,
        intermediate_size=192,
        num_hidden_layers=3,
        num_attention_heads=4,
        max_position_embeddings=CONTEXT,
        initializer_range=0.08,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    config = Qwen2AudioConfig(
        audio_config=audio,
        text_config=text,
        audio_token_index=tokenizer.convert_tokens_to_ids("<audio>"),
    )
    config.initializer_range = 0.08
    model = Qwen2AudioForConditionalGeneration(config)
    model.model.audio_tower.embed_positions.weight.data = sinusoids(POSITIONS, 64)
    generate_briefly(model, tokenizer)
    return model


class Hearing(NamedTuple):
    """A clip as it is heard: with some stretches of it silenced, drowned in noise, or cut out."""

    clip: sounds.SoundClip
    gaps: tuple[sounds.TimeSpan, ...] = ()
    loudness: float | None = 0.0
    """Of the noise in the gaps, 0 for silence; None cuts them out."""
    seed: int = 0

    def audio(self) -> Float[np.ndarray, "samples"]:
        """The samples."""
        samples = self.clip.audio()
        noise = np.random.default_rng(self.seed).standard_normal(len(samples), dtype=np.float32)
        kept = np.ones(len(samples), dtype=bool)
        for start, end in self.gaps:
            gap = slice(round(start * sounds.SAMPLING_RATE), round(end * sounds.SAMPLING_RATE))
            samples[gap] = (self.loudness or 0.0) * noise[gap]
            kept[gap] = False
        return samples[kept] if self.loudness is None else samples

    def hidden(self, sound: sounds.Sound) -> float:
        """The share of a sound that is in the gaps."""
        start, end = sound.span
        return sum(max(0.0, min(right, end) - max(left, start)) for left, right in self.gaps) / (end - start)

    def without(self, share: float) -> sounds.SoundClip:
        """The clip of those sounds of which less than this share is hidden."""
        return sounds.SoundClip(tuple(sound for sound in self.clip.sounds if self.hidden(sound) < share))


def muffle(rng: random.Random, clip: sounds.SoundClip) -> Hearing:
    """A clip with some of its sounds or of equal windows taken away, any share of them equally likely."""
    cuts = [0.0, *(sound.span[0] - rng.uniform(0.01, 0.05) for sound in clip.sounds[1:]), sounds.CLIP_SECONDS]
    if rng.random() < 0.5:
        count = rng.choice((4, 5, 8, 10, 16, 20))
        cuts = [sounds.CLIP_SECONDS * window / count for window in range(count + 1)]
    share = rng.random()
    gaps = tuple(gap for gap in pairwise(cuts) if rng.random() < share)
    loudness = rng.choice((0.0, 0.0, 0.0, None, 10 ** rng.uniform(-3, -0.5)))
    if loudness is None and len(gaps) == len(cuts) - 1:
        loudness = 0.0
    return Hearing(clip, gaps, loudness, rng.getrandbits(32))


def ask(rng: random.Random, asks: Sequence[str], heard: Hearing | None, hide: float) -> Turn:
    """A question whose words are hidden at the rate `hide`. Where they determine no answer, any possible one is right.

    Where a sound is hidden in part, nothing is asked that depends on whether it is heard. Hearing None is no clip at all.
    """
    kind = rng.choice(asks)
    form = rng.choice([form for form in sounds.FORMS if form.asks == kind])
    clip = heard.clip if heard else sounds.draw_clip(rng, 3)
    if kind in ("after", "before") and len(clip.sounds) == 1:
        return ask(rng, asks, heard, hide)
    name = sounds.choose_name(rng, clip, form)
    answer = heard.without(0.35).answer(form, name) if heard else ""
    if heard and heard.without(0.9).answer(form, name) != answer:
        return ask(rng, asks, heard, hide)
    return make_turn(PlantedQuestion.of(form.text, name), answer, sounds.ANSWERS[kind], ANYTHING, rng, hide)


class Lesson(NamedTuple):
    """What the clips and questions of a batch are like."""

    count: tuple[int, int]
    asks: tuple[str, ...] = tuple(sounds.ANSWERS)
    chat: float = 0.5
    occluded: float = 0.0
    bare: float = 0.0


def draw(rng: random.Random, processor: Any, lesson: Lesson, size: int = BATCH) -> Batch:
    """A batch of a lesson; a prompt names each sound at most once, so that no answer can be copied from another."""
    drawn: list[tuple[Hearing | None, list[Turn]]] = []
    for _ in range(size):
        heard: Hearing | None = Hearing(sounds.draw_clip(rng, rng.randint(*lesson.count)))
        occluded, hide = rng.random() < lesson.occluded, 0.0
        if occluded:
            heard = muffle(rng, heard.clip) if rng.random() < 0.6 else heard if rng.random() < 0.9 else None
            hide = rng.random() if rng.random() < 0.6 else 0.0
        turns, named = [], set()
        for _ in range(1 if occluded else 4):
            turn = ask(rng, lesson.asks, heard, hide)
            names = {*turn.words, *turn.answer} & {*sounds.SOUNDS}
            turns += [] if names & named else [turn]
            named |= names
        drawn.append((heard, turns))
    features = processor.feature_extractor(
        [heard.audio() for heard, _ in drawn if heard],
        sampling_rate=sounds.SAMPLING_RATE,
        return_attention_mask=True,
        return_tensors="pt",
    )
    frames = iter(features["attention_mask"].sum(-1).tolist())
    examples = []
    for heard, turns in drawn:
        tokens = ((next(frames) - 1) // 2 + 1) // 2 if heard else 0
        examples.append(write(["<audio>"] * tokens, turns, rng, rng.random() < lesson.chat, rng.random() < lesson.bare))
    clips = {"input_features": features["input_features"], "feature_attention_mask": features["attention_mask"]}
    return make_batch(examples, processor.tokenizer, **clips)


def train(seed: int, steps: int) -> tuple[Qwen2AudioForConditionalGeneration, Qwen2AudioProcessor]:
    """Train from scratch: one sound, then several, then all kinds of prompts, more and more occluded."""
    torch.manual_seed(seed)
    rng = random.Random(seed)
    processor = make_processor()
    model = make_model(processor.tokenizer)
    trainer = Trainer(model, RATE)
    for count, learnt in ((1, 0.2), (3, 0.15)):
        lesson = Lesson((count, count), ("first", "last", "after", "before"), chat=0, bare=1)
        trainer.until(learnt, partial(draw, rng, processor, lesson, BATCH // 2), name=f"{count} sounds")

    def lesson_at(done: float) -> Lesson:
        return Lesson((1, sounds.MOST_SOUNDS), occluded=0.6 * min(1, 2 * done), bare=0.5 * max(0, 1 - 2 * done))

    trainer.steps(steps, lambda done: draw(rng, processor, lesson_at(done)), name="all kinds")
    return model.eval(), processor


def main() -> None:
    """Train, report the accuracy on held-out prompts, and save."""
    options = read_options(main.__doc__, steps=2000, output=HEARING)
    model, processor = train(options.seed, options.steps)
    model.save_pretrained(options.output)
    processor.save_pretrained(options.output)
    for asks in sounds.ANSWERS:
        prompts = sounds.sample_clip_prompts(500, sounds=4, seed=10**6 + options.seed, asks=asks)
        clips = [prompt.audio for prompt in prompts]
        report(model, processor, asks, prompts, audio=clips, sampling_rate=sounds.SAMPLING_RATE)


if __name__ == "__main__":
    main()
