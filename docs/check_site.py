"""Looks at every page of the built site in Chromium at the widths of a phone, a tablet and a screen: `make site`.

Words of tables stay whole, no page is wider than the window, pictures are there and have descriptions, frames have titles.
"""

from __future__ import annotations

import functools
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

WIDTHS = (360, 800, 1440)
FAULTS = """() => {
  const faults = [], root = document.querySelector('article') ?? document.body;
  const wide = document.documentElement.scrollWidth - innerWidth;
  if (wide > 1) faults.push(`is ${wide} px wider than the window`);
  for (const cell of root.querySelectorAll('th, td')) {
    const texts = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
    for (let text = texts.nextNode(); text; text = texts.nextNode()) {
      for (const word of text.data.matchAll(/(?<!\\S{32})[\\p{L}\\p{N}_]+(?!\\S{32})/gu)) {  // parts of a long path may break
        const range = document.createRange();
        range.setStart(text, word.index);
        range.setEnd(text, word.index + word[0].length);
        const lines = new Set([...range.getClientRects()].filter(box => box.width).map(box => Math.round(box.top)));
        if (lines.size > 1) faults.push(`breaks the word ${word[0]} in a table`);
      }
    }
  }
  for (const table of root.querySelectorAll('table')) {
    const box = table.getBoundingClientRect();
    let scrolls = false;
    for (let one = table; one && one !== root.parentElement; one = one.parentElement)
      scrolls ||= ['auto', 'scroll'].includes(getComputedStyle(one).overflowX);
    if (box.right > innerWidth + 1 && !scrolls) faults.push('has a table that is cut off');
  }
  if (root.innerText.includes('<' + '!--')) faults.push('shows a comment of its source');
  for (const image of root.querySelectorAll('img')) {
    if (image.complete && !image.naturalWidth) faults.push(`lacks the picture ${image.src}`);
    if (!image.alt.trim()) faults.push(`does not describe the picture ${image.src}`);
  }
  for (const frame of root.querySelectorAll('iframe')) if (!frame.title) faults.push('has a frame without a title');
  return [...new Set(faults)];
}"""


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a folder's files."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def faults(page: Page, address: str) -> Iterator[str]:
    """What is wrong with one page of the site, width by width."""
    page.goto(address, wait_until="load")
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        yield from (f"{address} at {width} px {fault}" for fault in page.evaluate(FAULTS))


def main() -> None:
    site = Path(sys.argv[1] if len(sys.argv) > 1 else "site")
    pages = sorted(page.relative_to(site).as_posix() for page in site.rglob("*.html") if page.name != "404.html")
    found: list[str] = []
    with served(site) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page()
        for path in pages:
            found += faults(page, f"{address}/{path}")
        browser.close()
    print(*found, f"{len(pages)} pages at {len(WIDTHS)} widths: {len(found)} faults", sep="\n")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
