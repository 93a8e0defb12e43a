"""Pages in the system's Chromium."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

OPTIONS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync")
WIDTHS = (360, 800, 1440)
SCHEMES = ("light", "dark")


FLAWS = """() => {
  const flaws = [], seen = one => one.getClientRects().length && getComputedStyle(one).visibility !== "hidden";
  const inside = one => one.closest(".wide, .clip, .targets, .minimap, svg, h1, details:not([open])");
  const told = one => one.textContent.trim().slice(0, 30);
  const wide = document.scrollingElement.clientWidth;
  if (document.scrollingElement.scrollWidth > wide) flaws.push(`the page is ${document.scrollingElement.scrollWidth} wide`);
  for (const one of document.querySelectorAll("button, input, select, a[href], summary")) {
    if (!seen(one) || inside(one)) continue;
    const box = one.getBoundingClientRect();
    if (box.left < -1 || box.right > wide + 1) flaws.push(`out of reach: ${told(one)}`);
    if (box.width < 8 || box.height < 8) flaws.push(`too small: ${told(one)}`);
  }
  for (const one of document.querySelectorAll("h2, h3, p, .facts span, .hint, label, .score, .turn, figcaption, td, th")) {
    if (!seen(one) || one.closest("h1, svg")) continue;
    const fading = getComputedStyle(one).textOverflow === "ellipsis";
    if (one.clientWidth && one.scrollWidth > one.clientWidth + 1 && !fading) flaws.push(`clipped: ${told(one)}`);
  }
  const texts = ".facts > *, .for > *, .tools > *, .bars li, .totals li, h2, .turn, .note, .pairs li";
  const boxes = [...document.querySelectorAll(texts)].filter(one => seen(one) && !inside(one) && !one.closest(".answer"))
    .map(one => [one, one.getBoundingClientRect()]);
  boxes.forEach(([one, a], index) => boxes.slice(index + 1).forEach(([two, b]) => {
    if (one.contains(two) || two.contains(one)) return;
    const across = Math.min(a.right, b.right) - Math.max(a.left, b.left);
    const down = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
    if (across > 2 && down > 2) flaws.push(`${told(one)} over ${told(two)}`);
  }));
  for (const text of document.querySelectorAll(".attribution *")) {
    if (!seen(text) || ![...text.childNodes].some(one => one.nodeType === 3 && one.data.trim())) continue;
    if (parseFloat(getComputedStyle(text).fontSize) < 10) flaws.push(`tiny: ${told(text)}`);
  }
  return flaws;
}"""
"""A function that lists what is too wide, out of reach, too small, cut, tiny, or over something else on a page."""


@contextmanager
def chromium() -> Iterator[Any]:
    """The browser, or a test that is skipped where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api")
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("no chromium")
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=list(OPTIONS))
        yield running
        running.close()


class Opened:
    """Opens pages of results, and those of files.

    Args:
        browser: the browser.
        folder: for the files of pages.
    """

    def __init__(self, browser: Any, folder: Path):
        self.browser, self.folder = browser, folder
        self.pages: list[Any] = []
        self.errors: list[str] = []

    def __call__(self, shown: Any, width: int = 1440, scheme: str = "light", **options: Any) -> Any:
        """The page of what has one."""
        path = self.folder / f"page{len(self.pages)}.html"
        shown.to_html(path, **options)
        return self.file(path, width, scheme)

    def file(self, path: Path, width: int = 1440, scheme: str = "light") -> Any:
        """A page from a file."""
        page = self.browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme, accept_downloads=True)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        page.goto(path.as_uri())
        self.pages.append(page)
        return page

    def close(self) -> None:
        """Close all, and complain of errors."""
        for page in self.pages:
            page.close()
        assert self.errors == []


def violations(page: Any) -> list[tuple[str, str, str]]:
    """What axe-core finds on a page."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    found = axe.run(page).response["violations"]
    return [(one["impact"], one["id"], one["nodes"][0]["html"][:120]) for one in found]
