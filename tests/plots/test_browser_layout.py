"""How pages are laid out in a real browser: narrow and wide, light and dark."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.browser import FLAWS, SCHEMES, WIDTHS
from support.long_chat import long_chat
from support.pages import chat_with_media, explained, worded

from interpreto_mllm import Summary, compare

STORED = Path(__file__).parents[1] / "saved" / "page_layout.json"
"""Left edge and width of the parts of each page, in pixels; they depend on no font. Written anew where the file is missing."""

PARTS = ".facts, .answer, .reading, .side, .further, .turn, .bars, .totals, .shares, figure, .compared section, .wide, .pairs"


def pages() -> dict[str, Any]:
    """A page of each kind."""
    text = "the apple is red and the sky is blue"
    several = [explained([[one * (-0.9) ** k for k in range(9)]], worded(text), text) for one in (1.0, -2.0, 1.5)]
    return {
        "chat": long_chat(),
        "media": chat_with_media(),
        "comparison": compare(several, ["one", "another method", "a third"]),
        "summary": Summary(several),
    }


@pytest.mark.parametrize("name", pages())
@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_overflows_overlaps_or_is_cut_and_parts_stand_where_they_stood(opened, name: str, width: int) -> None:
    page = opened(pages()[name], width)
    placed = {}
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate(FLAWS) == []
        placed[scheme] = page.eval_on_selector_all(
            PARTS,
            "all => all.filter(one => one.getClientRects().length).map(one => { const box = one.getBoundingClientRect();"
            " return [one.className.split(' ')[0] || one.tagName.toLowerCase(), Math.round(box.x), Math.round(box.width)]; })",
        )
    assert placed["light"] == placed["dark"]
    stored = json.loads(STORED.read_text(encoding="utf-8")) if STORED.exists() else {}
    if (found := stored.get(f"{name} {width}")) is None:
        stored[f"{name} {width}"] = placed["light"]
        lines = ",\n".join(f" {json.dumps(key)}: {json.dumps(value)}" for key, value in stored.items())
        STORED.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")
        return
    assert [part for part, *_ in found] == [part for part, *_ in placed["light"]]
    for (part, *before), (_, *after) in zip(found, placed["light"], strict=True):
        assert after == pytest.approx(before, abs=3), part


def test_flaws_are_found(opened) -> None:
    page = opened(pages()["chat"], 360)
    for style, told in (
        (".turn { width: 900px !important }", "the page is"),
        (".turn { margin-bottom: -40px !important }", " over "),
        (".turn { overflow: hidden; white-space: nowrap !important }", "clipped"),
        (".hint { font-size: 6px !important }", "tiny"),
        (".next { position: absolute; left: 400px !important }", "out of reach"),
    ):
        added = page.add_style_tag(content=style)
        assert any(told in flaw for flaw in page.evaluate(FLAWS)), style
        added.evaluate("one => one.remove()")
    assert page.evaluate(FLAWS) == []
