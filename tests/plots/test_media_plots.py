"""Pictures of results with images and clips: every pixel and sample shows the scores of what covers it."""

from __future__ import annotations

import base64
import io
import itertools
import json
import re
import wave
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from interpreto_mllm import (
    Attribution,
    Boxes,
    Clip,
    Feature,
    Masks,
    Patches,
    Picture,
    SplitOnSilence,
    SpokenWords,
    WholeImage,
    Windows,
    play,
)
from interpreto_mllm.aggregators import ShapleyAggregator
from interpreto_mllm.perturbators import ExactPerturbator
from interpreto_mllm.plots.areas import caption, covers, entries, name, overlaps
from interpreto_mllm.plots.clip import names
from interpreto_mllm.plots.colours import AGAINST, TOWARDS
from interpreto_mllm.plots.flow import flow
from interpreto_mllm.plots.outline import outline, svg_path
from interpreto_mllm.plots.pieces import folded, pieces
from interpreto_mllm.plots.scores import shown_scores

RNG = np.random.default_rng(0)
PHOTO = RNG.integers(0, 256, (8, 12, 3), dtype=np.uint8)
MASKS = np.zeros((3, 8, 12), dtype=bool)
MASKS[0, 1:6, 1:7] = MASKS[1, 3:8, 4:10] = MASKS[2, 0:4, 6:12] = True
WAVE = (RNG.standard_normal(1600) * 0.2).astype(np.float32)
WORDS = SpokenWords([("low", 0.1, 0.5), ("high", 0.4 + 0.1, 0.9), ("<b>", 1.0, 1.4)])


def explained(features: list[Feature], media, scores, text: str = "", **named) -> Attribution:
    """An additive game, so that the Shapley values are the scores."""
    scores = torch.tensor(scores, dtype=torch.float64)
    scores = scores[:, None] if scores.ndim == 1 else scores
    result = play(
        lambda s: s.double() @ scores, ExactPerturbator(), ShapleyAggregator(), n_features=len(features), progress=False
    )
    targets = named.pop("targets", [f" t{index}" for index in range(scores.shape[1])])
    options = {"unit": "token", "mode": "log_softmax", "targets": targets, **named}
    return replace(result, features=features, media=tuple(media), text=text, **options)


def words(text: str, **named) -> list[Feature]:
    return [Feature(found.group(), (found.span(),), **named) for found in re.finditer(r"\w+", text)]


@cache
def overlapping() -> Attribution:
    picture = Picture.of(PHOTO, Masks(MASKS))
    text = "what is it ?"
    scores = [[1.0, -0.5], [0.75, 0.25], [-0.5, -1.0], [0.1, 0.2], [0.0, 0.3], [0.4, 0.0]]
    return explained(picture.features(0) + words(text), [picture], scores, text)


@cache
def chat() -> Attribution:
    media = [Picture.of(PHOTO, Patches(2, 3)), Clip.of(WAVE, 1000, WORDS), Picture.of(PHOTO, WholeImage())]
    text = "<u>" + "<image>" * 9 + "look here</u><a>yes</a><u>and now ?</u><a>"
    turns = {"look": 0, "here": 0, "and": 2, "now": 2}
    spoken = [replace(feature, role="user", turn=turns[feature.text]) for feature in words(text) if feature.text in turns]
    features = media[0].features(0, "user", 0) + media[1].features(1, "user", 0) + media[2].features(2, "user", 2) + spoken
    return explained(features, media, [0.1 * (-1) ** i * i for i in range(len(features))], text, targets=["<script>"])


def alone(medium: Picture | Clip, scores, **named) -> Attribution:
    return explained(medium.features(0), [medium], scores, **named)


CASES = {
    "overlapping": overlapping(),
    "chat": chat(),
    "no text": alone(Picture.of(PHOTO, Boxes([(0, 0, 3, 3)])), [0.0]),
    "pauses": alone(Clip.of(WAVE, 1000, SplitOnSilence()), [1.0], unit="class"),
}


def test_every_pixel_and_sample_shows_the_sum_of_what_covers_it():
    attribution = overlapping()
    for row in shown_scores(attribution):
        [picture] = attribution.media
        assert isinstance(picture, Picture)
        each = entries(attribution, 0)
        for y, x in itertools.product(range(8), range(12)):
            covering = [k for k in range(3) if MASKS[k, y, x]]
            entry = each[picture.areas[0][y, x]]
            assert (entry is None) == (not covering)
            assert entry is None or row.value(entry) == pytest.approx(sum(row.scores[k] for k in covering))
    clip = Clip.of(WAVE, 1000, lambda samples, rate: [(0, 900), (300, 500), (400, 1200)])
    attribution = explained(clip.features(0), [clip], [1.0, 2.0, -4.0])
    [row], each = shown_scores(attribution), entries(attribution, 0)
    for sample in range(0, 1600, 7):
        covering = [k for k, (start, end) in enumerate(clip.segments) if start <= sample < end]
        [entry] = [entry for (start, end, _), entry in zip(clip.areas, each, strict=True) if start <= sample < end]
        assert (None if entry is None else row.value(entry)) == (sum([1, 2, -4][k] for k in covering) if covering else None)


def test_many_masks_have_areas_too():
    masks = RNG.random((70, 5, 6)) < 0.3
    masks[:, 0, 0] = True
    picture = Picture.of(PHOTO[:5, :6], Masks(masks))
    areas, cover = picture.areas
    assert all((cover[areas[y, x]] == masks[:, y, x]).all() for y, x in itertools.product(range(5), range(6)))
    assert len(cover) == len({masks[:, y, x].tobytes() for y, x in itertools.product(range(5), range(6))})


def test_the_scale_ends_at_the_largest_sum_and_is_shared_by_words():
    whole, first, _ = shown_scores(overlapping())
    together = {tuple(k for k in range(3) if MASKS[k, y, x]) for y in range(8) for x in range(12)}
    assert set(overlaps(overlapping())) == {cover for cover in together if len(cover) > 1}
    assert first.bound == pytest.approx(1.75)
    assert first.share(5) == pytest.approx(0.4 / 1.75)
    assert whole.bound == pytest.approx(max(abs(0.5 + 1.0), abs(1.0 - 1.5), 1.5))
    assert "±" not in first.text(6)


def test_a_group_colours_all_its_pieces():
    picture = Picture.of(PHOTO, Patches(2, 2))
    features = [
        Feature("left", modality="image", pieces=((0, 0), (0, 2))),
        Feature("right", modality="image", pieces=((0, 3),)),
    ]
    attribution = explained(features, [picture], [1.0, -2.0])
    found = {tuple(np.argwhere(picture.areas[0] == area)[0]): cover for area, cover in enumerate(covers(attribution, 0))}
    assert found == {(0, 0): (0,), (0, 6): (), (4, 0): (0,), (4, 6): (1,)}


def inside(loops, x: float, y: float) -> bool:
    """Even-odd rule: how many vertical sides lie to the right."""
    crossed = 0
    for loop in loops:
        for (x0, y0), (x1, y1) in zip(loop, [*loop[1:], loop[0]], strict=True):
            assert (x0 == x1) != (y0 == y1)
            crossed += x0 == x1 and x0 > x and min(y0, y1) < y < max(y0, y1)
    return crossed % 2 == 1


@pytest.mark.parametrize("seed", range(8))
def test_outlines_enclose_exactly_their_masks(seed):
    mask = np.random.default_rng(seed).random((7, 9)) < 0.15 + 0.1 * seed
    loops = outline(mask)
    for y, x in itertools.product(range(7), range(9)):
        assert inside(loops, x + 0.5, y + 0.5) == mask[y, x]
    drawn = []
    for part in svg_path(mask).split("Z")[:-1]:
        x, y = map(int, re.match(r"M(\d+) (\d+)", part).groups())  # type: ignore[union-attr]
        loop = [(x, y)]
        for axis, place in re.findall(r"([HV])(\d+)", part):
            x, y = (int(place), y) if axis == "H" else (x, int(place))
            loop.append((x, y))
        drawn.append(loop)
    assert drawn == loops


def test_media_stand_before_the_text_of_their_turn():
    found = [(piece.medium, piece.text, piece.heading) for piece in pieces(chat())]
    assert found == [
        (None, "<u><image>×9", None), (0, "", "user"), (1, "", None), (None, "look", None), (None, " ", None),
        (None, "here", None), (None, "</u><a>yes</a><u>", None), (2, "", "user"), (None, "and", None), (None, " ", None),
        (None, "now", None), (None, " ?</u><a>", None),
    ]  # fmt: skip
    assert [piece.medium for piece in pieces(overlapping())][:2] == [0, None]
    picture = Picture.of(PHOTO, WholeImage())
    last = explained(words("hello", turn=0, role="user") + picture.features(0, "user", 2), [picture], [1.0, 1.0], "hello <u>")
    assert [(piece.text, piece.medium) for piece in pieces(last)] == [("hello", None), (" <u>", None), ("", 0)]


def test_placeholders_are_folded_and_nothing_else():
    assert folded("[IMG][IMG][BREAK]" * 5 + "[END]") == "[IMG][IMG][BREAK]×5[END]"
    assert folded("<a><a><a> so so so so ha ha ha ha ......") == "<a><a><a> so so so so ha ha ha ha ......"


def test_names_say_of_which_image_or_clip():
    attribution = chat()
    assert [caption(attribution, medium) for medium in range(3)] == ["image 1", "clip", "image 2"]
    assert name(attribution, 0) == "image 1, row 1, column 1" and name(attribution, 6) == "clip, low"
    both = overlaps(overlapping()).index((0, 1))
    assert name(overlapping(), 0) == "mask 1" and name(overlapping(), 6 + both) == "mask 1 + mask 2"
    louder = replace(attribution, attributions=attribution.attributions * torch.tensor([1.0] * 8 + [90.0] + [1.0] * 5))
    assert "clip, <b> +72, " in repr(louder)


@pytest.mark.parametrize("case", CASES)
def test_the_page_shows_every_area_with_its_score_and_fetches_nothing(case, tmp_path):
    attribution = CASES[case]
    attribution.to_html(tmp_path / "page.html")
    source = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert not re.search(r"https?://|@import|url\(|src=\"(?!data:)|href=\"(?!data:)", source)
    assert source.count("<script") == 2 and "<b>" not in source.split("<h2>", 1)[1]
    data = json.loads(re.search(r'application/json">(.*?)</script>', source, re.DOTALL).group(1))  # type: ignore[union-attr]
    shown = shown_scores(attribution)
    assert np.frombuffer(base64.b64decode(data["scores"])).tolist() == attribution.attributions.flatten().tolist()
    assert [sum(shown[0].scores[feature] for feature in cover) for cover in data["overlaps"]] == shown[0].sums
    assert data["names"] == [name(attribution, entry) for entry in range(attribution.n + len(data["overlaps"]))]
    drawn = [int(entry) for entry in re.findall(r'class="area [\w ]+" data-feature="(\d+)"', source)]
    expected = [entry for medium in range(len(attribution.media)) for entry in entries(attribution, medium)]
    assert sorted(drawn) == sorted(entry for entry in expected if entry is not None)
    for entry, told in re.findall(r'data-feature="(\d+)"[^>]*><title>(.*?)</title>', source):
        assert told.endswith(f"  {shown[0].readable(int(entry))}")


def test_the_page_plays_the_clip():
    source = chat()._repr_html_()
    [data] = re.findall(r'src="data:audio/wav;base64,([^"]*)"', source)
    with wave.open(io.BytesIO(base64.b64decode(data))) as sound:
        assert (sound.getnchannels(), sound.getframerate(), sound.getnframes()) == (1, 1000, 1600)
        heard = np.frombuffer(sound.readframes(1600), dtype="<i2") / 32767
    assert np.abs(heard - WAVE).max() <= 1 / 65534 + 1e-6
    assert [float(start) for start in re.findall(r'data-start="([\d.]+)"', source)] == [0.1, 0.5, 1.0]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("numbers", [False, True])
def test_every_case_is_drawn(case, numbers, tmp_path):
    pytest.importorskip("matplotlib")
    for target in (None, -1):
        CASES[case].plot(tmp_path / "picture.png", target=target, numbers=numbers)
        assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


def test_the_heat_map_mixes_grey_with_the_colour_of_the_sum():
    pytest.importorskip("matplotlib")
    attribution = overlapping()
    figure = attribution.plot(target=0)
    original, heat = [axes.images[0].get_array() for axes in figure.axes if axes.images][:2]
    assert (np.asarray(original) == PHOTO).all()
    grey = np.asarray(attribution.media[0].image.convert("L"))  # type: ignore[union-attr]
    scores = attribution.attributions[0].tolist()
    for y, x in itertools.product(range(8), range(12)):
        share = sum(scores[k] for k in range(3) if MASKS[k, y, x]) / 1.75
        for channel in range(3):
            under = 120 + int(grey[y, x]) * 135 / 255
            ink = (TOWARDS if share > 0 else AGAINST)[channel]
            assert abs(heat[y, x, channel] - (under + (ink - under) * 0.78 * abs(share))) <= 1
    assert [text.get_text() for axes in figure.axes for text in axes.get_xticklabels()][-3:] == ["−1.75", "0", "+1.75"]


def test_numbers_are_written_where_they_fit():
    pytest.importorskip("matplotlib")
    picture = Picture.of(np.zeros((60, 60)), Patches(2, 2))
    figure = explained(picture.features(0), [picture], [1.0, -0.5, 0.25, 0.0]).plot(numbers=True)
    assert {"+1.0", "−0.5", "+0.2", "0.0"} <= {text.get_text() for axes in figure.axes for text in axes.texts}
    fine = Picture.of(np.zeros((60, 60)), Boxes([(k, 0, k + 1, 60) for k in range(10)]))
    figure = explained(fine.features(0), [fine], [1.0] * 10).plot(numbers=True)
    assert "+1.0" not in {text.get_text() for axes in figure.axes for text in axes.texts}


def test_the_title_says_which_target():
    pytest.importorskip("matplotlib")
    attribution = overlapping()
    assert attribution.plot().texts[0].get_text() == "t0 t1"
    assert attribution.plot(target=1).texts[0].get_text() == "t1"
    assert attribution.plot(target=1).texts[1].get_text().startswith("Shapley value (nats)")
    classes = replace(attribution, unit="class")
    assert "the first of 2 targets" in classes.plot().texts[0].get_text()
    with pytest.raises(ValueError, match="no target 5"):
        attribution.plot(target=5)


@pytest.mark.parametrize("width", [4, 11, 30])
def test_text_flows_within_its_lines_and_loses_no_word(width):
    text = "a prompt, of   several words\nand an incomprehensibilities line"
    stretches = [(text[:9], 0), (text[9:17], 1), (text[17:], 2)]
    placed = flow(stretches, width, len)
    assert "".join(bit.text for bit in placed if not bit.text.isspace()) == "".join(text.split())
    for line in range(placed[-1].line + 1):
        bits = [bit for bit in placed if bit.line == line]
        assert all(one.left + one.width == other.left for one, other in itertools.pairwise(bits))
        longest = "".join(bit.text for bit in bits).split()
        assert not bits or bits[-1].left + bits[-1].width <= width or len(longest) == 1


def test_names_of_segments_never_overlap():
    clip = Clip.of(WAVE, 1000, SpokenWords([(f"word{k}" * (k % 3 + 1), k * 0.1, k * 0.1 + 0.09) for k in range(15)]))
    character = 0.012
    spans = [(tier, middle, (len(text) + 1) * character) for text, middle, tier in names(clip, character)]
    assert len(spans) > 3
    for (tier, a, wide), (other, b, wider) in itertools.combinations(spans, 2):
        assert tier != other or abs(a - b) >= (wide + wider) / 2 - 1e-9
    assert names(Clip.of(WAVE, 1000, Windows(200)), character) == []


def printed(attribution: Attribution) -> str:
    from rich.console import Console

    from interpreto_mllm.plots.terminal import coloured

    console = Console(file=io.StringIO(), force_terminal=True, color_system="truecolor", width=200, legacy_windows=False)
    console.print(coloured(attribution))
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_the_terminal_shows_grids_lists_and_bars():
    picture = Picture.of(PHOTO, Patches(2, 2))
    shown = printed(explained(picture.features(0), [picture], [1.0, -1.0, 0.5, 0.0]))
    cells = re.findall(r"48;2;(\d+);(\d+);(\d+)m ?([+−][\d.]+)", shown)
    assert cells[0] == (*map(str, TOWARDS), "+1.0") and cells[1] == (*map(str, AGAINST), "−1.0")
    plain = re.sub(r"\x1b\[[\d;]*m", "", printed(overlapping()))
    assert " mask 1 + mask 2 +1.5 " in plain
    plain = re.sub(r"\x1b\[[\d;]*m", "", printed(chat()))
    assert re.search(r"clip [▁▂▃▄▅▆▇█]{64} 1\.60 s", plain)
    assert plain.index("image 1") < plain.index("look") < plain.index("image 2") < plain.index("now")


def test_results_keep_their_media_in_files(tmp_path):
    attribution = chat()
    attribution.save(tmp_path / "result.json")
    again = Attribution.load(tmp_path / "result.json")
    assert again.features == attribution.features
    assert again._repr_html_() == attribution._repr_html_()
    for one, two in zip(attribution.media, again.media, strict=True):
        state = np.arange(len(one.labels)) % 2 == 0
        assert type(one) is type(two) and one.key(state) == two.key(state)
    assert all((again.media[0].masks == attribution.media[0].masks).flat)  # type: ignore[union-attr]


def test_files_from_before_there_were_media_are_read(tmp_path):
    explained(words("a b"), [], [1.0, 2.0], "a b").save(tmp_path / "old.json")
    content = json.loads((tmp_path / "old.json").read_text())
    del content["media"]
    (tmp_path / "old.json").write_text(json.dumps(content))
    assert Attribution.load(tmp_path / "old.json").media == ()


def test_views_keep_the_media_and_features_without_their_medium_are_told():
    attribution = overlapping()
    assert attribution.span().media == attribution.normalized("abs_sum").media == attribution.media
    assert attribution.to_frame().modality.tolist()[:6] == ["image"] * 3 + ["text"] * 3
    with pytest.raises(ValueError, match="piece 1 of medium 0, which media does not hold"):
        replace(attribution, media=(Picture.of(PHOTO, WholeImage()),))
