"""Pictures, clips, videos and pairs of features on result pages, in a real browser."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.pages import chat_with_media, explained

from interpreto_mllm import ExactShapley, Granularity, InferenceModes
from interpreto_mllm.media import Clip, Frames, Video, Windows
from interpreto_mllm.testbed import load_recall


def test_the_picture_fades_and_hovering_names_the_region(opened):
    page = opened(chat_with_media())
    before = page.eval_on_selector(".picture .area", "area => getComputedStyle(area).fillOpacity")
    page.eval_on_selector(".heat", "slider => { slider.value = 0; slider.dispatchEvent(new Event('input')); }")
    assert float(page.eval_on_selector(".picture .area", "area => getComputedStyle(area).fillOpacity")) == 0 < float(before)
    page.hover(".picture .area >> nth=0")
    assert page.eval_on_selector(".picture .area title", "title => title.textContent").startswith("image 1, row 1, column 1  ")


def test_the_spectrogram_of_a_clip_is_drawn_on_request(opened):
    """A tone of 1 kHz and then one of 3 kHz, at a rate of 8 kHz: the brightest rows are a quarter and three quarters up."""
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


def test_pairs_are_arcs_between_their_words(opened, tmp_path):
    """From the middle of one word to that of the other, also after folding and at another width; the list lights its arc."""
    explainer = ExactShapley(*load_recall(), pinned=["what", "is", "the", "?"], progress=False)
    [explanation] = explainer("the apple is red . the sky is blue . what is the apple ?", " red")
    page = opened(explanation, interactions=explanation.interactions())
    listed = page.locator(".pairs [data-pair]")
    assert listed.count() == page.locator(".arcs path").count() >= 3
    for width in (1440, 420):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(200)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
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
    with page.expect_download() as download:
        page.click("[data-export=svg]")
    download.value.save_as(tmp_path / "saved.svg")
    assert (tmp_path / "saved.svg").read_text(encoding="utf-8").count("<path") == listed.count()
    listed.first.focus()
    assert page.locator(".arcs path.lit").count() == 1
    page.locator(".link").uncheck()
    assert page.locator(".arcs").evaluate("sheet => getComputedStyle(sheet).display") == "none"


def test_pictures_clips_and_bars_follow_the_token_and_outlines_show_the_picture(opened):
    chat = chat_with_media()
    page = opened(chat)
    for token in (2, 0):
        page.locator(".target").nth(token).click()
        shown = page.eval_on_selector_all(
            "figure .area", "all => all.map(a => [a.dataset.feature, Number(a.style.getPropertyValue('--strength'))])"
        )
        bound = chat.attributions.abs().max().item()
        assert [strength for _, strength in shown] == pytest.approx(
            [abs(chat.attributions[token, int(feature)].item()) / bound for feature, _ in shown], abs=6e-4
        )
        first = page.locator(".bars [data-jump]").first.get_attribute("data-jump")
        assert first == str(chat.attributions[token].abs().argmax().item())
    assert page.locator("figure.picture").count() == 2
    page.check(".outlines")
    area, image = page.locator(".picture .area").first, page.locator(".picture svg image").first
    assert area.evaluate("one => getComputedStyle(one).fillOpacity") == "0"
    assert image.evaluate("one => getComputedStyle(one).filter") == "none"
    area.click()
    assert "picked" in (area.get_attribute("class") or "")


def test_a_click_plays_a_segment_and_the_playhead_follows(opened):
    clip = Clip.of(np.sin(np.arange(8000) / 5).astype(np.float32), 8000, Windows(500))
    page = opened(replace(explained([[1.0, -1.0]], list(clip.features(0)), "<a>"), media=(clip,)))
    area = page.locator(".clip .area").last
    page.evaluate("""() => {
      HTMLMediaElement.prototype.play = async function () { this.setAttribute("data-played", this.currentTime); };
    }""")
    start = float(area.get_attribute("data-start") or 0)
    area.click()
    assert float(page.locator("audio").get_attribute("data-played") or -1) == pytest.approx(start, abs=0.01)
    page.wait_for_function("document.querySelector('audio').duration > 0")
    page.locator("audio").evaluate("sound => { sound.currentTime = sound.duration / 2; }")
    page.wait_for_function("document.querySelector('.playhead').style.visibility === 'visible'")
    head = page.locator(".playhead")
    assert float(head.get_attribute("x1") or 0) == pytest.approx(float(head.get_attribute("data-width") or 0) / 2, rel=0.02)


def test_the_frames_of_a_video_are_a_strip(opened):
    frames = np.random.default_rng(0).integers(0, 256, (6, 24, 32, 3), dtype=np.uint8)
    video = Video.of({"frames": frames, "fps": 2}, Frames())
    features = list(video.features(0))
    shown = explained([[(-1.0) ** index * (index + 1) for index in range(len(features))]], features, "<v>")
    page = opened(replace(shown, media=(video,)))
    assert page.locator("figure.strip .area").count() == len(features)
    page.locator("figure.strip .area").first.hover()
    assert page.eval_on_selector(".strip .area title", "title => title.textContent").startswith(f"video, {features[0].text}")


def test_the_table_of_answers_is_sorted_and_narrowed(opened):
    options = {"granularity": Granularity.SENTENCE, "inference_mode": InferenceModes.SIMILARITY, "progress": False}
    [explanation] = ExactShapley(*load_recall(), **options)("the apple is red . the sky is blue . what is the apple ?")
    page = opened(explanation)
    page.click("text=Answers to 8 coalitions")
    head = page.locator(".answers th button")

    def column(index: int) -> list[float]:
        return page.eval_on_selector_all(f".answers td:nth-child({index})", "all => all.map(one => Number(one.dataset.by))")

    head.nth(1).click()
    assert column(2) == sorted(column(2), reverse=True)
    head.nth(1).click()
    assert column(2) == sorted(column(2))
    head.nth(0).click()
    assert column(1) == sorted(column(1), reverse=True)
    page.fill(".narrow", "sky is blue")
    left = page.locator(".answers tbody tr:visible")
    assert 0 < left.count() < 8 and all("sky is blue" in text for text in left.all_text_contents())
