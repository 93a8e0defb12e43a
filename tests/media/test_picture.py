"""Images: read as a person sees them, cut as asked, and rendered pixel by pixel as the masks say."""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from interpreto_mllm import Blur, Boxes, DropImage, Fill, Masks, Patches, Picture, ReplaceImage, Superpixels, WholeImage
from interpreto_mllm.media import ImageGranularity, ImageOcclusion

RNG = np.random.default_rng(0)
PHOTO = RNG.integers(0, 256, (5, 7, 3), dtype=np.uint8)
OVERLAPPING = Masks(RNG.random((3, 5, 7)) < 0.4)
GRANULARITIES: dict[str, ImageGranularity] = {
    "patches": Patches(2, 3),
    "superpixels": Superpixels(4),
    "boxes": Boxes([(0, 0, 4, 3), (2, 1, 7, 5), (6, 0, 7, 1)]),
    "masks": OVERLAPPING,
    "whole": WholeImage(),
}
OCCLUSIONS: dict[str, ImageOcclusion] = {
    "mean": Fill(),
    "named": Fill("navy"),
    "triple": Fill((1, 2, 3)),
    "blur": Blur(1.5),
    "other": ReplaceImage(RNG.integers(0, 256, (9, 4, 3), dtype=np.uint8)),
}


def states(k: int):
    return [np.array(state) for state in itertools.product([False, True], repeat=k)]


def shown(picture: Picture, state: np.ndarray) -> np.ndarray:
    rendered = picture.render(state)
    assert rendered is not None
    return np.asarray(rendered)


@pytest.mark.parametrize("granularity", GRANULARITIES)
@pytest.mark.parametrize("occlusion", OCCLUSIONS)
def test_every_state_is_rendered_pixel_by_pixel(granularity, occlusion):
    picture = Picture.of(PHOTO, GRANULARITIES[granularity], OCCLUSIONS[occlusion])
    hidden = OCCLUSIONS[occlusion].counterpart(PHOTO)
    assert hidden is not None
    masks = picture.masks
    for state in states(len(picture.labels)):
        rendered = shown(picture, state)
        for y in range(5):
            for x in range(7):
                covering = [k for k in range(len(state)) if masks[k, y, x]]
                there = not covering or any(state[k] for k in covering)
                assert rendered[y, x].tolist() == (PHOTO if there else hidden)[y, x].tolist()


@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_keys_are_equal_exactly_where_renderings_are(granularity):
    for photo in (PHOTO, np.full_like(PHOTO, 9), np.where(np.arange(7)[None, :, None] < 3, PHOTO, PHOTO.mean((0, 1)).round())):
        picture = Picture.of(photo.astype(np.uint8), GRANULARITIES[granularity])
        pairs = {(picture.key(state), shown(picture, state).tobytes()) for state in states(len(picture.labels))}
        assert len(pairs) == len({key for key, _ in pairs}) == len({rendering for _, rendering in pairs})


def test_occlusions_do_what_they_say():
    mean = np.array([round(sum(int(v) for v in PHOTO[..., c].flat) / 35) for c in range(3)])
    assert (Fill().counterpart(PHOTO) == mean).all()
    assert (Fill("navy").counterpart(PHOTO) == [0, 0, 128]).all()
    assert (Fill("#010203").counterpart(PHOTO) == [1, 2, 3]).all()
    big = np.zeros((41, 41, 3), dtype=np.uint8)
    big[:, :21] = 255
    column = Blur(3.0).counterpart(big)[20, :, 0].astype(float)
    weights = np.exp(-0.5 * (np.arange(-60, 61) / 3.0) ** 2)
    padded = np.pad(big[20, :, 0].astype(float), 60, mode="edge")
    slow = [sum(w * v for w, v in zip(weights, padded[x : x + 121], strict=True)) / weights.sum() for x in range(41)]
    assert np.abs(column - slow).max() < 8  # pillow's box approximation of the Gaussian
    other = np.zeros((2, 2, 3), dtype=np.uint8)
    other[0, 0] = 255
    assert (ReplaceImage(other).counterpart(np.zeros((2, 2, 3), dtype=np.uint8)) == other).all()


def test_dropping_the_image():
    picture = Picture.of(PHOTO, WholeImage(), DropImage())
    assert picture.render(np.array([False])) is None
    assert (shown(picture, np.array([True])) == PHOTO).all()
    assert picture.key(np.array([False])) != picture.key(np.array([True]))
    with pytest.raises(ValueError, match=r"cut into 6 pieces: use WholeImage\(\), or Fill\(\)"):
        Picture.of(PHOTO, Patches(2, 3), DropImage())
    with pytest.raises(ValueError, match="has pixels outside its only piece"):
        Picture.of(PHOTO, Boxes([(0, 0, 2, 2)]), DropImage())


@pytest.mark.parametrize("size", [(1, 1), (5, 7), (8, 8), (30, 31)])
def test_patches_partition_the_image_into_nearly_equal_boxes_in_reading_order(size):
    rows, columns = min(size[0], 4), min(size[1], 3)
    picture = Picture.of(np.zeros(size), Patches(rows, columns))
    assert (picture.masks.sum(0) == 1).all()
    boxes = [feature.box for feature in picture.features(0)]
    assert boxes == sorted(boxes, key=lambda box: (box[1], box[0]))
    for mask, (left, top, right, bottom) in zip(picture.masks, boxes, strict=True):
        assert mask.sum() == (right - left) * (bottom - top) == mask[top:bottom, left:right].sum()
        assert abs((right - left) - size[1] / columns) < 1 and abs((bottom - top) - size[0] / rows) < 1
    assert picture.labels[-1] == f"row {rows}, column {columns}"


def test_superpixels_partition_and_follow_colours():
    photo = np.zeros((24, 24, 3), dtype=np.uint8)
    photo[:, 10:] = (255, 0, 0)
    picture = Picture.of(photo, Superpixels(6, compactness=1.0))
    assert (picture.masks.sum(0) == 1).all()
    assert all(len(np.unique(photo[mask][:, 0])) == 1 for mask in picture.masks)


def test_superpixels_are_about_as_many_as_asked_or_it_is_said(caplog):
    smooth = np.kron(RNG.integers(0, 256, (6, 6, 3)), np.ones((12, 12, 1))).astype(np.uint8)
    assert 12 <= len(Picture.of(smooth, Superpixels(16)).labels) <= 24 and not caplog.records
    noise = RNG.integers(0, 256, (72, 72, 3), dtype=np.uint8)
    assert len(Picture.of(noise, Superpixels(36, compactness=1.0)).labels) < 18
    assert "36 superpixels asked for" in caplog.text


def test_features_know_image_box_piece_role_and_turn():
    [first, second] = Picture.of(PHOTO, Boxes([(1, 0, 3, 5), (6, 4, 7, 5)])).features(2, "user", 4)
    assert (first.text, first.modality, first.pieces, first.box) == ("box 1", "image", ((2, 0),), (1, 0, 3, 5))
    assert (second.text, second.role, second.turn, second.pieces) == ("box 2", "user", 4, ((2, 1),))


def test_a_callable_is_a_granularity():
    picture = Picture.of(PHOTO, lambda pixels: pixels[None, ..., 0] > 127)
    assert (picture.masks[0] == (PHOTO[..., 0] > 127)).all()
    assert picture.labels == ("region 1",)


def expected_on_white(rgba: np.ndarray) -> np.ndarray:
    colour, alpha = rgba[..., :3].astype(float), rgba[..., 3:].astype(float) / 255
    return colour * alpha + 255 * (1 - alpha)


def read(given) -> np.ndarray:
    return np.asarray(Picture.of(given, WholeImage()).image)


def test_every_form_of_an_image_is_read(tmp_path):
    Image.fromarray(PHOTO).save(tmp_path / "photo.png")
    floats = PHOTO / 255
    forms = [
        PHOTO,
        floats,
        floats.astype(np.float32),
        PHOTO.transpose(2, 0, 1),
        torch.from_numpy(PHOTO).permute(2, 0, 1),
        torch.from_numpy(floats).permute(2, 0, 1).requires_grad_(),
        Image.fromarray(PHOTO),
        Image.open(tmp_path / "photo.png"),
        tmp_path / "photo.png",
        str(tmp_path / "photo.png"),
        (tmp_path / "photo.png").as_uri(),
    ]
    assert all((read(form) == PHOTO).all() for form in forms)
    grey = PHOTO[..., 0]
    for form in (grey, grey[..., None], grey[None], Image.fromarray(grey), (grey / 255).astype(np.float16)):
        assert (read(form) == np.repeat(grey[..., None], 3, 2)).all()
    sixteen = Image.fromarray(grey.astype(np.uint16) * 257)
    assert (read(sixteen) == np.repeat(grey[..., None], 3, 2)).all()
    palette = Image.fromarray(PHOTO).quantize(4)
    assert (read(palette) == np.asarray(palette.convert("RGB"))).all()
    assert (read(Image.fromarray(grey > 99)) == np.where(grey > 99, 255, 0)[..., None]).all()


def test_transparent_pixels_are_laid_on_white():
    rgba = RNG.integers(0, 256, (5, 7, 4), dtype=np.uint8)
    for form in (rgba, Image.fromarray(rgba), rgba / 255):
        assert np.abs(read(form) - expected_on_white(rgba)).max() <= 1
    grey = Image.merge("LA", Image.fromarray(rgba).split()[::3])
    assert np.abs(read(grey) - expected_on_white(rgba[..., [0, 0, 0, 3]])).max() <= 1
    palette = Image.fromarray(np.array([[0, 1]], dtype=np.uint8)).convert("P")
    palette.putpalette([255, 0, 0, 0, 0, 255])
    palette.info["transparency"] = 1
    assert read(palette).tolist()[0][1] == [255, 255, 255]


def test_a_turned_photo_is_read_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rows are columns
    Image.fromarray(PHOTO).save(tmp_path / "turned.png", exif=exif)
    assert (read(tmp_path / "turned.png") == np.rot90(PHOTO, -1)).all()


def test_the_image_given_is_not_touched():
    given = Image.fromarray(PHOTO.copy())
    picture = Picture.of(given, Patches(1, 1))
    picture.image.putpixel((0, 0), (0, 0, 0))
    assert (np.asarray(given) == PHOTO).all()
    assert Picture.of(picture) is picture


@pytest.mark.parametrize(
    "given, error, words",
    [
        (np.zeros((0, 4, 3)), ValueError, "no pixels"),
        (torch.zeros(3, 0, 4), ValueError, "no pixels"),
        (Image.new("RGB", (0, 3)), ValueError, "0 wide and 3 high"),
        (np.full((2, 2), 200.0), ValueError, "run from 200 to 200: divide by 255"),
        (np.full((2, 2), -0.5), ValueError, "run from -0.5"),
        (np.full((2, 2), np.nan), ValueError, "run from nan"),
        (np.zeros((2, 2), dtype=np.int64), ValueError, "uint8, or floats from 0 to 1; got int64"),
        (np.zeros((3, 5, 3)), ValueError, "both the first and the last could be the channels"),
        (np.zeros((5, 5, 5)), ValueError, "none is 1, 3 or 4 channels"),
        (np.zeros((1, 3, 8, 8)), ValueError, r"One image has the shape \(h, w\)"),
        ("nowhere.png", FileNotFoundError, "no image file at nowhere.png"),
        (".", FileNotFoundError, "it is a folder"),
        ("https://example.org/cat.png", ValueError, "Nothing is downloaded"),
        (b"bytes", ValueError, "The image is not an image that can be read"),
        (None, TypeError, "Cannot read an image from NoneType"),
    ],
)
def test_what_cannot_be_read_is_told(given, error, words):
    with pytest.raises(error, match=words):
        Picture.of(given)


def test_corrupt_files_are_told(tmp_path):
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(ValueError, match=r"text\.png is not an image"):
        Picture.of(tmp_path / "text.png")
    Image.fromarray(RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:900])
    with pytest.raises(ValueError, match=r"cut\.png is damaged"):
        Picture.of(tmp_path / "cut.png")


@pytest.mark.parametrize(
    "make, error, words",
    [
        (lambda: Patches(0, 2), ValueError, "Patches: rows must be a whole number of at least 1; got 0"),
        (
            lambda: Picture.of(PHOTO, Patches(6, 2)),
            ValueError,
            r"Patches\(6, 2\) do not fit an image 7 wide and 5 high",
        ),
        (lambda: Superpixels(4, compactness=0), ValueError, "compactness must be positive"),
        (lambda: Boxes([]), ValueError, "there is no box"),
        (lambda: Boxes([(0, 0, 2)]), ValueError, r"\(0, 0, 2\) is no box; a box is four numbers"),
        (lambda: Boxes([(0, 0, np.nan, 2)]), ValueError, "a box is four numbers"),
        (lambda: Picture.of(PHOTO, Boxes([(0.1, 0.1, 0.4, 0.9)])), ValueError, "these look like fractions of it"),
        (lambda: Picture.of(PHOTO, Boxes([(0, 0, 9.5, 2)])), ValueError, "empty or leaves"),
        (
            lambda: Picture.of(PHOTO, Boxes([(0, 0, 8, 2)])),
            ValueError,
            r"\(0, 0, 8, 2\) is empty or leaves the image, which is 7",
        ),
        (lambda: Picture.of(PHOTO, Boxes([(2, 2, 2, 4)])), ValueError, "empty or leaves"),
        (
            lambda: Picture.of(PHOTO, Masks(np.ones((1, 7, 5)))),
            ValueError,
            "masks are 5 wide and 7 high, the image is 7 wide and 5",
        ),
        (lambda: Masks(np.ones((5, 7))), ValueError, r"got \(5, 7\). One mask is masks\[None\]"),
        (lambda: Masks([]), ValueError, "k at least 1"),
        (lambda: Masks([np.ones((2, 2)), np.ones((2, 3))]), ValueError, "differ in shape"),
        (lambda: Masks(np.full((1, 5, 7), 0.5)), ValueError, "values such as"),
        (lambda: Picture.of(PHOTO, Masks(np.zeros((1, 5, 7)))), ValueError, "'mask 1' holds no pixel"),
        (lambda: Picture.of(PHOTO, "patches"), TypeError, "must be Patches"),  # type: ignore[arg-type]
        (lambda: Picture.of(PHOTO, Patches), TypeError, "must be Patches"),  # type: ignore[arg-type]
        (lambda: Picture.of(PHOTO, Patches(1, 1), "mean"), TypeError, "must be Fill"),  # type: ignore[arg-type]
        (lambda: Fill("octarine"), ValueError, "unknown colour"),
        (lambda: Fill((1, 2, 300)), ValueError, "from 0 to 255"),
        (lambda: Blur(0), ValueError, "positive number of pixels; got 0"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_cuts_and_occlusions_that_cannot_work_are_told(make, error, words):
    with pytest.raises(error, match=words):
        make()


@pytest.mark.parametrize("granularity", GRANULARITIES)
@pytest.mark.parametrize("occlusion", OCCLUSIONS)
def test_data_gives_back_the_same_picture(granularity, occlusion):
    picture = Picture.of(PHOTO, GRANULARITIES[granularity], OCCLUSIONS[occlusion])
    again = Picture.from_data(json.loads(json.dumps(picture.to_data())))
    assert (np.asarray(again.image) == PHOTO).all() and (again.masks == picture.masks).all()
    assert again.labels == picture.labels and type(again.occlusion) is type(picture.occlusion)
    assert all((shown(again, state) == shown(picture, state)).all() for state in states(len(picture.labels)))


class Negative(ImageOcclusion):
    def counterpart(self, pixels):
        return 255 - pixels


def test_an_occlusion_that_cannot_be_written_leaves_a_picture_to_look_at():
    picture = Picture.of(PHOTO, Patches(1, 2), Negative())
    assert (shown(picture, np.array([False, False])) == 255 - PHOTO).all()
    again = Picture.from_data(picture.to_data())
    assert (np.asarray(again.image) == PHOTO).all()
    with pytest.raises(ValueError, match="loaded without its occlusion"):
        again.render(np.array([False, False]))


def test_missing_libraries_name_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage.segmentation", None)
    with pytest.raises(ImportError, match=r"pip install interpreto_mllm\[image\]"):
        Picture.of(PHOTO, Superpixels(4))
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match=r"pip install interpreto_mllm\[image\]"):
        Picture.of(PHOTO)


def test_paths_may_begin_at_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    Image.fromarray(PHOTO).save(tmp_path / "photo.png")
    assert (read(Path("~/photo.png")) == PHOTO).all()
