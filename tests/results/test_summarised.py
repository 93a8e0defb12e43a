"""Many prompts at once: shares and means by hand, intervals that hold, and pages that show them."""

from __future__ import annotations

import statistics
from pathlib import Path

import numpy as np
import pytest
import torch
from support.pages import explained, worded

from interpreto_mllm import Summary
from interpreto_mllm.attribution import Attribution

FIVE = [
    explained([[4.0, -1.0, 0.0]], worded("Red, the the", role="user"), "Red, the the"),
    explained([[1.0, 1.0]], worded("red blue", role="user"), "red blue"),
    explained([[-2.0]], worded("blue", role="system"), "blue"),
    explained([[0.0, 0.0]], worded("the red", role="user"), "the red"),
    explained([[3.0, 1.0], [0.0, 1.0]], worded("the red", role="user"), "the red", targets=["a", "b"]),
]


def test_entries_are_shares_of_all_prompts() -> None:
    """A prompt without a word counts as none of it; a prompt whose scores are all zero has no shares."""
    summary = Summary(FIVE)
    found = {entry.name: entry for entry in summary.entries}
    assert found["red"].share == pytest.approx((4 / 5 + 1 / 2 + 0 + 0 + 2 / 5) / 5)
    assert found["red"].scores == pytest.approx((4 / 5, 1 / 2, 0, 2 / 5))
    assert found["red"].mean == pytest.approx(statistics.mean((4 / 5, 1 / 2, 0, 2 / 5)))
    assert found["the"].scores == pytest.approx((-1 / 5, 0, 3 / 5)) and found["blue"].scores == pytest.approx((1 / 2, -1))
    assert [entry.name for entry in summary.entries] == ["red", "blue", "the"]
    plain = {entry.name: entry for entry in Summary(FIVE, relative=False).entries}
    assert plain["red"].scores == pytest.approx((4, 1, 0, 2)) and plain["red"].share == pytest.approx(found["red"].share)


def test_other_groups_add_up_too() -> None:
    roles = {entry.name: entry.scores for entry in Summary(FIVE, by="role", relative=False).entries}
    assert roles == {"user": (3.0, 2.0, 0.0, 5.0), "system": (-2.0,)}


def test_intervals_hold_the_mean_of_the_population() -> None:
    """Of a word whose score is drawn anew in each prompt, in nine of ten data sets or more."""
    random, held = np.random.default_rng(0), 0
    for _ in range(60):
        scores = random.normal(0.3, 1.0, (40, 1)).tolist()
        [entry] = Summary([explained([row], worded("word"), "word") for row in scores], relative=False).entries
        assert entry.mean_interval is not None
        held += entry.mean_interval[0] <= 0.3 <= entry.mean_interval[1]
    assert 53 <= held <= 60


def test_intervals_are_seeded_and_need_five_prompts() -> None:
    one, two = (Summary(FIVE, seed=3).entries[0].share_interval for _ in range(2))
    assert one is not None and one == two and one[0] < Summary(FIVE).entries[0].share < one[1]
    assert Summary(FIVE[:4]).entries[0].share_interval is None


def test_tables_pages_and_pictures(tmp_path: Path) -> None:
    hostile = "<script>$_{"
    results = [*FIVE, explained([[1.0]], worded(hostile), hostile)]
    summary = Summary(results)
    frame = summary.to_frame()
    assert frame["feature"].tolist() == [entry.name for entry in summary.entries]
    assert sum(frame["share"].tolist()) <= 1 and frame["prompts"].tolist()[0] == 4
    summary.to_html(tmp_path / "summary.html")
    page = (tmp_path / "summary.html").read_text(encoding="utf-8")
    assert page.count("<circle") == sum(len(entry.scores) for entry in summary.entries)
    assert "<script" not in page and "&lt;script" in page
    [axes] = summary.plot(tmp_path / "summary.pdf", width=3.4).axes
    points = [collection.get_offsets()[:, 0].tolist() for collection in axes.collections]
    assert points == [pytest.approx(list(entry.scores)) for entry in summary.entries]
    [axes] = summary.plot(kind="bars", top=2).axes
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([100 * entry.share for entry in summary.entries[:2]])
    assert repr(summary).splitlines()[1].startswith("  red: 28.3 % [")


def test_what_cannot_be_summarised_is_refused() -> None:
    classes = explained([[1.0], [2.0]], worded("a"), "a", unit="class")
    with pytest.raises(ValueError, match=r"results\[1\].*2 targets that are no single answer"):
        Summary([FIVE[0], classes])
    with pytest.raises(ValueError, match="takes a list of results"):
        Summary([])
    with pytest.raises(ValueError, match="by is 'feature', 'source'"):
        Summary(FIVE, by="colour")
    with pytest.raises(ValueError, match="kind is 'beeswarm' or 'bars'"):
        Summary(FIVE).plot(kind="pie")
    with pytest.raises(ValueError, match="level must lie between 0 and 1"):
        Summary(FIVE, level=95)


def test_results_stay_as_they_are() -> None:
    before = FIVE[0].attributions.clone()
    assert isinstance(Summary(FIVE).rows[0], Attribution) and torch.equal(FIVE[0].attributions, before)
