"""The same explanation as captum, shap, inseq and interpreto draw it, and as a page of this library: screenshots and measures.

`python benchmarks/pictures.py --captum PYTHON --shap PYTHON --inseq PYTHON --interpreto PYTHON`, each an interpreter that has
the library; playwright, axe-playwright-python and Chromium are needed here. The numbers are the same in all pictures, those of
one explanation of the shipped text model, a short one, and one of 300 words and an answer of 40 tokens. The screenshots land in
docs/images/pictures/, the measures in results/tables/pictures.json.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from PIL import Image, ImageChops
from playwright.sync_api import Browser, Page, sync_playwright
from report import Report

from interpreto_mllm import Attribution, Occlusion, PermutationShapley, testbed
from interpreto_mllm.testbed.facts import ATTRIBUTES, OBJECTS

HERE = Path(__file__).parent
HANDLES = "[id$=_output_0_name], [id^=outputs-] button"
"""The tokens of the answer where shap and interpreto draw them."""
IMAGES = HERE.parent / "docs" / "images" / "pictures"
PEERS = ("captum", "shap", "inseq", "interpreto")
VERSIONS = {
    "ours": "interpreto_mllm",
    "captum": "captum 0.9",
    "shap": "shap 0.51",
    "inseq": "inseq 0.7",
    "interpreto": "interpreto 0.5",
}
WIDTH, HEIGHT, COLOURS, MARGIN = 1000, 640, 96, 12
"""Of a screenshot, in pixels, the colours that are kept of it, and what is kept below what it shows."""
LONG = 300
"""Words of the long prompt."""
SHORT = "the apple is red . the sky is blue . what is the apple ?"
SERIOUS = ("serious", "critical")
"""What axe calls a barrier."""
SMALLEST = """() => {
  const rows = [];
  for (const node of document.querySelectorAll('body *')) {
    if (!node.childElementCount && node.textContent.trim() && node.checkVisibility()) {
      const style = getComputedStyle(node), box = node.getBoundingClientRect();
      if (box.width && !['SCRIPT', 'STYLE', 'OPTION'].includes(node.tagName)) rows.push(parseFloat(style.fontSize));
    }
  }
  return rows.length ? Math.min(...rows) : 0;
}"""
"""The smallest letters on the page."""
STOPS = (
    "[...document.querySelectorAll('a[href], button, input, select, summary, [tabindex]')].filter(e => e.tabIndex >= 0).length"
)
"""What the Tab key reaches."""


def explanations() -> tuple[Attribution, Attribution, Attribution]:
    """A short one with its answer of two tokens, a long one, and one with markup in a word."""
    model = testbed.load_recall()
    model[0].config.max_position_embeddings = 512  # longer than its training; the picture is what counts here
    [short] = PermutationShapley(*model, budget=600, seed=0, progress=False)(SHORT, "red .")
    choose = random.Random(3)
    facts = [f"the {thing} is {choose.choice(ATTRIBUTES)} ." for thing in OBJECTS * 3]
    words = " ".join(facts).split()[: LONG - 5]
    [much] = Occlusion(*model, progress=False)(" ".join([*words, "what is the apple ?"]), " ".join(facts[:8]))
    spaced = Occlusion(*model, granularity=lambda text: [word.span() for word in re.finditer(r"\S+", text)], progress=False)
    [marked] = spaced("the (<u>apple</u>) is red . what is the apple ?", "red .")
    return short, much, marked


def given(explanation: Attribution) -> dict[str, Any]:
    """The numbers that all draw."""
    return {
        "features": [feature.text for feature in explanation.features],
        "targets": list(explanation.targets),
        "scores": explanation.attributions.tolist(),
        "empty": explanation.empty.tolist(),
        "full": explanation.full.tolist(),
    }


def drawn(peer: str, python: str, explanation: Attribution, folder: Path) -> None:
    """The peer's own pictures, in a process of its interpreter."""
    folder.mkdir(parents=True)
    told = json.dumps(given(explanation))
    subprocess.run([python, HERE / "picture_of.py", peer, folder], input=told, text=True, check=True, cwd=HERE)


def small(path: Path) -> None:
    """A screenshot with few colours, without what is empty below it."""
    with Image.open(path) as image:
        box = ImageChops.difference(image.convert("RGB"), Image.new("RGB", image.size, "white")).getbbox() or (0, 0, 1, 1)
        image.convert("RGB").crop((0, 0, image.width, min(box[3] + MARGIN, image.height))).quantize(
            COLOURS, dither=Image.Dither.NONE
        ).save(path, optimize=True)


@dataclass
class Camera:
    """Takes screenshots, and measures pages.

    Args:
        browser: Chromium.
    """

    browser: Browser

    def opened(self, path: Path, width: int = WIDTH, scheme: Any = "light") -> Page:
        page = self.browser.new_page(viewport={"width": width, "height": HEIGHT}, color_scheme=scheme)
        page.goto(path.as_uri())
        page.wait_for_timeout(500)
        return page

    def shoot(self, path: Path, target: Path) -> None:
        """The first screen of a page, or as much of an image."""
        if path.suffix == ".png":
            with Image.open(path) as image:
                image.convert("RGB").crop((0, 0, min(image.width, WIDTH), min(image.height, HEIGHT))).save(target)
        else:
            page = self.opened(path)
            for handle in page.locator(HANDLES).all()[:1]:
                handle.click()  # the first token of the answer, where a page waits for that to show colours
            page.wait_for_timeout(300)
            high = page.evaluate("document.documentElement.scrollHeight")
            page.screenshot(path=target, clip={"x": 0, "y": 0, "width": WIDTH, "height": min(high, HEIGHT)})
            page.close()
        small(target)

    def measured(self, path: Path, audited: bool) -> list[str]:
        """Barriers, width on a phone, letters, what can be reached by keyboard, dark mode, requests and size.

        Args:
            path: of the page.
            audited: whether axe looks at it, which takes minutes where a page has thousands of elements.
        """
        page = self.browser.new_page(viewport={"width": 360, "height": HEIGHT}, color_scheme="dark")
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(path.as_uri())
        page.wait_for_timeout(500)
        found = Axe().run(page).response["violations"] if audited else []
        barriers = sum(len(one["nodes"]) for one in found if one["impact"] in SERIOUS)
        wide = page.evaluate("document.documentElement.scrollWidth")
        letters = page.evaluate(SMALLEST)
        stops = page.evaluate(STOPS)
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.close()
        foreign = sum(not url.startswith(("file:", "data:", "blob:")) for url in asked)
        dark = "yes" if ground not in ("rgba(0, 0, 0, 0)", "rgb(255, 255, 255)") else "no"
        return [
            *([str(barriers)] if audited else []),
            f"{wide:,} px",
            f"{letters:.0f} px",
            str(stops),
            dark,
            str(foreign),
            f"{path.stat().st_size / 1000:,.0f} kB",
        ]


MEASURES = [
    "barriers that axe finds",
    "width on a phone of 360 px",
    "smallest letters",
    "stops of the Tab key",
    "dark mode",
    "requests to other hosts",
    "size",
]


@dataclass
class Pictures:
    """Draws everything and keeps the tables.

    Args:
        pythons: the interpreter of each peer.
        camera: takes the screenshots.
        folder: for what is drawn.
        report: of the tables.
    """

    pythons: dict[str, str]
    camera: Camera
    folder: Path
    report: Report

    def draw(self, name: str, explanation: Attribution) -> dict[str, list[Path]]:
        """The files of each library, ours first."""
        ours = self.folder / name / "ours"
        ours.mkdir(parents=True)
        explanation.to_html(ours / "page.html", explanation.span().interactions() if name == "short" else None)
        explanation.plot(ours / "heat map.png")
        for peer in PEERS:
            drawn(peer, self.pythons[peer], explanation, self.folder / name / peer)
        return {peer: sorted((self.folder / name / peer).iterdir()) for peer in ("ours", *PEERS)}

    def show(self, name: str, explanation: Attribution) -> None:
        """Screenshots and measures of one explanation."""
        pages, figures, audited = [], [], name == "short"
        for peer, files in self.draw(name, explanation).items():
            for file in files:
                if file.suffix == ".html":
                    pages.append([VERSIONS[peer], *self.camera.measured(file, audited)])
                else:
                    with Image.open(file) as image:
                        figures.append([f"{VERSIONS[peer]}, {file.stem}", f"{image.width:,} px", f"{image.height:,} px"])
                if peer != "ours" or file.suffix == ".html":
                    self.camera.shoot(file, IMAGES / f"{name}-{peer}-{file.stem}.png")
        self.report.add(f"{explanation.n} features, {explanation.t} tokens", MEASURES[not audited :], pages, name)
        self.report.add(f"figures, {name}", ["width", "height"], figures)

    def mark(self, explanation: Attribution) -> None:
        """Whether a word with markup in it is shown as it was written."""
        rows = []
        for peer, files in self.draw("marked", explanation).items():
            for file in [one for one in files if one.suffix == ".html"]:
                page = self.camera.opened(file)
                rows.append([VERSIONS[peer], "markup" if page.locator("u").count() else "text"])
                page.close()
        self.report.add("a word with `<u>` in it", ["is shown as"], rows, "markup")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for peer in PEERS:
        parser.add_argument(f"--{peer}", default=sys.executable, help="an interpreter that has it")
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        camera = Camera(playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"]))
        pictures = Pictures(vars(parser.parse_args()), camera, Path(scratch), Report("pictures"))
        short, long, marked = explanations()
        pictures.show("short", short)
        pictures.mark(marked)
        pictures.show("long", long)
        pictures.report.save()


if __name__ == "__main__":
    main()
