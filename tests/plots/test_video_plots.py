"""Videos in figures, on pages and in terminals: every pixel of every frame shows the scores of what covers it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.pages import explained

from interpreto_mllm import Attribution, Frames, TimeSpans, Tubes, Video
from interpreto_mllm.core.feature import Feature
from interpreto_mllm.plots.areas import caption, covers, entries, name
from interpreto_mllm.plots.strip import GAP, shown_frames, strip
from interpreto_mllm.plots.terminal import coloured

FILM = np.random.default_rng(0).integers(0, 256, (4, 8, 12, 3), dtype=np.uint8)
GIVEN = {"frames": FILM, "fps": 2}


def shown(video: Video, *scores: float, **named) -> Attribution:
    """A result of a word and the pieces of a video."""
    features = [*video.features(0), Feature("what", ((0, 4),))]
    return replace(explained([[*scores, 0.25]], features, "what ?", **named), media=(video,))


def test_the_strip_shows_every_frame_and_what_covers_it() -> None:
    tubes = Video.of(GIVEN, Tubes(2, 2, seconds=1.0))
    image, areas = strip(tubes)
    assert image.size == (4 * 12 + 3 * GAP, 8)
    attribution = shown(tubes, *range(8))
    each = [*covers(attribution, 0), ()]
    for frame, row, column in np.ndindex(4, 8, 12):
        x = frame * (12 + GAP) + column
        assert image.getpixel((x, row)) == tuple(FILM[frame, row, column])
        assert each[areas[row, x]] == (4 * (frame // 2) + 2 * (row // 4) + column // 6,)
    assert {each[area] for area in areas[:, 12 : 12 + GAP].ravel()} == {()}


def test_pieces_that_overlap_show_their_sum() -> None:
    both = Video.of(GIVEN, lambda frames, times: [(0, 3), (2, 4)])
    attribution = shown(both, 1.0, 2.0)
    assert [(first, end, pieces) for first, end, _, pieces in both.areas] == [(0, 2, (0,)), (2, 3, (0, 1)), (3, 4, (1,))]
    assert entries(attribution, 0) == [0, 3, 1]
    assert name(attribution, 3) == "video, 0.00–1.50 s + video, 1.00–2.00 s"


@pytest.mark.parametrize("cut", [Frames(), TimeSpans(1.0), Tubes(2, 2)])
def test_pages_figures_and_files_hold_the_video(cut, tmp_path: Path) -> None:
    video = Video.of(GIVEN, cut)
    attribution = shown(video, *np.linspace(-1, 1, len(video.labels)))
    attribution.to_html(tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.count('class="picture strip"') == 1
    assert all(f'data-feature="{index}"' in page for index in range(attribution.n))
    attribution.plot(tmp_path / "figure.png", numbers=True)
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    attribution.save(tmp_path / "result.json")
    again = Attribution.load(tmp_path / "result.json")
    assert again.features == attribution.features and (again.media[0].footage.frames == FILM).all()
    assert caption(again, 0) == "video"


def test_the_terminal_lists_pieces() -> None:
    from rich.console import Console

    console = Console(width=200)
    with console.capture() as captured:
        console.print(coloured(shown(Video.of(GIVEN, TimeSpans(1.0)), 1.0, -0.5)))
    text = captured.get()
    assert "0.00–1.00 s +1.0" in text and "1.00–2.00 s −0.5" in text


def test_of_many_frames_some_are_shown() -> None:
    many = Video.of({"frames": np.zeros((60, 8, 8, 3)), "fps": 2}, TimeSpans(count=3))
    image, areas = strip(many)
    assert image.size == (8 * 8 + 7 * GAP, 3 * 8 + 2 * GAP) and len(shown_frames(60)) == 24
    assert {*np.unique(areas)} == {0, 1, 2, 3}
