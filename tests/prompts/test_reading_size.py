"""A photo is made small once, where the processor then gives the tensors that it gives for the whole photo."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from support.families import IMAGE_TEXT, family

from interpreto_mllm import DropImage, KernelShap, Patches, Picture, WholeImage
from interpreto_mllm.media.state import State
from interpreto_mllm.prompts import reading_size
from interpreto_mllm.prompts.processing import Processing

PHOTO = Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8))
SHRUNK = {"llava": (42, 32), "qwen2_vl": (72, 48), "pixtral": (32, 24), "vit": (32, 32)}
TILED = ("llava_next", "idefics3")


@pytest.fixture(autouse=True)
def _every_image_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading_size, "LARGE", 0)


def processing(name: str) -> Processing:
    return Processing(family(name).processor, family(name).model)


@pytest.mark.parametrize("name", SHRUNK)
def test_the_whole_photo_is_read_as_before(name: str) -> None:
    whole = Picture.of(PHOTO, Patches(2, 2))
    small = reading_size.as_read(whole, processing(name))
    assert small.size == SHRUNK[name] and small.image.size == (400, 300)
    before, after = (processing(name).bare([[State.whole(picture)]]) for picture in (whole, small))
    assert before.keys() == after.keys() and all(torch.equal(before[key], after[key]) for key in before)


@pytest.mark.parametrize("name", TILED)
def test_processors_that_cut_tiles_are_given_the_whole_photo(name: str) -> None:
    assert reading_size.as_read(Picture.of(PHOTO, Patches(2, 2)), processing(name)).reading is None


@pytest.mark.thorough
@pytest.mark.parametrize("name", [name for name in IMAGE_TEXT if name not in {*SHRUNK, *TILED}])
def test_further_processors_read_the_same(name: str) -> None:
    whole = Picture.of(PHOTO, Patches(2, 2))
    before, after = (
        processing(name).bare([[State.whole(picture)]]) for picture in (whole, reading_size.as_read(whole, processing(name)))
    )
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
    dropped = reading_size.as_read(Picture.of(PHOTO, WholeImage(), DropImage()), processing("llava"))
    assert dropped.size == SHRUNK["llava"] and dropped.render(np.array([False])) is None
    assert reading_size.as_read(Picture.of(PHOTO, Patches(100, 1)), processing("llava")).reading is None


def test_most_pixels_for_a_server() -> None:
    picture = Picture.of(PHOTO, Patches(2, 2))
    smaller = reading_size.within(picture, 10_000)
    assert smaller.size == (115, 86)
    assert smaller.notes == ("400 × 300 pixels, sent as 115 × 86 (max_pixels=10000)",)
    assert reading_size.within(picture, 120_000) is picture
    with pytest.raises(ValueError, match="one of the image's 900 pieces has no pixel left"):
        reading_size.within(Picture.of(PHOTO, Patches(30, 30)), 800)
