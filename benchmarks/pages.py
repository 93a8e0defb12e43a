"""How fast result pages are in headless Chromium.

    python benchmarks/pages.py [--features 1000] [--tokens 200]

A page of given scores is opened from disk; then 60 answer tokens are clicked. First paint is the browser's
first-contentful-paint; a click is timed from its event until the frame is drawn in which it shows. On a machine that others use
as well, times vary; the processor time of the page's thread for each click, hovering and the checks between included, hardly
does. Needs playwright and chromium.
"""

from __future__ import annotations

import argparse
import random
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from report import Report

from interpreto_mllm.aggregators import Aggregator, Estimate
from interpreto_mllm.attribution import Attribution
from interpreto_mllm.core.evaluations import Evaluations
from interpreto_mllm.core.feature import Feature

CLICKS = 60
WORDS = "the quick brown fox jumps over a lazy dog while rain falls on old stones and Paris sleeps".split()
TIMED = """() => {
  window.taken = [];
  window.addEventListener("pointerdown", () => {
    const start = performance.now(), channel = new MessageChannel();
    channel.port1.onmessage = () => window.taken.push(performance.now() - start);
    requestAnimationFrame(() => channel.port2.postMessage(0));
  }, true);
}"""
"""Notes how long it takes from a click until the frame is drawn in which it shows."""
PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"


class Given(Aggregator):
    """The values of the coalitions after the first two are the scores."""

    estimand = "Shapley value"

    def aggregate(self, evaluations: Evaluations) -> Estimate:
        scores = evaluations.values[2:].T.contiguous()
        return Estimate(scores, scores.abs() / 8)


def result(n: int, t: int) -> Attribution:
    """Random words, each answer token with three causes."""
    choose, generator = random.Random(0), torch.Generator().manual_seed(0)
    words = [choose.choice(WORDS) for _ in range(n)]
    features, at = [], 0
    for word in words:
        features.append(Feature(word, ((at, at + len(word)),)))
        at += len(word) + 1
    scores = 0.05 * torch.randn(n, t, generator=generator, dtype=torch.float64)
    for column in range(t):
        scores[torch.randint(0, n, (3,), generator=generator), column] += 2.0
    coalitions = torch.cat([torch.zeros(1, n), torch.ones(1, n), 1 - torch.eye(n)]).bool()
    values, draws = torch.cat([torch.zeros(2, t).double(), scores]), torch.zeros(0, dtype=torch.int64)
    evaluations = Evaluations(coalitions, values, draws, torch.zeros(0).double(), draws)
    told: Any = {"mode": "log_softmax", "unit": "token", "targets": [f" {choose.choice(WORDS)}" for _ in range(t)]}
    return Attribution.from_evaluations(evaluations, Given(), features=features, text=" ".join(words), **told)


def busy(client: Any) -> float:
    """Seconds that the thread of the page has worked."""
    return next(one["value"] for one in client.send("Performance.getMetrics")["metrics"] if one["name"] == "TaskDuration")


def measure(path: Path, tokens: int) -> tuple[float, list[float], float]:
    """Milliseconds until the first paint, of each click, and of the processor for a click in the mean."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.goto(path.as_uri())
        page.wait_for_function(f"({PAINT}) !== null")
        painted, places = page.evaluate(PAINT), page.locator(".target")
        page.evaluate(TIMED)
        client = page.context.new_cdp_session(page)
        client.send("Performance.enable", {"timeDomain": "threadTicks"})
        before = busy(client)
        for click in range(CLICKS):
            token = click * 37 % tokens
            places.nth(token).click()
            page.wait_for_function(f"taken.length === {click + 1}")
            assert places.nth(token).get_attribute("aria-pressed") == "true"
        taken, worked = page.evaluate("taken"), 1000 * (busy(client) - before) / CLICKS
        browser.close()
    return painted, taken, worked


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", type=int, default=1000)
    parser.add_argument("--tokens", type=int, default=200)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "page.html"
        result(given.features, given.tokens).to_html(path)
        size = path.stat().st_size
        painted, taken, worked = measure(path, given.tokens)
    times = [
        f"{value:.0f} ms" for value in (painted, min(taken), float(np.median(taken)), float(np.quantile(taken, 0.95)), worked)
    ]
    report = Report("pages")
    columns = ["size", "first paint", "fastest click", "a click, median", "95 of 100 clicks within", "processor, a click"]
    report.add(
        "page", columns, [[f"{given.features:,} features, {given.tokens} tokens", f"{size / 1e6:.1f} MB", *times]], "pages"
    )
    report.save()


if __name__ == "__main__":
    main()
