"""Pieces as labels are the pieces as masks, pixel by pixel, and take a fraction of the memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch
from PIL import Image

from interpreto_mllm import Boxes, Masks, Patches, Picture, Superpixels
from interpreto_mllm.media import image_granularity
from interpreto_mllm.media.packing import pack_masks, pack_regions, unpack_regions
from interpreto_mllm.media.reading import Reading
from interpreto_mllm.media.regions import Regions

RNG = np.random.default_rng(0)
MASKS = RNG.random((6, 9, 7)) < 0.4
BOXES = [(0, 0, 4, 4), (2, 1, 7, 3), (2, 2, 4, 9), (0, 0, 7, 9)]


def drawn(boxes: list[tuple[int, int, int, int]], width: int, height: int) -> np.ndarray:
    masks = np.zeros((len(boxes), height, width), dtype=bool)
    for mask, (left, top, right, bottom) in zip(masks, boxes, strict=True):
        mask[top:bottom, left:right] = True
    return masks


LABELS = np.array([[1, 1, -1], [0, 2, 0]])
CASES = {
    "masks": (Regions.of_masks(MASKS), MASKS),
    "boxes": (Regions.of_boxes(BOXES, 7, 9), drawn(BOXES, 7, 9)),
    "labels": (Regions.of_labels(LABELS, 3), np.arange(3)[:, None, None] == LABELS),
}


@pytest.mark.parametrize("name", CASES)
def test_regions_are_the_masks_pixel_by_pixel(name: str) -> None:
    regions, masks = CASES[name]
    assert (regions.masks == masks).all()
    assert regions.sizes.tolist() == masks.sum((1, 2)).tolist()
    for mask, (left, top, right, bottom) in zip(masks, regions.boxes, strict=True):
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        assert (left, top, right, bottom) == (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
    for state in RNG.random((20, len(masks))) < 0.5:
        assert (regions.shown(state) == (masks[state].any(0) | ~masks.any(0))).all()


def test_equal_pieces_have_equal_regions_however_they_were_given() -> None:
    boxes, masks = Regions.of_boxes(BOXES, 7, 9), Regions.of_masks(drawn(BOXES, 7, 9))
    grid = Regions.of_masks(Patches(3, 2)(np.zeros((9, 7, 3), dtype=np.uint8)))
    patches = Patches(3, 2).regions(Image.new("RGB", (7, 9)))
    for one, other in ((boxes, masks), (grid, patches)):
        assert (one.area == other.area).all() and (one.cover == other.cover).all()
        assert one.area.dtype == other.area.dtype


@pytest.mark.parametrize("name", CASES)
def test_regions_come_back_from_files_also_from_those_of_masks(name: str) -> None:
    regions, masks = CASES[name]
    for packed in (pack_regions(regions), pack_masks(masks)):
        again = unpack_regions(packed)
        assert (again.area == regions.area).all() and (again.cover == regions.cover).all()
    with pytest.raises(ValueError, match="areas, and a pixel of area"):
        unpack_regions({**pack_regions(regions), "cover": pack_masks(np.ones((1, 1, 3), dtype=bool))})


def test_many_overlapping_masks_need_wider_labels() -> None:
    bits = (np.arange(2**14)[None] >> np.arange(14)[:, None] & 1).astype(bool).reshape(14, 128, 128)
    regions = Regions.of_masks(bits)
    assert len(regions.cover) == 2**14 and (regions.masks == bits).all()


def test_at_another_size_each_pixel_has_the_pieces_of_where_its_centre_is() -> None:
    regions = Regions.of_masks(MASKS)
    smaller = regions.resized(3, 4)
    for y in range(4):
        for x in range(3):
            assert (smaller.masks[:, y, x] == MASKS[:, int((y + 0.5) * 9 / 4), int((x + 0.5) * 7 / 3)]).all()


def test_a_picture_is_rendered_at_the_size_that_the_model_reads() -> None:
    photo = Image.fromarray(RNG.integers(0, 256, (60, 80, 3), dtype=np.uint8))
    whole = Picture.of(photo, Patches(3, 4))
    small = whole.read_as(Reading(20, 15))
    assert small.size == (20, 15) and [one.box for one in small.features(0)] == [one.box for one in whole.features(0)]
    resized, mean = np.asarray(photo.resize((20, 15), 3)), np.asarray(photo).mean((0, 1)).round()
    state = RNG.random(12) < 0.5
    rendered = np.asarray(small.render(state))
    for y in range(15):
        for x in range(20):
            expected = resized[y, x] if state[y // 5 * 4 + x // 5] else mean
            assert (rendered[y, x] == expected).all()
    assert small.render(state) is small.render(state)
    assert Picture.of(photo, Patches(30, 4)).read_as(Reading(20, 15)).reading is None  # a row would hold no pixel


def test_a_large_photo_takes_less_than_three_times_its_own_memory() -> None:
    photo = Image.new("RGB", (1200, 1000))
    decoded = 3 * photo.width * photo.height
    tracemalloc.start()
    picture = Picture.of(photo, Patches(16, 16)).read_as(Reading(336, 280))
    picture.features(0)
    for state in RNG.random((4, 256)) < 0.5:
        picture.key(state)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * decoded  # Pillow's own copy, of four bytes a pixel, comes on top
    assert picture.areas[0].nbytes == photo.width * photo.height


def test_superpixels_of_a_large_image_are_found_in_a_smaller_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("skimage")
    monkeypatch.setattr(image_granularity, "SLIC_PIXELS", 1000)
    halves = np.zeros((60, 80, 3), dtype=np.uint8)
    halves[:, 40:] = 255
    left, right = Picture.of(halves, Superpixels(2)).regions.boxes
    assert (left[:2], right[2:]) == ((0, 0), (80, 60)) and left[2] == right[0] and abs(left[2] - 40) <= 2


def test_boxes_of_a_detector() -> None:
    photo = np.zeros((9, 7, 3), dtype=np.uint8)
    found = [{"label": "cat", "score": 0.9, "box": {"xmin": -0.3, "ymin": 0.6, "xmax": 3.4, "ymax": 4}}]
    picture = Picture.of(photo, Boxes(found))
    assert picture.labels == ("cat",) and picture.regions.boxes == [(0, 1, 3, 4)]
    tensor = torch.tensor([[0.0, 0.0, 3.5, 4.5], [1, 1, 7.2, 9.0]])
    assert Picture.of(photo, Boxes(tensor)).regions.boxes == [(0, 0, 3, 4), (1, 1, 7, 9)]
    with pytest.raises(ValueError, match="2 boxes but 1 names"):
        Boxes([(0, 0, 1, 1), (1, 1, 2, 2)], names=["one"])


def test_masks_of_sam_and_of_pipelines() -> None:
    sam = [{"segmentation": mask, "bbox": [0, 0, 1, 1], "area": int(mask.sum())} for mask in MASKS]
    assert (Masks(sam).masks == MASKS).all()
    named = [{"mask": Image.fromarray(mask), "label": f"part {place}", "score": None} for place, mask in enumerate(MASKS)]
    assert (Masks(named).masks == MASKS).all() and Masks(named).labels(6)[2] == "part 2"
    assert (Masks({"masks": list(MASKS), "scores": [1.0] * 6}).masks == MASKS).all()
    with pytest.raises(ValueError, match=r"decode it first, as with pycocotools\.mask\.decode"):
        Masks([{"segmentation": {"size": [9, 7], "counts": "abc"}}])
    with pytest.raises(ValueError, match="an array of the shape"):
        Masks(7)
