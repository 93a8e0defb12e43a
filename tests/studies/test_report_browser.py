"""The report of a study in a real browser: sorted, searched, and linked to the page of each sample."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.browser import FLAWS, SCHEMES, WIDTHS, violations
from support.run_folders import write_run

from interpreto_mllm.studies.report import write_report

GOOD, BAD, CHANCE = (
    [0.9, 0.8, 1.0, 0.9, 0.7, 0.8] * 10,
    [0.3, 0.4, 0.2, 0.5, 0.3, 0.4] * 10,
    [0.35, 0.3, 0.3, 0.4, 0.4, 0.3] * 10,
)
SHOWN = 50


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two methods under two budgets beside a random ranking, on 60 samples, one of which failed; two have pages."""
    folder, random = tmp_path_factory.mktemp("study"), {"random": {"pointing": CHANCE}}
    for budget, values in ((32, GOOD), (64, [1.0] * 60)):
        write_run(folder, "KernelShap", {"pointing": values, "precision@3": values, "gini": BAD}, budget, 0, random)
        write_run(folder, "Lime", {"pointing": BAD, "precision@3": BAD, "gini": GOOD}, budget, 0, random, failing=[2])
    return write_report([folder], pages=2, title="A study").page


def test_the_leaderboard_is_sorted_and_parts_are_shown_on_request(opened, report: Path) -> None:
    page = opened.file(report)
    names = page.locator(".board tbody th")
    assert names.all_text_contents() == ["KernelShap · 64", "KernelShap · 32", "Lime · 32", "Lime · 64", "random"]
    head = page.locator(".board thead button", has_text="pointing")
    head.click()
    head.click()
    assert names.all_text_contents()[-1] == "KernelShap · 64"
    assert page.locator(".board thead th[aria-sort]").get_attribute("aria-sort") == "ascending"
    assert page.locator(".board .range").first.is_visible() and page.locator(".board small").count() > 0
    part = page.locator(".board thead button", has_text="precision@3")
    assert part.is_hidden()
    page.check(".details")
    assert part.is_visible()


def test_a_key_of_the_curves_fades_the_others(opened, report: Path) -> None:
    page = opened.file(report)
    page.locator(".keys button", has_text="Lime").click()
    faded = page.eval_on_selector_all("g.faded", "all => all.map(one => one.dataset.series)")
    assert faded and "Lime" not in faded and "KernelShap" in faded
    page.locator(".keys button", has_text="Lime").click()
    assert page.locator("g.faded").count() == 0


def test_samples_are_found_filled_by_a_metric_and_lead_to_their_pages(opened, report: Path) -> None:
    page = opened.file(report)
    rows = page.locator(".samples tbody tr:visible")
    assert rows.count() == SHOWN
    page.click(".more")
    assert rows.count() == 60
    page.fill(".tools .find", "00007")
    assert rows.count() == 1 and rows.first.locator("th").inner_text() == "00007"
    page.fill(".tools .find", "")
    assert page.locator(".samples .failed").first.get_attribute("title") == "too <long>"
    before = rows.first.inner_text()
    page.locator(".metric").select_option(label="gini")
    assert rows.first.inner_text() != before
    page.locator(".samples tbody td a").first.click()
    page.wait_for_url("**/samples/**")
    assert page.locator(".prompt mark").count() == 6
    page.go_back()
    page.locator(".samples tbody th a").first.click()
    page.wait_for_url("**/samples/all/**")
    assert page.locator(".compared section").count() == 4


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_overflows_overlaps_or_is_cut(opened, report: Path, width: int) -> None:
    page = opened.file(report, width)
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate(FLAWS) == []


@pytest.mark.parametrize("scheme", SCHEMES)
def test_axe_finds_nothing(opened, report: Path, scheme: str) -> None:
    assert violations(opened.file(report, scheme=scheme)) == []
