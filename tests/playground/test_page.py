"""The page in a real browser: a prompt is explained, stopped, downloaded; errors are shown. Run by `make browser`."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("gradio")
sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium")
if CHROMIUM is None:
    pytest.skip("no chromium", allow_module_level=True)

from PIL import Image  # noqa: E402
from support.real_server import serving  # noqa: E402

from interpreto_mllm import Attribution  # noqa: E402
from interpreto_mllm.testbed import RECALL  # noqa: E402

START = "from interpreto_mllm.cli.entry import main; main()"


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@contextmanager
def app(*arguments: str):
    """The address of the page, as `interpreto-mllm app` serves it."""
    port = free_port()
    running = subprocess.Popen([sys.executable, "-c", START, "app", *arguments, "--port", str(port), "--max-upload", "1"])
    for _ in range(600):
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                break
        assert running.poll() is None, "the server ended"
        time.sleep(0.2)
    yield f"http://127.0.0.1:{port}"
    running.send_signal(signal.SIGINT)
    try:
        running.wait(20)
    except subprocess.TimeoutExpired:
        running.kill()
        running.wait()


@pytest.fixture(scope="module")
def address():
    with app() as served:
        yield served


@contextmanager
def opened(address: str):
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 1400}, accept_downloads=True)
        page.goto(address)
        page.get_by_role("button", name="Explain", exact=True).wait_for(timeout=60_000)
        yield page
        browser.close()


@pytest.fixture
def page(address):
    with opened(address) as page:
        yield page


def state(page, text: str) -> None:
    page.locator("#state", has_text=text).wait_for(timeout=60_000)


def test_a_prompt_is_explained_and_downloaded(page, tmp_path: Path) -> None:
    page.get_by_role("button", name="Explain", exact=True).click()
    state(page, "Done.")
    assert page.locator(".live .line").count() > 3
    frame = page.frame_locator("iframe[title=result]")
    assert frame.locator(".prompt mark").count() > 5
    link = page.locator("a[download='explanation.json']").get_attribute("href", timeout=30_000)
    (tmp_path / "explanation.json").write_bytes(page.request.get(link).body())
    assert Attribution.load(tmp_path / "explanation.json").n > 5


def test_a_stop_keeps_what_is_there(page) -> None:
    page.get_by_label("Prompt").fill(
        " . ".join(["the apple is red", "the sky is blue", "the sea is dark"] * 8) + " . what is the apple ?"
    )
    page.get_by_label("Evaluations").fill("4000")
    page.get_by_role("button", name="Explain", exact=True).click()
    page.locator(".live .line").first.wait_for(timeout=60_000)
    page.get_by_role("button", name="Stop").click()
    state(page, "Stopped by hand")


def test_an_image_is_explained_and_errors_are_shown(page, tmp_path: Path) -> None:
    page.get_by_label("Prompt").fill(" ")
    page.get_by_role("button", name="Explain", exact=True).click()
    page.get_by_text("Write a prompt first").wait_for(timeout=30_000)
    Image.new("RGB", (64, 64), "red").save(tmp_path / "red.png")
    page.locator("input[type=file]").first.set_input_files(tmp_path / "red.png")
    page.get_by_label("Prompt").fill("what colour is the circle ?")
    page.get_by_label("Evaluations").fill("48")
    page.wait_for_timeout(2000)
    page.get_by_role("button", name="Explain", exact=True).click()
    state(page, "Done.")
    assert page.frame_locator("iframe[title=result]").locator("figure, .media").count() > 0


def test_files_that_are_too_large_are_refused(page, tmp_path: Path) -> None:
    (tmp_path / "large.png").write_bytes(bytes(2 * 2**20))
    page.locator("input[type=file]").first.set_input_files(tmp_path / "large.png")
    page.get_by_text("exceed", exact=False).first.wait_for(timeout=30_000)


def test_a_model_of_transformers_serve_is_explained(tmp_path: Path) -> None:
    """By new answers, which are what such a server returns; it says so when asked for more."""
    script = "from transformers.cli.transformers import main; main()"
    command = [sys.executable, "-c", script, "serve", "--host", "127.0.0.1", "--port", "{port}", "--device", "cpu"]
    with (
        serving(command, tmp_path / "log", 60) as url,
        app(url, "--served-name", str(RECALL)) as address,
        opened(address) as page,
    ):
        page.get_by_label("Prompt").fill("the apple is red . the sky is blue . what is the apple ?")
        page.get_by_label("A feature is a").click()
        page.get_by_role("option", name="sentence").click()
        page.get_by_role("button", name="Explain", exact=True).click()
        state(page, "Done.")
        assert page.locator(".live .line .name").first.inner_text() == "the apple is red ."
        page.get_by_label("how likely the answer is").click()
        page.get_by_role("button", name="Explain", exact=True).click()
        page.get_by_text("does not return the log-probabilities", exact=False).wait_for(timeout=30_000)
        state(page, "Failed.")
