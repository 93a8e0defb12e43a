"""Train the shipped video-language model: `python -m interpreto_mllm.testbed.train_watching`, some minutes on two cores."""

from __future__ import annotations

import random
from functools import partial
from itertools import chain, product
from typing import Any, NamedTuple

import torch
from jaxtyping import Float32
from torch import Tensor
from transformers import AutoModelForImageTextToText, LlavaConfig, LlavaForConditionalGeneration, SiglipVisionConfig
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from interpreto_mllm.testbed import SIGHT, WATCHING, videos
from interpreto_mllm.testbed.facts import SYSTEMS
from interpreto_mllm.testbed.frame_processor import FrameProcessor
from interpreto_mllm.testbed.question import PlantedQuestion
from interpreto_mllm.testbed.shapes import COLOURS, SHAPES, Scene, make_thing
from interpreto_mllm.testbed.train_recall import make_model as make_recall
from interpreto_mllm.testbed.train_sight import PATCH, name_as_before
from interpreto_mllm.testbed.training import (
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

BATCH, RATE = 64, 2e-3
MOST_TURNS = 4
ANYTHING: Choice = tuple(chain(*videos.ANSWERS.values()))
"""All answers."""
TIMES = {"after": 2}
"""How much more often a question is asked that is learnt later than others."""
COPIES = 12
"""Pictures of each shape in each colour that are drawn once and used again and again."""


def make_processor() -> FrameProcessor:
    """A tokenizer of words, and an image processor that makes a frame one patch, as large as a cell is to the seeing model."""
    read = sorted({word.strip("{}") for form in (*(form.text for form in videos.FORMS), *SYSTEMS) for word in form.split()})
    tokenizer = make_tokenizer([*ANYTHING, *(word for word in read if word != "name")], medium="video", marks=("<image>",))
    images = SiglipImageProcessorPil.from_pretrained(SIGHT, local_files_only=True, size={"height": PATCH, "width": PATCH})
    return FrameProcessor(
        image_processor=images,
        tokenizer=tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="full",
        chat_template=tokenizer.chat_template,
    )


def make_watching(tokenizer: Any) -> LlavaForConditionalGeneration:
    """The trained image encoder of the model that sees, before an untrained text model with convolutions over neighbours."""
    sight = AutoModelForImageTextToText.from_pretrained(SIGHT, local_files_only=True)
    vision = SiglipVisionConfig(**{**sight.config.vision_config.to_dict(), "image_size": PATCH})
    config = LlavaConfig(
        vision_config=vision,
        text_config=make_recall(tokenizer).config,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_seq_length=1,
        vision_feature_select_strategy="full",
        vision_feature_layer=-1,
        tie_word_embeddings=True,
    )
    model = LlavaForConditionalGeneration(config)
    generate_briefly(model, tokenizer)
    own = model.state_dict()
    seen = {name: weight for name, weight in sight.state_dict().items() if "vision_tower" in name or "projector" in name}
    cut = {name: weight[: len(own[name])] for name, weight in seen.items()}  # the place of the first cell
    model.load_state_dict(cut, strict=False)
    return model


class Frames:
    """Pictures of single things as the model is given them, drawn once.

    Args:
        images: the image processor.
        rng: random generator.
    """

    def __init__(self, images: Any, rng: random.Random):
        self.drawn: dict[tuple[str, str], Float32[Tensor, "copies 3 height width"]] = {}
        for shape, colour in product(SHAPES, COLOURS):
            scenes = [Scene((make_thing(rng, shape, colour, videos.FIRST_CELL),), rng.randint(225, 255)) for _ in range(COPIES)]
            pictures = [videos.frame_of(scene) for scene in scenes]
            self.drawn[shape, colour] = images(pictures, return_tensors="pt")["pixel_values"]
        self.mean, self.std = images.image_mean[0], images.image_std[0]

    def one(self, rng: random.Random, shape: str, colour: str) -> Float32[Tensor, "3 height width"]:
        """A picture of this thing."""
        return self.drawn[shape, colour][rng.randrange(COPIES)]

    def blank(self, rgb: Any) -> Float32[Tensor, "3 height width"]:
        """A picture of nothing."""
        colour = (torch.as_tensor(rgb, dtype=torch.float32) / 255 - self.mean) / self.std
        return colour[:, None, None].expand(3, PATCH, PATCH)


class Shown(NamedTuple):
    """A video as it is shown: the things of its frames, and the frames as they are seen; None for a blank one."""

    things: list[tuple[str, str]]
    seen: list[tuple[str, str] | None]

    def known(self, *frames: int | None) -> bool:
        """Whether these frames show what they showed."""
        return all(frame is None or self.seen[frame] == self.things[frame] for frame in frames)


def draw_video(rng: random.Random, count: int, share: float) -> Shown:
    """A video of so many frames, of which about this share is absent: blank, or frozen to the frame before."""
    things: list[tuple[str, str]] = [*zip(rng.sample(SHAPES, count), rng.sample(list(COLOURS), count), strict=True)]
    seen: list[tuple[str, str] | None] = list(things)
    frozen = rng.random() < 0.25
    for frame in range(count):
        if rng.random() < share:
            seen[frame] = seen[frame - 1] if frozen and frame else None
    return Shown(things, seen)


def pixels_of(rng: random.Random, frames: Frames, shown: Shown) -> list[Float32[Tensor, "3 height width"]]:
    """The frames of a video as the model is given them; blank ones are of one grey or of the mean colour of the others."""
    pictures = [None if thing is None else frames.one(rng, *thing) for thing in shown.seen]
    whole = [frames.one(rng, *thing) for thing in shown.things]
    mean = torch.stack(whole).mean((0, 2, 3)) * frames.std + frames.mean
    fill = frames.blank(255 * mean if rng.random() < 0.5 else [rng.choice((0, 128, 240, 255, rng.randint(0, 255)))] * 3)
    made: list[Float32[Tensor, "3 height width"]] = []
    for number, picture in enumerate(pictures):
        same = number and shown.seen[number] is not None and shown.seen[number] == shown.seen[number - 1]
        made.append(fill if picture is None else made[-1] if same else picture)
    return made


def ask(rng: random.Random, form: videos.OrderQuestionForm, shown: Shown, hide: float) -> Turn:
    """A question about a video, its words hidden at the rate `hide`; where none is determined, any possible answer is right."""
    last = len(shown.things) - 1
    kinds = {"shape": 0, "colour": 1}
    if form.order in ("first", "last"):
        place, named = (0 if form.order == "first" else last), None
    else:
        named = rng.randrange(last)
        place = named + 1
    name = "" if named is None else shown.things[named][kinds[form.by]]
    answer = shown.things[place][kinds[form.asks]] if shown.known(place, named) else ""
    return make_turn(PlantedQuestion.of(form.text, name), answer, videos.ANSWERS[form.asks], ANYTHING, rng, hide)


class Lesson(NamedTuple):
    """What the videos and questions of a batch are like."""

    frames: tuple[int, int]
    orders: tuple[str, ...] = videos.ORDERS
    chat: float = 0.5
    occluded: float = 0.0
    bare: float = 0.0


def draw(rng: random.Random, processor: Any, frames: Frames, lesson: Lesson, size: int = BATCH) -> Batch:
    """A batch of a lesson; a prompt names each colour and shape at most once, so that no answer can be copied from another."""
    examples, pictures = [], []
    asked = [form for form in videos.FORMS if form.order in lesson.orders]
    forms = [form for form in asked for _ in range(TIMES.get(form.order, 1))]
    for _ in range(size):
        occluded = rng.random() < lesson.occluded
        share = rng.random() if occluded and rng.random() < 0.7 else 0.0
        hide = rng.random() if occluded and rng.random() < 0.6 else 0.0
        shown = draw_video(rng, rng.randint(*lesson.frames), share)
        turns, named = [], set()
        for form in rng.sample(forms, 1 if occluded else min(MOST_TURNS, len(forms))):
            turn = ask(rng, form, shown, hide)
            names = {*turn.words, *turn.answer} & {*ANYTHING}
            turns += [] if names & named else [turn]
            named |= names
        chat, bare = rng.random() < lesson.chat, rng.random() < lesson.bare
        examples.append(write(["<image>"] * len(shown.things), turns, rng, chat, bare))
        pictures += pixels_of(rng, frames, shown)
    return make_batch(examples, processor.tokenizer, pixel_values=torch.stack(pictures))


def train(seed: int, steps: int) -> tuple[LlavaForConditionalGeneration, FrameProcessor]:
    """Train from the seeing model's image encoder: the ends of videos, their order, then everything, more and more occluded."""
    torch.manual_seed(seed)
    rng = random.Random(seed)
    processor = make_processor()
    model, frames = make_watching(processor.tokenizer), Frames(processor.image_processor, rng)
    trainer = Trainer(model, RATE)
    for most, orders, learnt in ((2, ("first", "last"), 0.2), (3, ("after",), 0.1), (6, videos.ORDERS, 0.2)):
        lesson = Lesson((most, most) if most < videos.MOST_FRAMES else (2, most), orders, chat=0, bare=1)
        trainer.until(learnt, partial(draw, rng, processor, frames, lesson), name=f"{most} at most")

    def lesson_at(done: float) -> Lesson:
        few = (videos.FEWEST_FRAMES, videos.MOST_FRAMES)
        return Lesson(few, occluded=0.6 * min(1, 2 * done), bare=0.5 * max(0, 1 - 2 * done))

    trainer.steps(steps, lambda done: draw(rng, processor, frames, lesson_at(done)), name="all kinds")
    return model.eval(), processor


def main() -> None:
    """Train, report the accuracy on held-out prompts, and save."""
    options = read_options(main.__doc__, steps=1000, output=WATCHING)
    model, processor = train(options.seed, options.steps)
    model.save_pretrained(options.output)
    name_as_before(options.output)
    processor.save_pretrained(options.output)
    for order in videos.ORDERS:
        for count in (2, 4, 6):
            prompts = videos.sample_video_prompts(300, frames=count, seed=10**6 + options.seed, order=order)
            report(model, processor, f"{order}, {count} frames", prompts, videos=[prompt.frames for prompt in prompts])


if __name__ == "__main__":
    main()
