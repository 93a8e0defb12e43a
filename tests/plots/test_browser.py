"""The result page in a real browser: what a person does with it, and what they then see."""

from __future__ import annotations

import json
import random
import re
from dataclasses import replace
from html import escape

import pytest
import torch
from support.browser import violations
from support.long_chat import long_chat
from support.pages import Given, chat_with_media, explained, worded

from interpreto_mllm import Summary, compare
from interpreto_mllm.aggregators import Estimate
from interpreto_mllm.attribution import Attribution
from interpreto_mllm.core.evaluations import Evaluations

WORDS = "the quick brown fox jumps over a lazy dog while rain falls on old stones and Paris sleeps".split()


def long(n: int, t: int) -> Attribution:
    """Random words, each answer token with three causes."""
    choose, generator = random.Random(0), torch.Generator().manual_seed(0)
    text = " ".join(choose.choice(WORDS) for _ in range(n))
    scores = 0.05 * torch.randn(t, n, generator=generator, dtype=torch.float64)
    for row in scores:
        row[torch.randint(0, n, (3,), generator=generator)] += 2 * torch.randn(3, generator=generator, dtype=torch.float64)
    return explained(scores.tolist(), worded(text), text, targets=[f" {choose.choice(WORDS)}" for _ in range(t)])


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


def test_a_span_that_the_page_cannot_sum_is_said_to_be_missing(opened):
    class Squared(Given):
        def aggregate(self, evaluations: Evaluations) -> Estimate:
            return Estimate(evaluations.values[2:].T.square().contiguous())

    attribution = long(6, 14).reaggregate(Squared())
    page = opened(attribution)
    tokens = page.locator(".target")
    tokens.nth(1).click()
    tokens.nth(4).click(modifiers=["Shift"])
    assert (
        page.locator(".subject").text_content().startswith(f"only “{attribution.targets[4].strip()}”: the page has no scores")
    )
    assert "span(1, 5)" in page.locator(".subject").text_content()
    assert shown_scores(page) == pytest.approx(attribution.attributions[4].tolist(), abs=1e-6)


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


def test_a_thousand_words_and_two_hundred_tokens_are_usable(opened):
    """A click adds no elements but ticks of the map, and lays the page out a few times at most."""
    page = opened(long(1000, 200))
    client = page.context.new_cdp_session(page)
    client.send("Performance.enable")

    def layouts():
        page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        return next(one["value"] for one in client.send("Performance.getMetrics")["metrics"] if one["name"] == "LayoutCount")

    elements = page.locator("*").count()
    assert elements < 3 * 1000 + 200
    before = layouts()
    for token in (100, 30, 150):
        page.locator(".target").nth(token).evaluate("one => one.click()")
    assert layouts() - before <= 3 * 4
    assert page.locator(".bars li").count() == 12 and page.locator(".minimap a").count() > 0
    assert page.locator("*").count() <= elements


def test_the_answer_stays_in_view_and_its_tokens_are_underlined_by_what_the_prompt_does_to_them(opened):
    chat = long_chat()
    page = opened(chat, width=800)
    weights = page.eval_on_selector_all(".target", "all => all.map(one => Number(one.style.getPropertyValue('--weight')))")
    sums = chat.attributions.abs().sum(1)
    assert weights == pytest.approx((sums / sums.max()).tolist(), abs=6e-4)
    page.evaluate("window.scrollTo(0, 900)")
    assert page.locator(".answer").bounding_box()["y"] == pytest.approx(0, abs=1)
    page.emulate_media(media="print")
    assert page.locator(".tools").is_hidden() and page.locator(".minimap").is_hidden()
    assert page.eval_on_selector(".answer", "one => getComputedStyle(one).position") == "static"


def test_a_chat_is_shown_by_its_turns_and_markup_on_request(opened):
    page = opened(long_chat())
    assert [page.locator(".turn").nth(index).get_attribute("data-role") for index in range(4)] == [
        "system", "user", "assistant", "user"
    ]  # fmt: skip
    assert "<|im_start|>" not in page.inner_text(".prompt")
    page.check(".markups input")
    assert "<|im_start|>" in page.inner_text(".prompt")
    told = page.inner_text("body")
    assert "KernelShap" in told and "303 features" in told and "Shapley value" in told
    assert not re.search(r"\de[+-]?\d|(?<![\w.])-\d", told)  # no exponents, and one kind of minus sign


def test_keys_buttons_and_the_map_go_through_the_strongest(opened):
    chat = long_chat()
    page = opened(chat, width=360)
    order = [str(index) for index in chat.span().attributions[0].abs().argsort(descending=True, stable=True)[:3].tolist()]

    def found():
        return page.locator("mark.found").get_attribute("data-feature")

    page.click(".next")
    assert found() == order[0]
    page.keyboard.press("j")
    assert found() == order[1]
    page.keyboard.press("k")
    assert found() == order[0]
    page.click(".next")
    page.click(".next")
    page.click(".previous")
    assert found() == order[1]
    page.locator(".minimap a").last.evaluate("tick => tick.click()")
    assert chat.features[int(found() or -1)].turn == 3


def test_sums_and_the_list_follow_what_is_selected(opened):
    chat = long_chat()
    page = opened(chat)
    whole = page.inner_text(".totals")
    page.click(".target >> nth=9")
    user = chat.attributions[9, [index for index, one in enumerate(chat.features) if one.role == "user"]].sum().item()
    names, scores = (page.locator(f".totals .{kind}").all_text_contents() for kind in ("name", "score"))
    shown = dict(zip(names, scores, strict=True))
    assert float(shown["user"].replace("−", "-")) == pytest.approx(user, abs=6e-3)
    assert page.locator(".bars [data-jump]").first.get_attribute("data-jump") == str(chat.attributions[9].abs().argmax().item())
    page.keyboard.press("Escape")
    assert page.inner_text(".totals") == whole


def test_what_is_not_settled_is_hatched_and_warned_of(opened):
    one = long(30, 1)
    page = opened(replace(one, standard_errors=torch.full_like(one.attributions, 3.0)))
    assert "would settle these" in page.inner_text(".warning")
    assert "gradient" in page.eval_on_selector("mark.unsettled", "one => getComputedStyle(one).backgroundImage")
    assert page.locator(".track s").count() == 12
    assert opened(one).locator(".warning").count() == 0


def test_hard_texts_are_shown_as_they_are_and_nothing_of_them_runs(opened):
    """Markup, formulas, right-to-left text, emoji, combining marks and a word of 10,000 letters, also on a narrow page."""
    family, stacked = "👩\u200d👩\u200d👧", "e\u0301\u0301"
    words = [
        "<img",
        "src=x",
        "onerror=window.hit=1>",
        "$x_1$",
        "שלום",
        family,
        stacked,
        "</script><script>window.hit=1</script>",
    ]
    text = " ".join([*words, "a" * 10_000])
    features, scores = worded(text), [float(index + 1) for index in range(len(words) + 1)]
    shown = explained([scores], features, text, targets=[" <b onclick=window.hit=1>"])
    page = opened(shown, width=360)
    assert page.locator(".prompt mark").all_text_contents() == [one.text for one in features]
    assert page.evaluate("window.hit") is None and page.locator(".target").text_content() == "<b onclick=window.hit=1>"
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 360


def test_results_in_one_document_and_in_a_frame_without_rights_are_pages_of_their_own(opened, tmp_path):
    """As in a notebook, and as some of these embed what a cell shows."""
    one, two = long(6, 3)._repr_html_(), long(8, 3)._repr_html_()
    framed = f'<iframe sandbox="allow-scripts" srcdoc="{escape(one)}" style="width:100%;height:500px"></iframe>'
    (tmp_path / "notebook.html").write_text(f"<!doctype html><meta charset=utf-8>{one}{two}{framed}")
    page = opened.file(tmp_path / "notebook.html")
    page.locator(".attribution").nth(1).locator(".target").nth(2).click()
    pressed = page.eval_on_selector_all(".whole", "all => all.map(one => one.getAttribute('aria-pressed'))")
    assert pressed == ["true", "false"]
    frame = page.frame_locator("iframe")
    frame.locator(".target").nth(1).click()
    assert frame.locator(".whole").get_attribute("aria-pressed") == "false" and frame.locator(".bars li").count() == 6


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(opened, scheme):
    """Neither in a chat with images and a clip, a long answer with a token picked, results side by side, nor a summary."""
    picked, together = [chat_with_media(), long(60, 12)], [long(9, 2), long(9, 2)]
    for shown in (*picked, compare(together, ["one", "two"]), Summary([one.span() for one in together])):
        page = opened(shown, scheme=scheme)
        if shown in picked:
            page.locator(".target").nth(1).click()
        assert violations(page) == []


def test_results_side_by_side_have_one_scale_and_a_summary_a_line_for_each_word(opened):
    text = "the apple is red"
    strong, weak = (explained([[k, -k, k / 2, 0.0]], worded(text), text) for k in (4.0, 1.0))
    page = opened(compare([strong, weak], ["strong", "weak"]))
    sections = page.locator(".compared section")
    for index, share in ((0, 1.0), (1, 0.25)):
        assert sections.nth(index).locator("mark").first.get_attribute("style") == f"--strength: {share:.3f}"
        assert "4.00" in sections.nth(index).locator(".legend").inner_text()
    lines = [line.split("\t") for line in page.locator("table.board").first.inner_text().splitlines()]
    assert ["apple", "−4.00 ± 0.50", "−1.00 ± 0.12", "3.00"] in [[cell.strip() for cell in line] for line in lines]
    assert "1.00 · 100 %" in page.locator("table.board").last.inner_text()
    page = opened(Summary([strong, weak]))
    assert page.locator("tbody tr").count() == 4 and page.locator("svg.swarm").count() == 4
