"""The shipped vision-language model answers right, and for the planted reason."""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from support.planted import answers, log_probs, rendered, without_each_word
from support.quick import each
from transformers import AutoModelForImageTextToText, AutoProcessor

from interpreto_mllm.testbed import SIGHT, load_sight, sample_scene_prompts
from interpreto_mllm.testbed.shapes import ANSWERS, CELLS, COLOURS, COLUMNS, ROWS, SHAPES, Scene, cell_box

LIGHT = (240, 240, 240)


@pytest.fixture(scope="module")
def sight():
    return load_sight()


def blanked(image: Image.Image, box: tuple[int, int, int, int], fill: tuple[int, int, int]) -> Image.Image:
    image = image.copy()
    image.paste(fill, box)
    return image


@pytest.mark.parametrize("asks, chat", each([*itertools.product(ANSWERS, (False, True))], [("colour", False), ("row", True)]))
def test_held_out_accuracy(sight, asks, chat):
    prompts = sample_scene_prompts(100, things=5, seed=777, asks=asks)
    said = answers(*sight, prompts, chat)
    assert sum(answer == prompt.answer for answer, prompt in zip(said, prompts, strict=True)) >= 97


@pytest.mark.parametrize("things", each([1, 3, 6], [6]))
def test_accuracy_for_few_and_many_things(sight, things):
    prompts = sample_scene_prompts(100, things=things, seed=778)
    said = answers(*sight, prompts, chat=False)
    assert sum(answer == prompt.answer for answer, prompt in zip(said, prompts, strict=True)) >= 97


def test_it_is_small_and_offline(sight):
    assert sum(file.stat().st_size for file in SIGHT.iterdir()) <= 3_000_000
    model, processor = sight
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert not model.training
    assert processor.tokenizer.is_fast
    assert type(model).__name__ == "LlavaForConditionalGeneration"


def test_a_saved_copy_is_the_same(sight, tmp_path):
    model, processor = sight
    [prompt] = sample_scene_prompts(1, seed=1)
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    other, its = AutoModelForImageTextToText.from_pretrained(tmp_path), AutoProcessor.from_pretrained(tmp_path)
    one = processor(text=prompt.text, images=prompt.image, return_tensors="pt")
    two = its(text=prompt.text, images=prompt.image, return_tensors="pt")
    assert one.keys() == two.keys() == {"input_ids", "attention_mask", "pixel_values"}
    assert all(torch.equal(one[name], two[name]) for name in one)
    with torch.no_grad():
        assert torch.equal(model(**one).logits, other.eval()(**two).logits)


def test_processor_round_trip(sight):
    _, processor = sight
    [prompt] = sample_scene_prompts(1, seed=2)
    plain = processor(text=prompt.text, images=prompt.image, return_tensors="pt")
    count = (plain["input_ids"] == processor.image_token_id).sum().item()
    assert processor.decode(plain["input_ids"][0]) == "<bos> " + "<image> " * count + prompt.question.text
    assert plain["pixel_values"].shape == (1, 3, 48, 48)
    chat = processor.apply_chat_template(
        prompt.messages, tokenize=True, return_dict=True, add_generation_prompt=True, return_tensors="pt"
    )
    marked = f"<bos> <|user|> {'<image> ' * count}{prompt.question.text} <|end|> <|assistant|>"
    assert processor.decode(chat["input_ids"][0]) == marked
    assert torch.equal(chat["pixel_values"], plain["pixel_values"])
    for other in (prompt.image.convert("RGBA"), np.asarray(prompt.image)):
        assert torch.equal(processor(text="<image>", images=other, return_tensors="pt")["pixel_values"], plain["pixel_values"])
    with pytest.raises(Exception, match="audio"):
        processor.apply_chat_template([{"role": "user", "content": [{"type": "audio"}]}], tokenize=False)


def test_every_word_is_known(sight):
    tokenizer = sight[1].tokenizer
    for prompt in sample_scene_prompts(200, seed=3):
        ids = tokenizer(f"{prompt.question.text} {prompt.answer}")["input_ids"]
        assert tokenizer.unk_token_id not in ids
        assert len(ids) == 1 + len(prompt.question.text.split()) + len(prompt.answer.split())


def test_generation_stops_by_itself_and_follows_turns(sight):
    model, processor = sight
    [prompt] = sample_scene_prompts(1, seed=4, asks="row")
    inputs = processor(text=prompt.text, images=prompt.image, return_tensors="pt")
    said = model.generate(**inputs)[0, inputs["input_ids"].shape[1] :]
    assert processor.tokenizer.convert_ids_to_tokens(said) == [*prompt.answer.split(), "<eos>"]
    thing = prompt.scene.things[0]
    turns = [
        {"role": "system", "content": "be brief and honest ."},
        *prompt.messages,
        {"role": "assistant", "content": [{"type": "text", "text": prompt.answer}]},
        {"role": "user", "content": f"what colour is the {thing.shape} ?"},
    ]
    inputs = processor.apply_chat_template(
        turns, tokenize=True, return_dict=True, add_generation_prompt=True, return_tensors="pt"
    )
    said = model.generate(**inputs)[0, inputs["input_ids"].shape[1] :]
    assert processor.tokenizer.convert_ids_to_tokens(said) == [thing.colour, "<|end|>"]


def cells_by_colour(image: Image.Image) -> dict[str, set[int]]:
    """For each colour the cells with many pixels nearer to it than to any other, and than to any grey."""
    pixels = np.asarray(image).astype(int)
    distances = np.stack([np.abs(pixels - np.array(rgb)).sum(-1) for rgb in COLOURS.values()])
    nearest = np.where(distances.min(0) <= 30, distances.argmin(0), -1)
    found: dict[str, set[int]] = {colour: set() for colour in COLOURS}
    for cell in range(CELLS):
        left, top, right, bottom = cell_box(cell)
        for index, colour in enumerate(COLOURS):
            if (nearest[top:bottom, left:right] == index).sum() > 200:
                found[colour].add(cell)
    return found


def test_the_truth_is_in_the_pixels():
    """Answers and cells are found again from the picture's pixels and the question's words alone."""
    for prompt in sample_scene_prompts(60, things=6, seed=5):
        assert prompt.image.mode == "RGB" and prompt.image.size == (192, 192)
        colour_of = {thing.shape: thing.colour for thing in prompt.scene.things}
        seen = cells_by_colour(prompt.image)
        assert {colour: len(cells) for colour, cells in seen.items() if cells} == dict.fromkeys(colour_of.values(), 1)
        name = prompt.question.words[-1].text
        cells = seen.get(colour_of.get(name, name), set())
        if not cells:
            assert (prompt.answer, prompt.cells) == ("no", ())
            continue
        [where] = cells
        left, top = 64 * (where % 3), 64 * (where // 3)
        assert prompt.cells == ((left, top, left + 64, top + 64),)
        colour = next(colour for colour, cells in seen.items() if where in cells)
        shape = next(shape for shape in SHAPES if colour_of.get(shape) == colour)
        right = {"colour": colour, "shape": shape, "row": ROWS[where // 3], "column": COLUMNS[where % 3], "there": "yes"}
        assert prompt.answer == right[prompt.question.words[0].text]


def test_every_shape_looks_its_own_way():
    """Drawn alike, no two shapes cover nearly the same pixels."""
    [prompt] = sample_scene_prompts(1, things=1, seed=6)
    thing = dataclasses.replace(prompt.scene.things[0], centre=(0.5, 0.5), radius=0.4)
    drawn = [Scene((dataclasses.replace(thing, shape=shape),), grey=240).image() for shape in SHAPES]
    covered = [np.abs(np.asarray(image).astype(int) - 240).sum(-1) > 60 for image in drawn]
    for one, two in itertools.combinations(covered, 2):
        assert (one & two).sum() < 0.85 * (one | two).sum()


def test_the_words_that_matter():
    kinds = {"colour": "colour", "shape": "shape", "row": "row", "column": "column", "presence": "there"}
    for asks, kind in kinds.items():
        for prompt in sample_scene_prompts(100, seed=7, asks=asks):
            first, last = prompt.question.words
            assert (first.text, last.text in (*SHAPES, *COLOURS)) == (kind, True)
            assert all(prompt.question.text[slice(*word.span)] == word.text for word in (first, last))


def test_prompts_are_seeded_and_frozen():
    one, two = sample_scene_prompts(5, seed=1), sample_scene_prompts(5, seed=1)
    assert one == two != sample_scene_prompts(5, seed=2)
    assert all(np.array_equal(a.image, b.image) for a, b in zip(one, two, strict=True))
    with pytest.raises(dataclasses.FrozenInstanceError):
        one[0].answer = "blue"  # type: ignore[misc]
    with pytest.raises(ValueError, match="things=7"):
        sample_scene_prompts(1, things=7)
    with pytest.raises(ValueError, match="colour, shape, row, column, presence; got asks='size'"):
        sample_scene_prompts(1, asks="size")


@pytest.mark.parametrize(
    "asks, fill",
    each([*itertools.product(ANSWERS, ("background", "mean"))], [("colour", "background"), ("presence", "mean")]),
)
def test_blanking_the_true_cell_costs_most(sight, asks, fill):
    """Of the nine cells, that of the thing asked about costs the answer far more than all others together.

    Without it the answer is one of its kind at chance, so that it loses about the logarithm of their number; half will do.
    """
    prompts = [prompt for prompt in sample_scene_prompts(40, things=5, seed=8, asks=asks) if prompt.cells]
    found = 0
    for number, prompt in enumerate(prompts):
        mean = tuple(np.asarray(prompt.image).reshape(-1, 3).mean(0).round().astype(int).tolist())
        filling = mean if fill == "mean" else (prompt.scene.grey,) * 3
        images = [prompt.image, *(blanked(prompt.image, cell_box(cell), filling) for cell in range(CELLS))]
        texts = [rendered(sight[1], prompt, chat=number % 2 == 1)] * len(images)
        values = log_probs(*sight, texts, prompt.answer, images=images)
        losses = (values[0] - values[1:]).clamp_min(0)
        true = [cell_box(cell) for cell in range(CELLS)].index(prompt.cells[0])
        found += bool(losses[true] > 0.5 * math.log(len(ANSWERS[asks])) and losses[true] > 2 * (losses.sum() - losses[true]))
    assert found >= 0.9 * len(prompts)


@pytest.mark.parametrize("asks, chat", each([*itertools.product(ANSWERS, (False, True))], [("shape", False)]))
def test_dropping_a_word_that_matters_costs_most(sight, asks, chat):
    """The two words that matter cost more than any other word of the question."""
    prompts = sample_scene_prompts(50, things=5, seed=9, asks=asks)
    found = 0
    for prompt in prompts:
        text = rendered(sight[1], prompt, chat)
        texts = [text, *without_each_word(text, prompt.question.text)]
        values = log_probs(*sight, texts, prompt.answer, images=[prompt.image] * len(texts))
        words = prompt.question.text.split()
        worst = {words[place] for place in (values[0] - values[1:]).topk(2).indices.tolist()}
        found += worst == {word.text for word in prompt.question.words}
    assert found >= 0.9 * len(prompts)


@pytest.mark.parametrize(
    "text, possible",
    [
        ("what colour is the ?", list(COLOURS)),
        ("what shape is ?", list(SHAPES)),
        ("what colour is the star ?", list(COLOURS)),
        ("tell me the shape of the red one .", list(SHAPES)),
        ("is the star ?", [*COLOURS, *SHAPES, *ROWS, *COLUMNS, "yes", "no"]),
    ],
)
def test_what_cannot_be_told_is_evenly_spread(sight, text, possible):
    """With an empty picture, or without a word that matters, every answer of the kind is about equally likely."""
    empty = Image.new("RGB", (192, 192), LIGHT)
    values = [log_probs(*sight, [f"<bos><image> {text}"], answer, images=[empty]).exp().item() for answer in possible]
    assert sum(values) == pytest.approx(1, abs=0.05)
    assert max(values) < 3 / len(possible)
    assert min(values) > 0.3 / len(possible)


def test_weights_have_the_names_that_the_oldest_transformers_finds() -> None:
    with safe_open(SIGHT / "model.safetensors", "pt") as file:
        names = [name for name in file.keys() if name.startswith("vision_tower.")]  # noqa: SIM118
    assert names and all(name.startswith("vision_tower.vision_model.") for name in names)
