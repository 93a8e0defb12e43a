"""The report of a study: what its tables say, what its page shows, and that nothing in it is taken for markup."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from support.run_folders import write_run

from interpreto_mllm.plots.charts import Point, Series, chart, standalone
from interpreto_mllm.studies.report import write_report
from interpreto_mllm.studies.report_data import entries_of, read_runs
from interpreto_mllm.studies.report_tables import Leaderboard, better_than, curves, interval
from interpreto_mllm.studies.tables_page import Link, Sheet, tables_page

GOOD, BAD, CHANCE = [0.9, 0.8, 1.0, 0.9, 0.7, 0.8], [0.3, 0.4, 0.2, 0.5, 0.3, 0.4], [0.35, 0.3, 0.3, 0.4, 0.4, 0.3]


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Two methods, one of them under two budgets and two seeds, beside a random ranking."""
    random = {"random": {"pointing": CHANCE}}
    for seed in (0, 1):
        write_run(tmp_path / "s", "KernelShap", {"pointing": GOOD, "gini": GOOD}, 32, seed, random)
    write_run(tmp_path / "s", "KernelShap", {"pointing": [1.0] * 6, "gini": BAD}, 64, 0, random)
    write_run(tmp_path / "s", "Lime", {"pointing": BAD, "gini": BAD}, 32, 0, random, failing=[2])
    return tmp_path / "s"


def test_runs_that_differ_in_their_seed_are_one_line_and_the_best_comes_first(study: Path) -> None:
    board = Leaderboard.of(entries_of(read_runs([study])))
    assert [one.name for one in board.entries] == ["KernelShap · 64", "KernelShap · 32", "Lime · 32", "random"]
    assert [len(one.runs) for one in board.entries] == [1, 2, 1, 0]
    assert board.metrics == ("pointing", "gini")
    best, middle, worst, chance = (row[0] for row in board.cells)
    assert best is not None and middle is not None and worst is not None and chance is not None
    assert (best.best, middle.best, chance.best) == (True, False, False)
    assert (best.beats_random, middle.beats_random, worst.beats_random, chance.beats_random) == (True, True, False, None)
    assert middle.mean == pytest.approx(np.mean(GOOD)) and middle.low < middle.mean < middle.high
    assert (middle.count, worst.count) == (6, 5)
    assert all(row[1] is None or (row[1].beats_random is None and not row[1].best) for row in board.cells)


def test_intervals_are_those_of_resampled_means() -> None:
    values, generator = np.asarray(GOOD), np.random.default_rng(1)
    means = sorted(np.mean([values[generator.integers(6)] for _ in range(6)]) for _ in range(4000))
    mean, low, high = interval(GOOD)
    assert mean == pytest.approx(values.mean())
    assert (low, high) == pytest.approx((means[100], means[3900]), abs=0.02)
    assert better_than([0.1, 0.2, 0.1]) and not better_than([0.1, -0.2, 0.1])


def test_curves_have_a_point_for_each_budget_and_levels_for_baselines(study: Path) -> None:
    entries = entries_of(read_runs([study]))
    series = {one.label: one for one in curves(entries, "pointing")}
    assert [point.x for point in series["KernelShap"].points] == [32, 64]
    assert (len(series["Lime"].points), series["random"].colour) == (1, None)
    assert curves([one for one in entries if one.budget != "64"], "pointing") == []


def test_the_folder_holds_a_page_tables_plots_and_a_page_for_each_result(study: Path) -> None:
    done = []
    report = write_report([study], progress=lambda number, of: done.append((number, of)))
    assert report.page == study / "report" / "index.html"
    assert {path.name for path in report.files} == {"leaderboard.md", "leaderboard.json", "pointing.svg"}
    assert done[-1] == (6, 6)
    table = json.loads((study / "report" / "leaderboard.json").read_text())["tables"]["leaderboard"]
    assert table["columns"] == ["s", "pointing ↑", "gini", "evaluations", "seconds"]
    assert table["rows"][0][:2] == ["KernelShap · 64", "**1.00 [1.00, 1.00]**"]
    assert table["rows"][2][1].endswith(" ·") and table["rows"][2][3:] == ["32", "0.50"]
    page = report.page.read_text()
    links = [link for link in re.findall(r'href="([^"]+)"', page) if not link.startswith("data:")]
    assert len(links) == len(set(links)) == 6 * 4 - 1 + 6 - 6  # a result each under three entries, one failed; six comparisons
    assert all((study / "report" / link).is_file() for link in links)
    assert write_report(str(study), study / "again", pages=0).page.read_text().count('href="samples/') == 0


def test_what_samples_say_is_text_and_not_markup(study: Path) -> None:
    page = write_report([study], title="<script>alert(1)</script>", about="a < b").page.read_text()

    class Tags(HTMLParser):
        """All tags that a browser would see."""

        found: list[str] = []  # noqa: RUF012

        def handle_starttag(self, tag: str, attrs: object) -> None:
            self.found.append(tag)

    parser = Tags()
    parser.feed(page)
    assert parser.found.count("script") == 2 and "i" in parser.found
    assert "<script>alert" not in page and "<i>yes" not in page and "too <long>" not in page
    assert "&lt;b&gt;red&lt;/b&gt; &amp; round" in page and "too &lt;long&gt;" in page
    assert "http://" not in page.replace("http://www.w3.org", "") and "https://" not in page


def test_a_report_needs_no_whole_results_and_no_metrics(tmp_path: Path) -> None:
    write_run(tmp_path, "Lime", {"pointing": [0.5]}, archives=False)
    page = write_report([tmp_path]).page.read_text()
    assert "With 1 sample, intervals say little" in page and 'href="samples' not in page
    folder = write_run(tmp_path / "none", "Lime", {"pointing": [0.5, 0.5]}, failing=[0, 1])
    assert "No metrics were measured" in write_report([folder]).page.read_text()


def test_folders_that_are_none_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="There is no folder"):
        read_runs([tmp_path / "missing"])
    with pytest.raises(ValueError, match="holds no runs"):
        read_runs([tmp_path])
    folder = write_run(tmp_path, "Lime", {"pointing": [0.5]})
    assert len(read_runs([tmp_path, folder])) == 1
    (folder / "costs.jsonl").write_text('{"identity": "00000", "seconds": 1}\n{"ident')
    assert read_runs([folder])[0].costs["00000"]["seconds"] == 1
    (folder / "samples" / "00000.json").write_text('{"identity": ')
    with pytest.raises(ValueError, match=r"00000.json cannot be read"):
        read_runs([folder])


def test_charts_are_drawn_to_scale_and_their_labels_are_escaped() -> None:
    points = (Point(10.0, 0.0, 0.0, 0.0), Point(100.0, 1.0, 0.5, 1.5))
    svg = chart("a < b", [Series("<me>", points, 0), Series("level", (Point(1.0, 0.75, 0.7, 0.8),), None)], "evaluations")
    assert "a &lt; b" in svg and "&lt;me&gt;" in svg and "<me>" not in svg
    [line] = re.findall(r'polyline points="([^"]+)"', svg)
    (x0, y0), (x1, y1) = (tuple(map(float, pair.split(","))) for pair in line.split())
    [level] = re.findall(r'y1="([\d.]+)" y2="[\d.]+" stroke="#8b919b"', svg)
    assert x1 > x0 and y1 < y0 and float(level) == pytest.approx(y0 + 0.75 * (y1 - y0), abs=0.1)
    assert standalone(svg).startswith("<svg") and "<style>" in standalone(svg)


def test_a_page_of_tables_shows_text_as_text() -> None:
    link = Link("samples/a.html", "<why>", "→ it")
    page = tables_page("t", "a < b", [Sheet(["x", "y"], [["KernelShap", "**<1>**"]])], ["<svg></svg>"], [link], ["2 cores"])
    for text in ("a &lt; b", "<b>&lt;1&gt;</b>", "Kernel<wbr>Shap", "&lt;why&gt;", "<svg></svg>", "<span>2 cores</span>"):
        assert text in page
