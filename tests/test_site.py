"""The check of the built site finds what a reader would stumble over."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium")
if CHROMIUM is None:
    pytest.skip("no chromium", allow_module_level=True)

sys.path.insert(0, str(Path(__file__).parent.parent / "docs"))

from check_site import faults, served  # noqa: E402

from interpreto_mllm import Occlusion, compare  # noqa: E402
from interpreto_mllm.testbed import load_recall  # noqa: E402

GOOD = '<table><tr><td>whole words</td></tr></table><img src="dot.svg" alt="a dot"><iframe title="page"></iframe>'
BAD = {
    "breaks the word": '<table><tr><td style="max-width: 20px; word-break: break-all">scores</td></tr></table>',
    "wider than the window": '<div style="width: 2000px">wide</div>',
    "a table that is cut": '<div style="overflow: hidden"><table style="width: 2000px"><tr><td>wide</td></tr></table></div>',
    "shows a comment": "<p>&lt;!-- cell --&gt;</p>",
    "lacks the picture": '<img src="none.svg" alt="nothing">',
    "does not describe the picture": '<img src="dot.svg">',
    "a frame without a title": "<iframe></iframe>",
}


def test_the_check_of_the_site_finds_each_fault_and_no_other(tmp_path: Path) -> None:
    (tmp_path / "dot.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg" width="4" height="4"/>')
    for name, body in enumerate([GOOD, *BAD.values()]):
        (tmp_path / f"{name}.html").write_text(f"<!doctype html><body><article>{body}</article>")
    with served(tmp_path) as address, sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        found = [list(faults(page, f"{address}/{name}.html")) for name in range(len(BAD) + 1)]
        browser.close()
    assert found[0] == []
    assert [any(told in one for one in found[1 + place]) for place, told in enumerate(BAD)] == [True] * len(BAD)


def test_the_tables_of_result_pages_keep_their_words(tmp_path: Path) -> None:
    """Those of a comparison, and of the settings with which a result was computed."""
    [explanation] = Occlusion(*load_recall(), progress=False)("the apple is red . what is the apple ?", " red")
    explanation.to_html(tmp_path / "page.html")
    compare([explanation] * 3, ["ExactShapley", "PermutationShapley", "Occlusion"]).to_html(tmp_path / "compared.html")
    with served(tmp_path) as address, sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        found = [fault for name in ("page", "compared") for fault in faults(browser.new_page(), f"{address}/{name}.html")]
        browser.close()
    assert found == []
