"""The result page in a real browser: what a person does with it, and what they then see."""

from __future__ import annotations

import json
import random
import shutil
from dataclasses import replace

import pytest
import torch

sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium")
if CHROMIUM is None:
    pytest.skip("no chromium", allow_module_level=True)

from support.pages import chat_with_media, explained, worded  # noqa: E402

from interpreto_mllm import Summary, compare  # noqa: E402
from interpreto_mllm.attribution import Attribution  # noqa: E402

OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
WORDS = "the quick brown fox jumps over a lazy dog while rain falls on old stones and Paris sleeps".split()


def long(n: int, t: int) -> Attribution:
    """Random words, each answer token with three causes."""
    choose, generator = random.Random(0), torch.Generator().manual_seed(0)
    text = " ".join(choose.choice(WORDS) for _ in range(n))
    scores = 0.05 * torch.randn(t, n, generator=generator, dtype=torch.float64)
    for row in scores:
        row[torch.randint(0, n, (3,), generator=generator)] += 2 * torch.randn(3, generator=generator, dtype=torch.float64)
    return explained(scores.tolist(), worded(text), text, targets=[f" {choose.choice(WORDS)}" for _ in range(t)])


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        yield running
        running.close()


@pytest.fixture
def opened(browser, tmp_path):
    """Opens a result's page; the test fails on any error of its script."""
    pages, errors = [], []

    def open_page(shown, width: int = 1440, scheme: str = "light", **options):
        shown.to_html(tmp_path / "page.html", **options)
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme, accept_downloads=True)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.goto((tmp_path / "page.html").as_uri())
        pages.append(page)
        return page

    yield open_page
    for page in pages:
        page.close()
    assert errors == []


def strengths(page) -> list[float]:
    """The signed colour of each word."""
    return page.eval_on_selector_all(
        ".prompt mark",
        "marks => marks.map(m => m.style.getPropertyValue('--strength') * (m.classList.contains('against') ? -1 : 1))",
    )


def shown_scores(page) -> list[float]:
    """What the page computes with for what is selected."""
    return page.evaluate("[...document.querySelector('.attribution').page.row.features]")


def test_a_token_is_picked_by_click_and_by_arrow_keys(opened):
    attribution = long(30, 5)
    page = opened(attribution)
    assert shown_scores(page) == pytest.approx(attribution.span().attributions[0].tolist(), abs=1e-12)
    page.click(".target >> nth=2")
    bound = attribution.attributions.abs().max()
    assert strengths(page) == pytest.approx((attribution.attributions[2] / bound).tolist(), abs=6e-4)
    page.keyboard.press("ArrowRight")
    assert shown_scores(page) == attribution.attributions[3].tolist()
    page.keyboard.press("Shift+ArrowRight")
    assert shown_scores(page) == pytest.approx(attribution.span(3, 5).attributions[0].tolist(), abs=1e-6)
    page.keyboard.press("Escape")
    assert page.get_attribute(".whole", "aria-pressed") == "true"


def test_a_span_is_dragged_and_its_scores_are_those_of_span(opened):
    attribution = long(30, 8)
    page = opened(attribution)
    first, last = (page.locator(".target").nth(index).bounding_box() for index in (1, 5))
    page.mouse.move(first["x"] + 5, first["y"] + 5)
    page.mouse.down()
    page.mouse.move(last["x"] + 5, last["y"] + 5, steps=12)
    page.mouse.up()
    assert shown_scores(page) == pytest.approx(attribution.span(1, 6).attributions[0].tolist(), abs=1e-6)
    pressed = page.eval_on_selector_all(".target", "all => all.map(one => one.getAttribute('aria-pressed') === 'true')")
    assert pressed == [False, True, True, True, True, True, False, False]


def test_a_word_colours_the_answer_by_what_it_did_to_each_token(opened):
    attribution = long(30, 5)
    page = opened(attribution)
    page.click(".prompt mark >> nth=7")
    shares = page.eval_on_selector_all(
        ".target",
        "all => all.map(m => m.style.getPropertyValue('--strength') * (m.classList.contains('against') ? -1 : 1))",
    )
    assert shares == pytest.approx((attribution.attributions[:, 7] / attribution.attributions.abs().max()).tolist(), abs=6e-4)
    page.keyboard.press("Escape")
    assert page.get_attribute(".target >> nth=0", "style").count("--strength") == 0


def test_the_list_is_sorted_jumps_and_tells_repeated_words_apart(opened):
    attribution = long(300, 3)
    page = opened(attribution, width=1440)
    order = attribution.span().attributions[0].abs().argsort(descending=True)
    jumps = page.eval_on_selector_all(".bars [data-jump]", "all => all.map(one => Number(one.dataset.jump))")
    assert jumps == order[:12].tolist()
    page.click("text=show all")
    assert page.locator(".bars li").count() == 300
    names = page.locator(".bars .name").all_text_contents()
    at = int(order[0])
    assert names[0].split() == [attribution.features[index].text for index in (at - 1, at, at + 1)]
    page.click(".bars [data-jump] >> nth=3")
    page.wait_for_function("document.querySelector('mark.found').getBoundingClientRect().top < innerHeight")
    assert page.locator("mark.found").get_attribute("data-feature") == str(order[3].item())


def test_what_did_little_is_folded_and_found_again(opened):
    attribution = long(120, 1)
    page = opened(attribution)
    page.check("input.fold")
    shown = page.eval_on_selector_all(".prompt mark:not(.folded)", "marks => marks.map(m => Number(m.dataset.feature))")
    share = attribution.attributions[0].abs() / attribution.attributions.abs().max()
    assert set((share >= 0.05).nonzero()[:, 0].tolist()) <= set(shown) and len(shown) < 60
    page.click(".unfold >> nth=0")
    assert page.locator(".prompt mark:not(.folded)").count() > len(shown)
    page.uncheck("input.fold")
    page.fill(".find", "Paris")
    page.press(".find", "Enter")
    assert page.locator("mark.found").text_content() == "Paris"


@pytest.mark.parametrize("width", [360, 800, 1440])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_the_window(opened, width, scheme):
    page = opened(chat_with_media(), width, scheme)
    assert page.evaluate("document.scrollingElement.scrollWidth") <= width
    tools = page.locator(".tools").bounding_box()
    assert tools["x"] >= 0 and tools["x"] + tools["width"] <= width


def test_downloads_hold_what_is_selected(opened, tmp_path):
    attribution = long(30, 5)
    page = opened(attribution)
    page.click(".target >> nth=1")
    saved = {}
    for kind in ("json", "svg", "tex", "png"):
        with page.expect_download() as download:
            page.click(f"[data-export={kind}]")
        download.value.save_as(tmp_path / f"saved.{kind}")
        saved[kind] = (tmp_path / f"saved.{kind}").read_bytes()
    content = json.loads(saved["json"])
    assert content["targets"] == [attribution.targets[1]]
    assert [feature["score"] for feature in content["features"]] == attribution.attributions[1].tolist()
    assert saved["png"].startswith(b"\x89PNG") and saved["svg"].count(b"<text") >= 30
    assert saved["tex"].decode().count("\\colorbox") == 30


def test_the_picture_fades_and_hovering_names_the_region(opened):
    page = opened(chat_with_media())
    before = page.eval_on_selector(".picture .area", "area => getComputedStyle(area).fillOpacity")
    page.eval_on_selector(".heat", "slider => { slider.value = 0; slider.dispatchEvent(new Event('input')); }")
    assert float(page.eval_on_selector(".picture .area", "area => getComputedStyle(area).fillOpacity")) == 0 < float(before)
    page.hover(".picture .area >> nth=0")
    assert page.eval_on_selector(".picture .area title", "title => title.textContent").startswith("image 1, row 1, column 1  ")


def test_a_thousand_words_and_two_hundred_tokens_are_usable(opened):
    page = opened(long(1000, 200))
    page.click(".target >> nth=100")
    assert page.locator(".bars li").count() == 12 and page.locator(".minimap a").count() > 0


def test_pairs_are_arcs_between_their_words(opened):
    """From the middle of one word to that of the other, also after folding and at another width; the list lights its arc."""
    from interpreto_mllm import ExactShapley
    from interpreto_mllm.testbed import load_recall

    explainer = ExactShapley(*load_recall(), pinned=["what", "is", "the", "?"], progress=False)
    [explanation] = explainer("the apple is red . the sky is blue . what is the apple ?", " red")
    page = opened(explanation, interactions=explanation.interactions())
    listed = page.locator(".pairs [data-pair]")
    assert listed.count() == page.locator(".arcs path").count() >= 3
    for width in (1440, 420):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(200)
        apart = page.evaluate(
            """() => [...document.querySelectorAll(".pairs [data-pair]")].map(pair => {
              const path = document.querySelector(`.arcs path[data-of="${pair.dataset.pair}"]`);
              const matrix = path.getScreenCTM(), ends = [0, path.getTotalLength()].map(at => path.getPointAtLength(at));
              return Math.max(...["first", "second"].map((which, index) => {
                const box = document.querySelector(`.prompt [data-feature="${pair.dataset[which]}"]`).getBoundingClientRect();
                const end = ends[index].matrixTransform(matrix);
                return Math.abs(end.x - box.x - box.width / 2) + Math.abs(end.y - box.y - 2);
              }));
            })"""
        )
        assert max(apart) < 2, width
    listed.first.focus()
    assert page.locator(".arcs path.lit").count() == 1
    page.locator(".link").uncheck()
    assert page.locator(".arcs").evaluate("sheet => getComputedStyle(sheet).display") == "none"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(opened, scheme):
    """Neither in a chat with images and a clip, a long answer with a token picked, results side by side, nor a summary."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    picked, together = [chat_with_media(), long(60, 12)], [long(9, 2), long(9, 2)]
    for shown in (*picked, compare(together, ["one", "two"]), Summary([one.span() for one in together])):
        page = opened(shown, scheme=scheme)
        if shown in picked:
            page.locator(".target").nth(1).click()
        found = axe.run(page).response["violations"]
        assert [(one["impact"], one["id"], one["nodes"][0]["html"][:120]) for one in found] == []


def test_the_spectrogram_of_a_clip_is_drawn_on_request(opened):
    """A tone of 1 kHz and then one of 3 kHz, at a rate of 8 kHz: the brightest rows are a quarter and three quarters up."""
    import numpy as np

    from interpreto_mllm.media import Clip, Windows

    time = np.arange(8000) / 8000
    tones = np.where(time < 0.5, np.sin(2000 * np.pi * time), np.sin(6000 * np.pi * time)).astype(np.float32)
    clip = Clip.of(tones, 8000, Windows(500))
    page = opened(replace(explained([[1.0, -1.0]], list(clip.features(0)), "<a>"), media=(clip,)))
    button = page.get_by_role("button", name="spectrogram")
    assert page.locator("canvas").is_hidden()
    button.click()
    brightest = page.evaluate(
        """() => {
          const canvas = document.querySelector("canvas"), pen = canvas.getContext("2d");
          return [0.25, 0.75].map(share => {
            const column = pen.getImageData(Math.floor(share * canvas.width), 0, 1, canvas.height).data;
            const light = Array.from({ length: canvas.height }, (_, y) => column[4 * y] + column[4 * y + 1]);
            return 1 - (light.indexOf(Math.max(...light)) + 0.5) / canvas.height;
          });
        }"""
    )
    assert brightest == pytest.approx([0.25, 0.75], abs=0.01)
    button.click()
    assert page.locator("canvas").is_hidden()
