"""A photo is made small once, where the processor then gives the tensors that it gives for the whole photo."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from support.families import IMAGE_TEXT, family
from support.multimodal import ANSWER
from support.quick import each

from interpreto_mllm import DropImage, ExactShapley, KernelShap, Patches, Picture, WholeImage
from interpreto_mllm.media.state import State
from interpreto_mllm.prompts import reading_size
from interpreto_mllm.prompts.pixel_sources import processed
from interpreto_mllm.prompts.processing import Processing

PHOTO = Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8))
SHRUNK = {"llava": (42, 32), "qwen2_vl": (72, 48), "pixtral": (32, 24), "vit": (32, 32)}
TILED = ("llava_next", "idefics3")


@pytest.fixture(autouse=True)
def _every_image_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading_size, "LARGE", 0)


def processing(name: str) -> Processing:
    return Processing(family(name).processor, family(name).model)


def as_read(picture: Picture, name: str) -> Picture:
    [read] = reading_size.as_read([picture], processing(name))
    assert isinstance(read, Picture)
    return read


@pytest.mark.parametrize("name", SHRUNK)
def test_the_whole_photo_is_read_as_before(name: str) -> None:
    whole = Picture.of(PHOTO, Patches(2, 2))
    small = as_read(whole, name)
    assert small.size == SHRUNK[name] and small.image.size == (400, 300)
    before, after = (processing(name).bare([[State.whole(picture)]]) for picture in (whole, small))
    assert before.keys() == after.keys() and all(torch.equal(before[key], after[key]) for key in before)


@pytest.mark.parametrize("name", TILED)
def test_processors_that_cut_tiles_are_given_the_whole_photo(name: str) -> None:
    assert as_read(Picture.of(PHOTO, Patches(2, 2)), name).reading is None


@pytest.mark.parametrize("name", each([*TILED, "llava_onevision", "smolvlm", "internvl", "lfm2_vl", "aya_vision"], TILED))
def test_tiles_of_states_are_put_together(name: str) -> None:
    """Whole and hidden to the last bit; within pieces as the processor makes them; equal keys for equal tensors alone."""
    plain, made = Picture.of(PHOTO, Patches(2, 2)), as_read(Picture.of(PHOTO, Patches(2, 2)), name)
    assert made.processed is not None and made.keeps_size
    keys = set()
    for present in np.array([[1, 1, 1, 1], [0, 0, 0, 0], [1, 0, 0, 1], [1, 1, 0, 0]], dtype=bool):
        before, after = (processing(name).bare([[State(one, present)]]) for one in (plain, made))
        assert before.keys() == after.keys()
        for key, tensor in before.items():
            if not tensor.is_floating_point() or present.all() or not present.any():
                assert torch.equal(tensor, after[key])
                continue
            within = (tensor - after[key]).abs() <= 3 / 127 * (tensor.max() - tensor.min())
            assert within.float().mean() > 0.7, "all but the borders of a tensor of 16 by 16 pixels"
        keys.add(State(made, present).key)
    assert len(keys) == 4
    assert State.whole(as_read(Picture.of(PHOTO, Patches(1, 2)), name)).key in keys
    several = processing(name).bare([[State.whole(made)], [State(made, ~State.whole(made).present)]])
    together = processing(name)([processing(name).placeholder("image")] * 2, [[State.whole(plain)]] * 2)
    assert all(several[key].shape == together[key].shape for key in together if together[key].is_floating_point())


def test_values_of_tiles_are_those_of_plain_forwards() -> None:
    subject = family("llava_next")
    parts = [{"type": "image", "image": PHOTO}, {"type": "text", "text": "what?"}]
    options = {"image_granularity": Patches(1, 2), "pinned": ["what", "?"], "progress": False}
    [fast], [plain] = (
        ExactShapley(subject.model, subject.processor, **options, **more)([{"role": "user", "content": parts}], ANSWER)
        for more in ({}, {"share_prefixes": False, "batch_size": 1})
    )
    assert torch.allclose(fast.values, plain.values, atol=1e-4) and fast.media[0].processed is not None


@pytest.mark.parametrize("name", each([*TILED, "smolvlm", "internvl", "lfm2_vl", "aya_vision"], TILED))
def test_tiles_of_several_photos_are_put_together(name: str) -> None:
    """As the processor does it for all of them, which may have different numbers of tiles; small ones among them too."""
    small = Image.fromarray(np.asarray(PHOTO)[:240, :160])
    plain = [Picture.of(given, Patches(1, 2)) for given in (PHOTO, small, PHOTO)]
    made = reading_size.as_read(plain, processing(name))
    assert all(isinstance(picture, Picture) and picture.processed is not None for picture in made)
    before, after = (processing(name).media([list(map(State.whole, pictures))] * 2) for pictures in (plain, made))
    text = "".join([processing(name).placeholder("image")] * 3)
    given = processing(name)([text] * 2, [list(map(State.whole, plain))] * 2)
    assert before.keys() == after.keys() and all(torch.equal(given[key], after[key]) for key in after)


def test_values_of_several_photos_are_those_of_plain_forwards() -> None:
    subject = family("llava_next")
    part = {"type": "image", "image": PHOTO}
    chat = [{"role": "user", "content": [part, {"type": "text", "text": "what?"}, part]}]
    options = {"image_granularity": Patches(1, 2), "pinned": ["what", "?"], "progress": False}
    fast, plain = (
        ExactShapley(subject.model, subject.processor, **options, **more)(chat, ANSWER)[0]
        for more in ({}, {"share_prefixes": False, "batch_size": 1})
    )
    assert torch.allclose(fast.values, plain.values, atol=1e-4) and all(picture.processed for picture in fast.media)


def test_several_photos_that_a_processor_reads_otherwise_than_one_are_rendered() -> None:
    """LLaVA-OneVision cuts a single image into tiles, and several ones not."""
    made = reading_size.as_read([Picture.of(PHOTO, Patches(1, 2))] * 2, processing("llava_onevision"))
    assert all(isinstance(picture, Picture) and picture.processed is None for picture in made)


def test_what_does_not_tell_places_is_rendered() -> None:
    """A processor that mixes the whole image into each number, and pieces that would show nowhere."""
    picture = Picture.of(PHOTO, Patches(2, 2))

    def mixing(image: Image.Image) -> dict[str, torch.Tensor]:
        pixels = torch.tensor(np.asarray(image.resize((32, 32)))).float()
        return {"pixel_values": pixels - pixels.mean()}

    assert processed(picture, mixing).processed is None
    assert processed(picture, lambda image: {"pixel_values": torch.ones(4)}).processed is None
    assert as_read(Picture.of(PHOTO, Patches(1, 100)), "llava_next").processed is None


@pytest.mark.thorough
@pytest.mark.parametrize("name", [name for name in IMAGE_TEXT if name not in {*SHRUNK, *TILED}])
def test_further_processors_read_the_same(name: str) -> None:
    whole = Picture.of(PHOTO, Patches(2, 2))
    before, after = (processing(name).bare([[State.whole(picture)]]) for picture in (whole, as_read(whole, name)))
    assert before.keys() == after.keys() and all(torch.equal(before[key], after[key]) for key in before)


def test_an_absent_piece_is_what_the_model_reads_there() -> None:
    """Exactly the pixels of the piece, and no others, have the mean colour after the processor."""
    subject = family("vit")
    [prompt] = KernelShap(subject.model, subject.processor, image_granularity=Patches(2, 2), progress=False)._reader.read(
        {"images": PHOTO}
    )
    [[full]], [[some]] = (prompt.inputs_for(torch.tensor([state])) for state in ([True] * 4, [True, False, True, True]))
    tensors = [subject.processor(given.media[0].rendered, return_tensors="pt")["pixel_values"][0] for given in (full, some)]
    changed = (tensors[0] != tensors[1]).any(0)
    assert not changed[:, :16].any() and not changed[16:].any()
    assert len(tensors[1][:, :16, 16:].flatten(1).unique(dim=1).T) == 1


def test_images_that_are_left_out_and_pieces_that_would_vanish() -> None:
    dropped = as_read(Picture.of(PHOTO, WholeImage(), DropImage()), "llava")
    assert dropped.size == SHRUNK["llava"] and dropped.render(np.array([False])) is None
    assert as_read(Picture.of(PHOTO, Patches(100, 1)), "llava").reading is None


def test_most_pixels_for_a_server() -> None:
    picture = Picture.of(PHOTO, Patches(2, 2))
    smaller = reading_size.within(picture, 10_000)
    assert smaller.size == (115, 86)
    assert smaller.notes == ("400 × 300 pixels, sent as 115 × 86 (max_pixels=10000)",)
    assert reading_size.within(picture, 120_000) is picture
    with pytest.raises(ValueError, match="one of the image's 900 pieces has no pixel left"):
        reading_size.within(Picture.of(PHOTO, Patches(30, 30)), 800)
