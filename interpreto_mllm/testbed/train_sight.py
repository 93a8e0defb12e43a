"""Train the shipped vision-language model: `python -m interpreto_mllm.testbed.train_sight`, some minutes on two cores."""

from __future__ import annotations

import random
import re
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import (
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    SiglipVisionConfig,
)
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from interpreto_mllm.testbed import SIGHT, shapes
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

SEEN, PATCH = 48, 16
TOKENS = (SEEN // PATCH) ** 2
BATCH, RATE = 64, 1e-3
ANYTHING: Choice = tuple(chain(*shapes.ANSWERS.values()))
"""All answers."""


def make_processor() -> LlavaProcessor:
    """A tokenizer of words, and an image processor that makes pictures 48 pixels a side."""
    forms = " ".join([*(form.text for form in shapes.FORMS), *SYSTEMS])
    read = sorted({word.strip("{}") for word in forms.split()} - {"name"})
    images = SiglipImageProcessorPil(
        size={"height": SEEN, "width": SEEN}, resample=Image.Resampling.BILINEAR, image_mean=[0.9] * 3, image_std=[0.3] * 3
    )
    tokenizer = make_tokenizer([*ANYTHING, *read, ",", "!"], medium="image")
    return LlavaProcessor(
        image_processor=images,
        tokenizer=tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="full",
        chat_template=tokenizer.chat_template,
    )


def make_model(tokenizer: Any) -> LlavaForConditionalGeneration:
    """An untrained LLaVA of about 400 k parameters, whose weights start larger than usual."""
    vision = SiglipVisionConfig(
        image_size=SEEN,
        patch_size=PATCH,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        vision_use_head=False,
    )
    text = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=96,
        intermediate_size=192,
        num_hidden_layers=3,
        num_attention_heads=4,
        max_position_embeddings=CONTEXT,
        initializer_range=0.08,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_seq_length=TOKENS,
        vision_feature_select_strategy="full",
        vision_feature_layer=-1,
        tie_word_embeddings=True,
    )
    model = LlavaForConditionalGeneration(config)
    torch.nn.init.normal_(model.model.vision_tower.embeddings.position_embedding.weight)
    generate_briefly(model, tokenizer)
    return model


class View(NamedTuple):
    """A scene as it is shown: with some rectangles of its picture filled in one colour."""

    scene: shapes.Scene
    blanks: tuple[shapes.Box, ...] = ()
    fill: tuple[int, int, int] = (255, 255, 255)

    def image(self) -> Image.Image:
        """The picture."""
        image = self.scene.image()
        for box in self.blanks:
            image.paste(self.fill, box)
        return image

    def hidden(self, thing: shapes.Thing) -> float:
        """The share of a thing's rectangle that is filled."""
        left, top, right, bottom = thing.box()
        over = 0
        for x0, y0, x1, y1 in self.blanks:
            over += max(0, min(x1, right) - max(x0, left)) * max(0, min(y1, bottom) - max(y0, top))
        return over / ((right - left) * (bottom - top))

    def seen(self) -> shapes.Scene:
        """The scene of those things that are not hidden, or not all."""
        return replace(self.scene, things=tuple(thing for thing in self.scene.things if self.hidden(thing) < 0.9))

    def clear(self) -> list[shapes.Thing]:
        """The things of which it is clear whether they are hidden."""
        return [thing for thing in self.scene.things if not 0.35 < self.hidden(thing) < 0.9]


def blank(rng: random.Random, scene: shapes.Scene) -> View:
    """A scene with some cells of a grid filled, any share of them equally likely."""
    side, share = rng.choice((3, 3, 3, 4, 6)), rng.random()
    edges = [round(shapes.SIZE * step / side) for step in range(side + 1)]
    boxes = [(edges[x], edges[y], edges[x + 1], edges[y + 1]) for y in range(side) for x in range(side)]
    greys = (scene.grey, scene.grey, 255, 128, 0, rng.randint(0, 255))
    red = green = blue = rng.choice(greys)
    if rng.random() < 0.2:
        red, green, blue = np.asarray(scene.image()).reshape(-1, 3).mean(0).round().astype(int).tolist()
    return View(scene, tuple(box for box in boxes if rng.random() < share), (red, green, blue))


def ask(rng: random.Random, asks: str, thing: shapes.Thing, view: View | None, hide: float) -> Turn:
    """A question about a thing, its words hidden at the rate `hide`. Where they determine no answer, any possible one is right.

    Half of the questions after presence are about something else that is not there. A view of None is none at all.
    """
    form = rng.choice([form for form in shapes.FORMS if form.asks == asks])
    name = getattr(thing, form.by)
    if view and asks == "presence" and rng.random() < 0.5:
        name = shapes.choose_absent(rng, view.scene, form)
    answer = view.seen().answer(form, name) if view else ""
    return make_turn(PlantedQuestion.of(form.text, name), answer, shapes.ANSWERS[asks], ANYTHING, rng, hide)


class Lesson(NamedTuple):
    """What the pictures and questions of a batch are like."""

    things: tuple[int, int]
    asks: tuple[str, ...] = tuple(shapes.ANSWERS)
    chat: float = 0.5
    occluded: float = 0.0
    bare: float = 0.0


def draw(rng: random.Random, processor: Any, lesson: Lesson, size: int = BATCH) -> Batch:
    """A batch of a lesson; a prompt asks about each thing at most once, so that no answer can be copied from another."""
    examples, images = [], []
    for _ in range(size):
        view: View | None = View(shapes.draw_scene(rng, rng.randint(*lesson.things)))
        occluded, hide = rng.random() < lesson.occluded, 0.0
        if occluded:
            view = blank(rng, view.scene) if rng.random() < 0.6 else view
            hide = rng.random() if rng.random() < 0.6 else 0.0
        if not view.clear():
            view = View(view.scene)
        things = rng.sample(view.clear(), len(view.clear()))[: 1 if occluded else 4]
        if occluded and rng.random() < 0.05:
            view = None
        turns = [ask(rng, rng.choice(lesson.asks), thing, view, hide) for thing in things]
        chat, bare = rng.random() < lesson.chat, rng.random() < lesson.bare
        examples.append(write(["<image>"] * TOKENS if view else [], turns, rng, chat, bare))
        images += [view.image()] if view else []
    pixels = processor.image_processor(images, return_tensors="pt")["pixel_values"]
    return make_batch(examples, processor.tokenizer, pixel_values=pixels)


def train(seed: int, steps: int) -> tuple[LlavaForConditionalGeneration, LlavaProcessor]:
    """Train from scratch: one thing, then several, then all kinds of prompts, more and more occluded."""
    torch.manual_seed(seed)
    rng = random.Random(seed)
    processor = make_processor()
    model = make_model(processor.tokenizer)
    trainer = Trainer(model, RATE)
    for most, learnt in ((1, 0.2), (4, 0.1)):
        lesson = Lesson((min(most, 2), most), ("colour", "shape", "row", "column"), chat=0, bare=1)
        trainer.until(learnt, partial(draw, rng, processor, lesson, BATCH // 2), name=f"{most} at most")

    def lesson_at(done: float) -> Lesson:
        return Lesson((1, shapes.MOST_THINGS), occluded=0.6 * min(1, 2 * done), bare=0.5 * max(0, 1 - 2 * done))

    trainer.steps(steps, lambda done: draw(rng, processor, lesson_at(done)), name="all kinds")
    return model.eval(), processor


def name_as_before(folder: Path) -> None:
    """Give the weights of the image encoder the names that every transformers from 5.0 on finds; later ones write others."""
    path = folder / "model.safetensors"
    weights = {
        re.sub(r"vision_tower\.(?!vision_model)", "vision_tower.vision_model.", name): w for name, w in load_file(path).items()
    }
    save_file(weights, path, metadata={"format": "pt"})


def main() -> None:
    """Train, report the accuracy on held-out prompts, and save."""
    options = read_options(main.__doc__, steps=2000, output=SIGHT)
    model, processor = train(options.seed, options.steps)
    model.save_pretrained(options.output)
    name_as_before(options.output)
    processor.save_pretrained(options.output)
    for asks in shapes.ANSWERS:
        prompts = shapes.sample_scene_prompts(500, things=5, seed=10**6 + options.seed, asks=asks)
        report(model, processor, asks, prompts, images=[prompt.image for prompt in prompts])


if __name__ == "__main__":
    main()
