"""Texts are found in what a template makes of them."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from interpreto_mllm.chats.marks import Marked
from interpreto_mllm.chats.places import lost, places

THOUGHT = "<think>\nhm, no\n</think>\n\nRain."


def found(
    texts: list[str], write: Callable[[list[str]], str], stripped: frozenset[int] = frozenset()
) -> list[tuple[int, str, str]]:
    """For each place the text, what of it, and how that is written; each character is where it should be."""
    marked = Marked.of(texts, range(len(texts)))
    rendered = write(texts)
    made = places(marked.found(write(marked.texts)), texts, rendered, (set(stripped), set(stripped)))
    for place in made:
        assert len(place.starts) == place.within[1] - place.within[0] + 1
        for at, (start, end) in enumerate(zip(place.starts, place.starts[1:], strict=False), start=place.within[0]):
            assert rendered[start:end] in (texts[place.text][at], json.dumps(texts[place.text][at])[1:-1])
    return [(place.text, texts[place.text][slice(*place.within)], rendered[slice(*place.span)]) for place in made]


@pytest.mark.parametrize(
    ("texts", "write", "expected"),
    [
        (["a b", "b"], lambda t: f"b {t[0]} b {t[1]}", [(0, "a b", "a b"), (1, "b", "b")]),
        (["a b", "c"], lambda t: f"{t[1]}-{t[0]}", [(1, "c", "c"), (0, "a b", "a b")]),
        (
            ['say "hi"\nnow "', "é."],
            lambda t: json.dumps({"a": t[0], "b": t[1]}, ensure_ascii=False),
            [(0, 'say "hi"\nnow "', 'say \\"hi\\"\\nnow \\"'), (1, "é.", "é.")],
        ),
        ([THOUGHT], lambda t: "<|a|>" + t[0].split("</think>")[-1].strip() + "<|e|>", [(0, "Rain.", "Rain.")]),
        (
            [THOUGHT],
            lambda t: t[0].split("</think>")[-1].strip() + "|" + t[0].split("</think>")[0].split("<think>")[-1].strip() + "|",
            [(0, "Rain.", "Rain."), (0, "hm, no", "hm, no")],
        ),
        (["  a you ! ", "?"], lambda t: f"[u]{t[0]}\n[a]{t[1]}!", [(0, "  a you ! ", "  a you ! "), (1, "?", "?")]),
        (["a"], lambda t: f"{t[0]} and {t[0]}", [(0, "a", "a"), (0, "a", "a")]),
        (["a.", "b"], lambda t: t[1], [(1, "b", "b")]),
    ],
    ids=["inside another", "order", "escaped", "cut", "in two pieces", "spaces", "twice", "gone"],
)
def test_every_character_is_where_the_template_put_it(texts, write, expected) -> None:
    assert found(texts, write) == expected


def test_white_space_that_is_stripped_is_the_templates() -> None:
    assert found([" a ! "], lambda t: f"{t[0].strip()} ", frozenset([0])) == [(0, "a !", "a !")]


def test_what_is_left_out_is_told() -> None:
    marked = Marked.of([THOUGHT], [0])
    cut = THOUGHT.split("</think>")[-1]
    made = places(marked.found(marked.texts[0].split("</think>")[-1]), [THOUGHT], cut, (set(), set()))
    assert lost(made, THOUGHT) == ["<think>\nhm, no\n</think>"]
