"""Clips of short sounds one after the other, and questions about them whose causes are known."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from interpreto_mllm.testbed.question import PlantedQuestion

SAMPLING_RATE = 16_000
CLIP_SECONDS = 2.0
"""The length of a clip."""
SOUNDS = ("beep", "buzz", "chirp", "whistle", "bell", "drum", "click", "horn")
MOST_SOUNDS = 5


class SoundQuestionForm(NamedTuple):
    """A form of question: what it asks for, and its words."""

    asks: str
    text: str


FORMS = (
    SoundQuestionForm("first", "which sound comes {first} ?"),
    SoundQuestionForm("first", "tell me the {first} sound ."),
    SoundQuestionForm("last", "which sound comes {last} ?"),
    SoundQuestionForm("last", "tell me the {last} sound ."),
    SoundQuestionForm("after", "what comes {after} the {name} ?"),
    SoundQuestionForm("after", "which sound comes {after} the {name} ?"),
    SoundQuestionForm("before", "what comes {before} the {name} ?"),
    SoundQuestionForm("before", "which sound comes {before} the {name} ?"),
    SoundQuestionForm("presence", "do you {hear} a {name} ?"),
    SoundQuestionForm("presence", "can you {hear} the {name} ?"),
)
ANSWERS = {"first": SOUNDS, "last": SOUNDS, "after": SOUNDS, "before": SOUNDS, "presence": ("yes", "no")}
"""The possible answers to each kind of question."""

TimeSpan = tuple[float, float]
"""Start and end within a clip, in seconds."""


@dataclass(frozen=True)
class Sound:
    """A sound in a clip.

    Args:
        name: one of SOUNDS.
        span: where it is.
        level: its loudness, 1 for the loudest.
        pitch: how much higher than usual it is, 1 for not at all.
    """

    name: str
    span: TimeSpan
    level: float
    pitch: float

    def wave(self) -> Float[np.ndarray, "samples"]:
        """Its samples, between -1 and 1."""
        seconds = self.span[1] - self.span[0]
        time = np.arange(round(seconds * SAMPLING_RATE)) / SAMPLING_RATE
        edge = np.clip(np.minimum(time, seconds - time) / 0.01, 0, 1)
        return self.level * edge * timbre(self.name, time, self.pitch)


def timbre(name: str, time: Float[np.ndarray, "samples"], pitch: float) -> Float[np.ndarray, "samples"]:
    """The wave of a sound over its time in seconds, between -1 and 1."""

    def tone(hertz: float, weight: float = 1.0) -> Float[np.ndarray, "samples"]:
        return weight * np.sin(2 * np.pi * hertz * pitch * time)

    match name:
        case "beep":
            return tone(1000.0)
        case "buzz":
            return 2 * ((time * 130 * pitch) % 1) - 1
        case "chirp":
            return np.sin(2 * np.pi * pitch * (600 * time + 6000 * time**2))
        case "whistle":
            return np.sin(2 * np.pi * 2800 * pitch * time + 8 * np.sin(2 * np.pi * 12 * time))
        case "bell":
            return (tone(620.0, 0.5) + tone(1710.0, 0.3) + tone(3350.0, 0.2)) * np.exp(-time / 0.08)
        case "drum":
            return np.sin(2 * np.pi * pitch * (60 * time - 3 * np.exp(-time / 0.03))) * np.exp(-time / 0.08)
        case "click":
            return np.where((time * 30 * pitch) % 1 < 0.03, 1.0, 0.0) * np.cos(2 * np.pi * 4000 * time)
        case _:
            return (tone(220.0) + tone(330.0) + tone(440.0, 0.6) + tone(660.0, 0.6)) / 3.2


@dataclass(frozen=True)
class SoundClip:
    """A clip: its sounds in their order, all different, with silence between them."""

    sounds: tuple[Sound, ...]

    def audio(self) -> Float[np.ndarray, "samples"]:
        """The samples as fp32, CLIP_SECONDS long at SAMPLING_RATE, one channel."""
        samples = np.zeros(round(CLIP_SECONDS * SAMPLING_RATE), dtype=np.float32)
        for sound in self.sounds:
            wave, start = sound.wave(), round(sound.span[0] * SAMPLING_RATE)
            samples[start : start + len(wave)] = wave
        return samples

    def causes(self, form: SoundQuestionForm, name: str) -> tuple[Sound, ...]:
        """The sounds that determine the answer to a question, with the answer itself last; none when nothing determines it."""
        names = [sound.name for sound in self.sounds]
        if form.asks in ("first", "last"):
            return self.sounds[:1] if form.asks == "first" else self.sounds[-1:]
        if name not in names:
            return ()
        asked = names.index(name)
        if form.asks == "presence":
            return (self.sounds[asked],)
        found = asked + (1 if form.asks == "after" else -1)
        return (self.sounds[asked], self.sounds[found]) if 0 <= found < len(names) else ()

    def answer(self, form: SoundQuestionForm, name: str) -> str:
        """The answer to a question; empty when nothing determines it."""
        causes = self.causes(form, name)
        if form.asks == "presence":
            return "yes" if causes else "no"
        return causes[-1].name if causes else ""


def draw_clip(rng: random.Random, sounds: int) -> SoundClip:
    """A clip of this many sounds, of random lengths, with random gaps between them and a random start."""
    lengths = [rng.uniform(0.16, 0.24) for _ in range(sounds)]
    gaps = [0.0, *(rng.uniform(0.05, 0.16) for _ in range(sounds - 1))]
    end = rng.uniform(0.02, CLIP_SECONDS - sum(lengths) - sum(gaps) - 0.02)
    drawn = []
    for name, length, gap in zip(rng.sample(SOUNDS, sounds), lengths, gaps, strict=True):
        start, end = round(end + gap, 3), round(end + gap + length, 3)
        drawn.append(Sound(name, (start, end), level=rng.uniform(0.3, 0.9), pitch=rng.uniform(0.95, 1.05)))
    return SoundClip(tuple(drawn))


@dataclass(frozen=True)
class ClipPrompt:
    """A question about a clip, whose answer has known causes.

    Args:
        clip: the clip.
        question: the question; its `words` are the words without which it cannot be answered.
        answer: the correct answer.
        spans: the times of the sounds that determine the answer, in seconds: that of the sound named in the question, if any,
            then that of the answer; none when there is no such sound.
    """

    clip: SoundClip
    question: PlantedQuestion
    answer: str
    spans: tuple[TimeSpan, ...]

    @cached_property
    def audio(self) -> Float[np.ndarray, "samples"]:
        """The clip's samples, fp32, one channel, at SAMPLING_RATE."""
        return self.clip.audio()

    @property
    def text(self) -> str:
        """The prompt as plain text, for a processor that is also given the clip."""
        return f"<audio> {self.question.text}"

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The prompt as a chat."""
        parts = [{"type": "audio", "audio": self.audio}, {"type": "text", "text": self.question.text}]
        return [{"role": "user", "content": parts}]


def sample_clip_prompts(count: int, sounds: int = 4, seed: int = 0, asks: str | None = None) -> list[ClipPrompt]:
    """Questions about clips of short sounds.

    Args:
        count: number of prompts.
        sounds: number of sounds in each clip, 2 to 5.
        seed: random seed; equal seeds give equal prompts.
        asks: "first", "last", "after", "before" or "presence"; None mixes them.

    Raises:
        ValueError: when `sounds` is out of range, or `asks` is none of these.

    Example:
        >>> [example] = sample_clip_prompts(1, seed=3, asks="after")
        >>> example.audio.shape, len(example.spans)
        ((32000,), 2)
    """
    if not 2 <= sounds <= MOST_SOUNDS:
        raise ValueError(f"A clip has 2 to {MOST_SOUNDS} sounds; got sounds={sounds}.")
    if asks not in (None, *ANSWERS):
        raise ValueError(f"A question asks for one of {', '.join(ANSWERS)}; got asks={asks!r}.")
    rng = random.Random(seed)
    return [_clip_prompt(rng, sounds, asks or rng.choice(list(ANSWERS))) for _ in range(count)]


def _clip_prompt(rng: random.Random, sounds: int, asks: str) -> ClipPrompt:
    clip = draw_clip(rng, sounds)
    form = rng.choice([form for form in FORMS if form.asks == asks])
    name = choose_name(rng, clip, form)
    spans = tuple(sound.span for sound in clip.causes(form, name))
    return ClipPrompt(clip, PlantedQuestion.of(form.text, name), clip.answer(form, name), spans)


def choose_name(rng: random.Random, clip: SoundClip, form: SoundQuestionForm) -> str:
    """What to ask about: a sound that has the neighbour asked for, or half of the time after presence one that is not there."""
    names = [sound.name for sound in clip.sounds]
    if form.asks == "presence" and rng.random() < 0.5:
        return rng.choice([name for name in SOUNDS if name not in names])
    return rng.choice({"after": names[:-1], "before": names[1:]}.get(form.asks) or names)
