"""Videos of coloured shapes, one in each frame, and questions about their order whose causes are known."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from interpreto_mllm.testbed.question import PlantedQuestion
from interpreto_mllm.testbed.shapes import COLOURS, SHAPES, Scene, cell_box, make_thing

FEWEST_FRAMES, MOST_FRAMES = 2, 6
FIRST_CELL = 0
"""The cell of a picture of shapes that makes up a frame."""
FRAME_SECONDS = 1.0
"""From one frame to the next."""


class OrderQuestionForm(NamedTuple):
    """A form of question: what it asks for, where that is, what names the frame beside it, and its words."""

    asks: str
    order: str
    by: str
    text: str


FORMS = (
    OrderQuestionForm("colour", "after", "colour", "what {colour} came {after} {name} ?"),
    OrderQuestionForm("shape", "after", "shape", "what {shape} came {after} the {name} ?"),
    OrderQuestionForm("colour", "first", "", "what {colour} came {first} ?"),
    OrderQuestionForm("colour", "last", "", "what {colour} came {last} ?"),
    OrderQuestionForm("shape", "first", "", "what {shape} came {first} ?"),
    OrderQuestionForm("shape", "last", "", "what {shape} came {last} ?"),
)
ANSWERS: dict[str, tuple[str, ...]] = {"colour": tuple(COLOURS), "shape": SHAPES}
"""The possible answers to each kind of question."""
ORDERS = ("after", "first", "last")


@dataclass(frozen=True)
class FrameSequence:
    """A video: a scene of one thing for each frame, no two of one shape or colour."""

    scenes: tuple[Scene, ...]

    @cached_property
    def frames(self) -> UInt8[np.ndarray, "frames height width 3"]:
        """The pixels of all frames."""
        return np.stack([np.asarray(frame_of(scene)) for scene in self.scenes])

    def name(self, frame: int, by: str) -> str:
        """The colour or the shape in a frame."""
        return getattr(self.scenes[frame].things[0], by)

    def places(self, form: OrderQuestionForm) -> list[tuple[int, int | None]]:
        """The frame with the answer and the frame that is named, None for none: all that a form may ask about."""
        last = len(self.scenes) - 1
        if form.order in ("first", "last"):
            return [(0 if form.order == "first" else last, None)]
        return [(named + 1, named) for named in range(last)]


def frame_of(scene: Scene) -> Image.Image:
    """A picture of the thing in the first cell."""
    return scene.image().crop(cell_box(FIRST_CELL))


def draw_frames(rng: random.Random, count: int) -> FrameSequence:
    """A video of this many frames: one thing in each, all on one grey."""
    chosen = zip(rng.sample(SHAPES, count), rng.sample(list(COLOURS), count), strict=True)
    grey = rng.randint(225, 255)
    return FrameSequence(tuple(Scene((make_thing(rng, shape, colour, FIRST_CELL),), grey) for shape, colour in chosen))


@dataclass(frozen=True)
class VideoPrompt:
    """A question about a video, whose answer has known causes.

    Args:
        video: the video.
        question: the question; its `words` are the words without which it cannot be answered.
        answer: the correct answer.
        causes: the numbers of the frames that hold the answer, and what is named in the question.
    """

    video: FrameSequence
    question: PlantedQuestion
    answer: str
    causes: tuple[int, ...]

    @property
    def frames(self) -> UInt8[np.ndarray, "frames height width 3"]:
        """The pixels of all frames."""
        return self.video.frames

    @property
    def times(self) -> tuple[float, ...]:
        """When each frame is shown, in seconds."""
        return tuple(FRAME_SECONDS * frame for frame in range(len(self.frames)))

    @property
    def spans(self) -> tuple[tuple[float, float], ...]:
        """The stretches of time, in seconds, of the frames that are causes."""
        return tuple((FRAME_SECONDS * frame, FRAME_SECONDS * (frame + 1)) for frame in self.causes)

    @property
    def text(self) -> str:
        """The prompt as plain text, for a processor that is also given the video."""
        return f"<video> {self.question.text}"

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The prompt as a chat."""
        video = {"frames": self.frames, "times": self.times}
        parts = [{"type": "video", "video": video}, {"type": "text", "text": self.question.text}]
        return [{"role": "user", "content": parts}]


def sample_video_prompts(count: int, frames: int = 4, seed: int = 0, order: str | None = None) -> list[VideoPrompt]:
    """Questions about the order of coloured shapes in a video.

    Args:
        count: number of prompts.
        frames: number of frames of each video, 2 to 6.
        seed: random seed; equal seeds give equal prompts.
        order: "after", "first" or "last"; None mixes them.

    Raises:
        ValueError: when `frames` is out of range, or `order` is none of these.

    Example:
        >>> [example] = sample_video_prompts(1, frames=3, seed=1, order="after")
        >>> example.frames.shape, len(example.causes)
        ((3, 64, 64, 3), 2)
    """
    if not FEWEST_FRAMES <= frames <= MOST_FRAMES:
        raise ValueError(f"A video has {FEWEST_FRAMES} to {MOST_FRAMES} frames; got frames={frames}.")
    if order not in (None, *ORDERS):
        raise ValueError(f"A question asks for one of {', '.join(ORDERS)}; got order={order!r}.")
    rng = random.Random(seed)
    return [_video_prompt(rng, frames, order or rng.choice(ORDERS)) for _ in range(count)]


def _video_prompt(rng: random.Random, frames: int, order: str) -> VideoPrompt:
    video = draw_frames(rng, frames)
    form = rng.choice([form for form in FORMS if form.order == order])
    place, named = rng.choice(video.places(form))
    name = "" if named is None else video.name(named, form.by)
    causes = tuple(sorted({place} if named is None else {place, named}))
    return VideoPrompt(video, PlantedQuestion.of(form.text, name), video.name(place, form.asks), causes)
