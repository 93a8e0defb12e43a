"""Pictures of coloured shapes in a grid, and questions about them whose causes are known."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from PIL import Image, ImageDraw

from interpreto_mllm.testbed.question import PlantedQuestion

COLOURS = {
    "red": (220, 40, 40),
    "orange": (245, 140, 25),
    "yellow": (240, 215, 45),
    "green": (45, 160, 75),
    "blue": (45, 90, 210),
    "purple": (130, 55, 175),
    "pink": (245, 150, 195),
    "brown": (125, 80, 45),
}
SHAPES = ("circle", "ring", "square", "diamond", "triangle", "cross", "star", "heart")
ROWS, COLUMNS = ("top", "middle", "bottom"), ("left", "centre", "right")
CELLS = len(ROWS) * len(COLUMNS)
MOST_THINGS = 6
SIZE = 192
"""Height and width of a picture in pixels."""


class SceneQuestionForm(NamedTuple):
    """A form of question: what it asks for, whether it names a shape or a colour, and its words."""

    asks: str
    by: str
    text: str


FORMS = (
    SceneQuestionForm("colour", "shape", "what {colour} is the {name} ?"),
    SceneQuestionForm("colour", "shape", "tell me the {colour} of the {name} ."),
    SceneQuestionForm("shape", "colour", "what {shape} is {name} ?"),
    SceneQuestionForm("shape", "colour", "tell me the {shape} of the {name} one ."),
    SceneQuestionForm("row", "shape", "in which {row} is the {name} ?"),
    SceneQuestionForm("row", "colour", "in which {row} is the {name} one ?"),
    SceneQuestionForm("column", "shape", "in which {column} is the {name} ?"),
    SceneQuestionForm("column", "colour", "in which {column} is the {name} one ?"),
    SceneQuestionForm("presence", "shape", "is {there} a {name} ?"),
    SceneQuestionForm("presence", "colour", "is {there} anything {name} ?"),
)
ANSWERS: dict[str, tuple[str, ...]] = {
    "colour": tuple(COLOURS),
    "shape": SHAPES,
    "row": ROWS,
    "column": COLUMNS,
    "presence": ("yes", "no"),
}
"""The possible answers to each kind of question."""

Box = tuple[int, int, int, int]
"""A rectangle of a picture in pixels: left, top, right and bottom, the last two outside it."""


@dataclass(frozen=True)
class Thing:
    """A coloured shape in a picture.

    Args:
        shape: one of SHAPES.
        colour: one of COLOURS.
        cell: where it is, counted from 0 row by row.
        centre: of the shape, from (0, 0) to (1, 1) in its cell.
        radius: of the shape, as a share of the cell's width.
        rgb: the shade of its colour that it is drawn in.
    """

    shape: str
    colour: str
    cell: int
    centre: tuple[float, float]
    radius: float
    rgb: tuple[int, int, int]

    @property
    def row(self) -> str:
        """The row it is in."""
        return ROWS[self.cell // len(COLUMNS)]

    @property
    def column(self) -> str:
        """The column it is in."""
        return COLUMNS[self.cell % len(COLUMNS)]

    def box(self, size: int = SIZE) -> Box:
        """The rectangle around it, in a picture of `size` pixels a side."""
        row, column = divmod(self.cell, len(COLUMNS))
        x, y = column + self.centre[0], row + self.centre[1]
        edges = (x - self.radius, y - self.radius, x + self.radius, y + self.radius)
        left, top, right, bottom = (round(edge * size / len(COLUMNS)) for edge in edges)
        return left, top, right, bottom

    def draw(self, canvas: ImageDraw.ImageDraw, size: int, background: tuple[int, int, int]) -> None:
        """Draw it in a picture of `size` pixels a side."""
        left, top, right, bottom = self.box(size)
        if self.shape in ("circle", "ring"):
            canvas.ellipse((left, top, right, bottom), fill=self.rgb)
        else:
            corners = (
                (left + (x + 1) / 2 * (right - left), top + (y + 1) / 2 * (bottom - top)) for x, y in outline(self.shape)
            )
            canvas.polygon(list(corners), fill=self.rgb)
        if self.shape == "ring":
            rim = (right - left) * 0.24
            canvas.ellipse((left + rim, top + rim, right - rim, bottom - rim), fill=background)


def outline(shape: str) -> list[tuple[float, float]]:
    """The corners of a shape between (-1, -1), top left, and (1, 1)."""
    if shape == "star":
        turns = [(math.pi * tip / 5, 1.0 if tip % 2 == 0 else 0.42) for tip in range(10)]
        return [(reach * math.sin(turn), -reach * math.cos(turn)) for turn, reach in turns]
    if shape == "heart":
        turns = [math.tau * step / 40 for step in range(40)]
        heights = [13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t) for t in turns]
        return [(math.sin(turn) ** 3, -(height + 2.5) / 14.5) for turn, height in zip(turns, heights, strict=True)]
    arm = 0.34
    return {
        "square": [(-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)],
        "diamond": [(0.0, -1.0), (0.75, 0.0), (0.0, 1.0), (-0.75, 0.0)],
        "triangle": [(0.0, -0.95), (1.0, 0.85), (-1.0, 0.85)],
        "cross": [
            *((-arm, -1.0), (arm, -1.0), (arm, -arm), (1.0, -arm), (1.0, arm), (arm, arm)),
            *((arm, 1.0), (-arm, 1.0), (-arm, arm), (-1.0, arm), (-1.0, -arm), (-arm, -arm)),
        ],
    }[shape]


@dataclass(frozen=True)
class Scene:
    """A picture: its things, no two of one shape, one colour or in one cell, and the grey they lie on."""

    things: tuple[Thing, ...]
    grey: int

    def image(self) -> Image.Image:
        """The picture, RGB, SIZE pixels a side."""
        background = (self.grey, self.grey, self.grey)
        image = Image.new("RGB", (2 * SIZE, 2 * SIZE), background)
        canvas = ImageDraw.Draw(image)
        for thing in self.things:
            thing.draw(canvas, 2 * SIZE, background)
        return image.reduce(2)

    def answer(self, form: SceneQuestionForm, name: str) -> str:
        """The answer to a question; empty when it asks about a thing that is not there."""
        found = [thing for thing in self.things if name in (thing.shape, thing.colour)]
        if form.asks == "presence":
            return "yes" if found else "no"
        return getattr(found[0], form.asks) if found else ""


def cell_box(cell: int) -> Box:
    """The rectangle of a cell of the grid, in a picture of SIZE pixels a side.

    Example:
        >>> cell_box(5)
        (128, 64, 192, 128)
    """
    row, column = divmod(cell, len(COLUMNS))
    side = SIZE // len(COLUMNS)
    return column * side, row * side, (column + 1) * side, (row + 1) * side


def draw_scene(rng: random.Random, things: int) -> Scene:
    """A scene of this many things at random places."""
    chosen = zip(rng.sample(SHAPES, things), rng.sample(list(COLOURS), things), rng.sample(range(CELLS), things), strict=True)
    return Scene(tuple(make_thing(rng, *thing) for thing in chosen), grey=rng.randint(225, 255))


def make_thing(rng: random.Random, shape: str, colour: str, cell: int) -> Thing:
    """A thing somewhere in a cell, of a random size and shade."""
    radius = rng.uniform(0.34, 0.42)
    centre = rng.uniform(radius + 0.04, 0.96 - radius), rng.uniform(radius + 0.04, 0.96 - radius)
    red, green, blue = (max(0, min(255, light + rng.randint(-10, 10))) for light in COLOURS[colour])
    return Thing(shape, colour, cell, centre, radius, (red, green, blue))


@dataclass(frozen=True)
class ScenePrompt:
    """A question about a picture, whose answer has known causes.

    Args:
        scene: the picture.
        question: the question; its `words` are the words without which it cannot be answered.
        answer: the correct answer.
        cells: the rectangles of the grid, in pixels, that hold the answer: the cell of the thing asked about, or none when the
            answer is that there is no such thing.
    """

    scene: Scene
    question: PlantedQuestion
    answer: str
    cells: tuple[Box, ...]

    @cached_property
    def image(self) -> Image.Image:
        """The picture, RGB."""
        return self.scene.image()

    @property
    def text(self) -> str:
        """The prompt as plain text, for a processor that is also given the picture."""
        return f"<image> {self.question.text}"

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The prompt as a chat."""
        parts = [{"type": "image", "image": self.image}, {"type": "text", "text": self.question.text}]
        return [{"role": "user", "content": parts}]


def sample_scene_prompts(count: int, things: int = 4, seed: int = 0, asks: str | None = None) -> list[ScenePrompt]:
    """Questions about pictures of coloured shapes.

    Args:
        count: number of prompts.
        things: number of things in each picture, 1 to 6.
        seed: random seed; equal seeds give equal prompts.
        asks: "colour", "shape", "row", "column" or "presence"; None mixes them.

    Raises:
        ValueError: when `things` is out of range, or `asks` is none of these.

    Example:
        >>> [example] = sample_scene_prompts(1, seed=3, asks="colour")
        >>> example.image.size, len(example.cells)
        ((192, 192), 1)
    """
    if not 1 <= things <= MOST_THINGS:
        raise ValueError(f"A picture has 1 to {MOST_THINGS} things; got things={things}.")
    if asks not in (None, *ANSWERS):
        raise ValueError(f"A question asks for one of {', '.join(ANSWERS)}; got asks={asks!r}.")
    rng = random.Random(seed)
    return [_scene_prompt(rng, things, asks or rng.choice(list(ANSWERS))) for _ in range(count)]


def _scene_prompt(rng: random.Random, things: int, asks: str) -> ScenePrompt:
    scene = draw_scene(rng, things)
    form = rng.choice([form for form in FORMS if form.asks == asks])
    name = choose_name(rng, scene, form)
    cells = tuple(cell_box(thing.cell) for thing in scene.things if name in (thing.shape, thing.colour))
    return ScenePrompt(scene, PlantedQuestion.of(form.text, name), scene.answer(form, name), cells)


def choose_name(rng: random.Random, scene: Scene, form: SceneQuestionForm) -> str:
    """What to ask about: a thing that is there, or for half of the questions after presence, one that is not."""
    if form.asks == "presence" and rng.random() < 0.5:
        return choose_absent(rng, scene, form)
    return rng.choice([getattr(thing, form.by) for thing in scene.things])


def choose_absent(rng: random.Random, scene: Scene, form: SceneQuestionForm) -> str:
    """A shape or a colour that no thing has, whichever the form asks by."""
    there = [getattr(thing, form.by) for thing in scene.things]
    return rng.choice([name for name in (SHAPES if form.by == "shape" else COLOURS) if name not in there])
