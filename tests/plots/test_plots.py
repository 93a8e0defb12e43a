"""The pictures: what is shown, in which colour, in which order, and nothing that a prompt could smuggle in."""

from __future__ import annotations

import base64
import io
import json
import math
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from support.pages import Given, explained, worded

from interpreto_mllm import compare
from interpreto_mllm.aggregators import Estimate
from interpreto_mllm.attribution import Attribution
from interpreto_mllm.core.evaluations import Evaluations
from interpreto_mllm.core.feature import Feature
from interpreto_mllm.plots.colours import AGAINST, PAPER, TOWARDS, mixed
from interpreto_mllm.plots.pieces import pieces
from interpreto_mllm.plots.scores import shown_scores
from interpreto_mllm.plots.transcript import turns
from interpreto_mllm.prompts.conversation import Conversation

HOSTILE = "<script>alert(1)</script> </mark> \"a\" 'b' & 東京 🎉 $x_1$ \x1b[31m"
CASES = {
    "hostile": explained([[1.0, -2, 0, 0.5, 3, 1, -1, 0, 2]] * 2, worded(HOSTILE), HOSTILE, targets=["</script><b>", "$^"]),
    "one": explained([[0.25]], worded("hello"), "hello"),
    "zero": explained([[0.0, 0.0]], worded("a b"), "a b"),
    "wide": explained([[float(i * j % 7 - 3) for i in range(60)] for j in range(20)], worded("w " * 60), "w " * 60),
    "game": explained([[1.0, -1.0]], [Feature("p"), Feature("q")], unit="value"),
}


def unpacked(text: str, kind: str) -> list[float]:
    return np.frombuffer(base64.b64decode(text), kind).tolist()


class Page(HTMLParser):
    """The elements of a page, its marked words, and the text that a reader sees."""

    def __init__(self, source: str):
        super().__init__()
        self.tags: list[str] = []
        self.marks: list[dict[str, str | None]] = []
        self.prompt = ""
        self.data = ""
        self._inside: list[str] = []
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.tags.append(tag)
        self._inside.append(named.get("class") or named.get("type") or tag)
        if tag == "mark":
            self.marks.append(named)

    def handle_endtag(self, tag: str) -> None:
        self._inside.pop()

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        if "prompt" in self._inside and "heading" not in self._inside:
            self.prompt += data
        if self._inside and self._inside[-1] == "application/json":
            self.data += data


def page_of(attribution: Attribution) -> Page:
    return Page(attribution._repr_html_())


@pytest.mark.parametrize("name", CASES)
def test_the_page_holds_the_whole_prompt_and_no_foreign_element(name, tmp_path):
    attribution = CASES[name]
    attribution.to_html(tmp_path / "page.html")
    source = (tmp_path / "page.html").read_text(encoding="utf-8")
    page = page_of(attribution)
    assert page.prompt == (attribution.text or "".join(feature.text for feature in attribution.features))
    assert page.tags.count("script") == 2
    assert "b" not in page.tags[page.tags.index("h2") :]
    assert not re.search(r"https?://|@import|url\(|src=", source)
    assert [int(mark["data-feature"] or -1) for mark in page.marks] == list(range(attribution.n))


def test_colours_on_the_page_are_signed_shares_of_the_strongest():
    text = "a b c"
    page = page_of(explained([[2.0, -1.0, 0.0], [2.0, -3.0, 0.0]], worded(text), text, targets=[" x", " y"]))
    shown = [((mark["class"] or "").split()[-1], mark["style"], mark["title"]) for mark in page.marks]
    assert shown == [
        ("towards", "--strength: 1.000", "+4.00 ± 0.50"),
        ("against", "--strength: 1.000", "−4.00 ± 0.50"),
        ("towards", "--strength: 0.000", "0.00"),
    ]


def test_the_page_holds_the_scores_to_the_last_bit():
    scores = [[2.0, -1.0, 1 / 3], [2.0, -3.0, 0.0]]
    data = json.loads(page_of(explained(scores, worded("a b c"), "a b c", targets=[" x", " y"])).data)
    assert unpacked(data["scores"], "<f8") == [2.0, -1.0, 1 / 3, 2.0, -3.0, 0.0]
    assert unpacked(data["errors"], "<f4") == pytest.approx([0.25, 0.125, 1 / 24, 0.25, 0.375, 0.0])
    assert data["additive"] and data["targets"] == [" x", " y"] and (data["empty"], data["full"]) == ([-3, -3], [-0.5, -0.5])
    [whole] = data["spans"]
    assert (whole["start"], whole["end"], unpacked(whole["scores"], "<f8")) == (0, 2, [4.0, -4.0, 1 / 3])


def test_spans_that_are_not_sums_are_aggregated_beforehand():
    class Squared(Given):
        def aggregate(self, evaluations: Evaluations) -> Estimate:
            return Estimate(evaluations.values[2:].T.square().contiguous())

    three = explained([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], worded("a b"), "a b", targets=[" x", " y", " z"])
    data = json.loads(page_of(three.reaggregate(Squared())).data)
    found = {(span["start"], span["end"]): unpacked(span["scores"], "<f8") for span in data["spans"]}
    assert not data["additive"] and found == {(0, 3): [81.0, 144.0], (0, 2): [16.0, 36.0], (1, 3): [64.0, 100.0]}


def test_scores_whose_sign_is_open_are_hatched_and_a_budget_that_is_too_small_is_told():
    settled = page_of(explained([[1.0, 2.0]], worded("a b"), "a b"))
    assert all("unsettled" not in (mark["class"] or "") for mark in settled.marks)

    noisy = explained([[1.0, 2.0, 3.0]], worded("a b c"), "a b c")
    noisy = replace(noisy, standard_errors=torch.tensor([[1.0, 0.5, math.nan]]).double())
    assert ["unsettled" in (mark["class"] or "") for mark in page_of(noisy).marks] == [True, False, True]
    told = "The sign of 2 of 3 scores is not settled after 5 evaluations, 2 of the 3 strongest among them."
    assert told in noisy._repr_html_()
    noisy = replace(noisy, standard_errors=torch.tensor([[1.0, 0.5, 0.5]]).double())
    assert "About 20 evaluations would settle these." in noisy._repr_html_()  # 5 · (1.96 · 1 / 1)²
    weak = explained([[0.1, 2.0, 3.0]], worded("a b c"), "a b c")
    weak = replace(weak, standard_errors=torch.tensor([[1.0, 0.5, 0.5]]).double())
    assert "is not settled" not in weak._repr_html_() and "unsettled" in (page_of(weak).marks[0]["class"] or "")


def test_chats_are_shown_by_turn_with_their_markup_folded_and_silent_messages():
    text = "<bos><|user|>\nhello there<|end|>\n<|assistant|>\nhi . <|end|>\n<|user|>\nbye<|end|>\n<|assistant|>\n"
    chat = Conversation(tuple({"role": role, "content": said} for role, said in
                              [("user", "hello there"), ("assistant", "hi ."), ("user", "bye")]))  # fmt: skip
    features = [Feature(word, ((text.index(word), text.index(word) + len(word)),), role="user", turn=turn)
                for word, turn in [("hello", 0), ("bye", 2)]]  # fmt: skip
    found = turns(explained([[1.0, 2.0]], features, text, conversation=chat))
    assert [turn.role for turn in found] == ["user", "assistant", "user"]
    assert "".join(piece.text for turn in found for piece in turn.pieces) == text
    page = explained([[1.0, 2.0]], features, text, conversation=chat)._repr_html_()
    prompt = page[page.index('<div class="prompt">') : page.index("<aside")]
    shown = re.sub(r'<span class="gap markup">.*?</span>', "", prompt, flags=re.DOTALL)
    assert re.sub(r"<[^>]*>", " ", shown).split() == ["user", "hello", "there", "assistant", "hi", ".", "user", "bye"]


def test_the_whole_answer_comes_first_only_for_tokens():
    features = worded("a b")
    tokens = explained([[1.0, 2.0], [3.0, 4.0]], features, "a b", targets=[" x", " y"])
    assert [(row.label, row.scores) for row in shown_scores(tokens)] == [(" x y", [4, 6]), (" x", [1, 2]), (" y", [3, 4])]
    assert [row.scores for row in shown_scores(tokens.normalized("abs_sum"))] == [[0.4, 0.6], [1 / 3, 2 / 3], [3 / 7, 4 / 7]]
    assert len(shown_scores(explained([[1.0, 2.0], [3.0, 4.0]], features, "a b", unit="class"))) == 2


def test_pieces_cover_the_text_once_in_order_with_roles():
    text = "<u>one two</u><a>three</a>"
    features = [
        Feature("three", ((17, 22),), role="assistant", turn=1),
        Feature("one…two", ((3, 6), (7, 10)), role="user", turn=0),
        Feature("wo</u>", ((8, 14),), role="user", turn=0),
        Feature("floating", role="user", turn=2),
    ]
    found = pieces(explained([[0.0] * 4], features, text))
    assert "".join(piece.text for piece in found if not piece.loose) == text
    assert [(piece.text, piece.feature, piece.heading) for piece in found] == [
        ("<u>", None, None), ("one", 1, "user"), (" ", None, None), ("two", 1, None), ("</u>", 2, None), ("<a>", None, None),
        ("three", 0, "assistant"), ("</a>", None, None), ("floating", 3, "user"),
    ]  # fmt: skip


def test_mixed_colours_run_from_blue_over_paper_to_red():
    assert [mixed(share) for share in (-1.0, 0.0, 1.0, 7.0)] == [AGAINST, PAPER, TOWARDS, TOWARDS]
    assert mixed(0.5) == tuple(round((paper + ink) / 2) for paper, ink in zip(PAPER, TOWARDS, strict=True))


def printed(attribution: Attribution) -> str:
    from rich.console import Console

    from interpreto_mllm.plots.terminal import coloured

    console = Console(file=io.StringIO(), force_terminal=True, color_system="truecolor", width=4000, legacy_windows=False)
    console.print(coloured(attribution))
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_terminal_colours_towards_red_and_against_blue():
    shown = printed(explained([[2.0, -2.0, 0.0]], worded("plus minus nil"), "plus minus nil"))
    assert f"48;2;{TOWARDS[0]};{TOWARDS[1]};{TOWARDS[2]}mplus" in shown
    assert f"48;2;{AGAINST[0]};{AGAINST[1]};{AGAINST[2]}mminus" in shown
    assert not re.search(r"48;2;[0-9;]*mnil", shown)
    assert "v(∅) -3 → v(N) -0.5" in shown
    assert "+2 ± 0.25" in shown
    assert "Shapley value" in shown


@pytest.mark.parametrize("name", CASES)
def test_terminal_shows_every_case_without_control_characters_of_the_prompt(name):
    shown = printed(CASES[name])
    assert "\x1b[31m" not in shown.replace("\x1b[31m█", "")
    assert CASES[name].features[0].text in shown


def test_show_prints_outside_notebooks(capsys):
    CASES["one"].show()
    assert "hello" in capsys.readouterr().out


@pytest.mark.parametrize("name", CASES)
def test_every_case_is_drawn(name, tmp_path):
    pytest.importorskip("matplotlib")
    CASES[name].plot(tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


def test_bars_have_the_scores_in_prompt_order_with_whiskers():
    pytest.importorskip("matplotlib")
    drawn = explained([[0.0, 0.0], [2.0, -1.0]], worded("a b"), "a b").plot(target=1)
    [axes] = drawn.axes
    assert [bar.get_width() for bar in axes.patches] == [2.0, -1.0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]
    assert axes.yaxis_inverted()
    [lines] = [c for c in axes.collections if hasattr(c, "get_segments")]
    assert [[x for x, _ in segment] for segment in lines.get_segments()] == [[1.75, 2.25], [-1.125, -0.875]]
    assert axes.get_xlabel() == "Shapley value (nats)"


def test_long_prompts_show_their_strongest_features():
    pytest.importorskip("matplotlib")
    [axes] = explained([[float(i) for i in range(100)]], worded("w " * 100), "w " * 100).plot().axes
    assert [bar.get_width() for bar in axes.patches] == [float(i) for i in range(60, 100)]
    assert "40 strongest of 100" in axes.figure.get_suptitle()


def test_the_heat_map_is_centred_on_zero():
    pytest.importorskip("matplotlib")
    axes, bar = explained([[1.0, 2.0], [3.0, -4.0]], worded("a b"), "a b").plot().axes
    [image] = [c for c in axes.collections if c.get_array() is not None]
    assert image.get_array().tolist() == [[1, 2], [3, -4]]
    assert image.get_clim() == (-4, 4)
    assert bar.get_ylabel() == "Shapley value (nats)"


def test_an_unknown_target_is_told():
    with pytest.raises(ValueError, match="no target 3: this result has 1, numbered 0 to 0"):
        CASES["one"].plot(target=3)


def test_plot_without_matplotlib_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"pip install interpreto_mllm\[plot\]"):
        CASES["one"].plot()


def test_results_are_compared_on_one_scale():
    first = explained([[1.0, 2.0, -3.0, 0.0]], worded("a b c d"), "a b c d", method="one")
    second = explained([[2.0, 1.0, -6.0, 0.5]], worded("a b c d"), "a b c d", method="two")
    both = compare([first, second])
    assert both.names == ("one", "two") and both.scores.tolist() == [[1, 2, -3, 0], [2, 1, -6, 0.5]]
    assert both.rank_correlations()[0, 1].item() == pytest.approx(0.8)  # ranks 2 3 0 1 and 3 2 0 1: 1 - 6 · 2 / 60
    assert both.shared_top(2).tolist() == [[1, 0.5], [0.5, 1]]
    page = Page(both._repr_html_())
    shares = [float((mark["style"] or "").removeprefix("--strength: ")) for mark in page.marks]
    assert shares == pytest.approx([1 / 6, 2 / 6, 3 / 6, 0, 2 / 6, 1 / 6, 1, 0.5 / 6], abs=6e-4)
    assert "0.80 · 100 %" in both._repr_html_() and "−6.00 ± 0.75" in both._repr_html_()


def test_results_of_different_prompts_stand_side_by_side(tmp_path):
    answers = compare({"red": explained([[1.0]], worded("a"), "a"), "blue": explained([[1.0, 2.0]], worded("a b"), "a b")})
    answers.to_html(tmp_path / "both.html")
    source = (tmp_path / "both.html").read_text(encoding="utf-8")
    assert source.count("<mark") == 3 and "<table" not in source
    with pytest.raises(ValueError, match="different features"):
        answers.rank_correlations()
    with pytest.raises(ValueError, match="two or more results side by side; got 1"):
        compare([CASES["one"]])
    with pytest.raises(ValueError, match="2 results call for as many names; got 1"):
        compare([CASES["one"], CASES["zero"]], ["only"])


def test_latex_colours_each_feature_and_escapes_the_rest(tmp_path):
    attribution = explained([[2.0, -1.0]], [Feature("50%", ((0, 3),)), Feature("a_b", ((6, 9),))], "50% $ a_b")
    text = attribution.to_latex(tmp_path / "prompt.tex")
    assert r"\colorbox{towards!78}{\strut 50\%}\allowbreak{} \$ \colorbox{against!39}{\strut a\_b}" in text
    assert (tmp_path / "prompt.tex").read_text(encoding="utf-8") == text
    with pytest.raises(ValueError, match="There is no target 1"):
        attribution.to_latex(target=1)


def test_a_wide_heat_map_shows_the_strongest_features_in_prompt_order():
    pytest.importorskip("matplotlib")
    scores = [[float(i) for i in range(100)], [0.0] * 99 + [1.0]]
    axes, _ = explained(scores, worded("w " * 100), "w " * 100).plot().axes
    [image] = [c for c in axes.collections if c.get_array() is not None]
    assert image.get_array()[0].tolist() == [float(i) for i in range(40, 100)]
    assert "the 60 strongest of 100 features" in axes.figure.get_suptitle()


def test_labels_are_never_read_as_formulas(tmp_path):
    forged = "$\\frac{"
    content = json.loads((Path(__file__).parents[1] / "saved" / "text_0.1.0.json").read_text(encoding="utf-8"))
    for feature in content["features"]:
        feature["text"] = forged
    content |= {"targets": [forged] * len(content["targets"]), "notes": [forged]}
    content |= dict.fromkeys(("method", "mode", "estimand", "text"), forged)
    (tmp_path / "forged.json").write_text(json.dumps(content), encoding="utf-8")
    Attribution.load(tmp_path / "forged.json").plot(tmp_path / "forged.png")
    assert (tmp_path / "forged.png").stat().st_size


def test_pairs_are_listed_on_the_page_of_their_result(tmp_path: Path) -> None:
    from interpreto_mllm import ExactShapley
    from interpreto_mllm.testbed import load_recall

    explainer = ExactShapley(*load_recall(), pinned=["what", "is", "the", "?", "."], progress=False)
    [one], [other] = (explainer(f"the {thing} is red . what is the {thing} ?", " red") for thing in ("apple", "sky"))
    pairs = one.interactions()
    one.to_html(tmp_path / "page.html", pairs)
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    listed = [(int(a), int(b)) for a, b in re.findall(r'data-first="(\d+)" data-second="(\d+)"', page)]
    strongest = [pair for pair in pairs.top(12) if abs(pair.value) >= 0.1 * abs(pairs.top(1)[0].value)]
    assert listed == [pair.members for pair in strongest] and len(listed) > 1
    one.to_html(tmp_path / "page.html")
    assert "data-pair" not in (tmp_path / "page.html").read_text(encoding="utf-8").partition("<script")[0]
    with pytest.raises(ValueError, match="interactions are of other features"):
        one.to_html(tmp_path / "page.html", other.interactions())
    with pytest.raises(ValueError, match="Arcs join two features"):
        one.to_html(tmp_path / "page.html", one.interactions(order=3))
