"""Labels of answers whose tokens are parts of characters."""

from __future__ import annotations

import pytest
from support import vocabularies, zoo

from interpreto_mllm import Contrast, Occlusion
from interpreto_mllm.adapters.generating import _token_labels
from interpreto_mllm.core.labels import joined, labels

ANSWERS = [" 你好", "a 😍", "👨‍👩‍👧 ok", "Привет", "nai\u0308ve", "naïve café", "the sky", "東京 sushi 🙂", "🇫🇷🇩🇪", "क्षि"]


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("kind", ["byte BPE", "sentencepiece", "ByT5"])
def test_labels_are_readable_and_spell_the_answer(kind, answer):
    tokenizer = vocabularies.KINDS[kind]()
    ids = tokenizer.encode(answer, add_special_tokens=False)
    names = _token_labels(ids, tokenizer)
    assert len(names) == len(ids)
    assert all(names[1:])  # the first may be the blank that is put before every text
    assert not any("\ufffd" in name for name in names)
    assert joined(names) == tokenizer.decode(ids)


def test_tokens_that_are_whole_characters_are_called_by_them():
    assert labels("the sky", [(0, 3), (3, 7)]) == ["the", " sky"]
    assert labels("you 你b", [(0, 3), (3, 5), (4, 5), (4, 6)]) == ["you", " 你 (1/3)", "你 (2/3)", "你 (3/3)b"]


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["你 (1/2)", "你 (2/2)好 (1/2)", "好 (2/2)"], "你好"),
        (["你 (1/3)", "你 (2/3)"], "你 (1–2/3)"),
        (["你 (2/3)", "你 (3/3)", "b"], "你 (2–3/3)b"),
        (["x (1/3)", "y"], "x (1/3)y"),
        ([" (", "1", "/", "3", ")"], " (1/3)"),
        (["你 (1/2)", "你 (2/2)", "你 (1/2)", "你 (2/2)"], "你你"),
    ],
)
def test_labels_are_joined(names, text):
    assert joined(names) == text


def test_a_result_shows_characters(tmp_path):
    explainer = Occlusion(zoo.build("llama"), zoo.byte_bpe(), progress=False)
    [result] = explainer("the sky", " 你")
    assert result.targets == [" 你 (1/4)", "你 (2/4)", "你 (3/4)", "你 (4/4)"] or result.targets[-1].startswith("你 (")
    assert result.span().targets == [" 你"]
    assert "\ufffd" not in repr(result) + "".join(result.to_frame()["target"])
    result.to_html(tmp_path / "page.html")
    result.save(tmp_path / "result.json")
    assert "\ufffd" not in (tmp_path / "page.html").read_text("utf-8")
    assert type(result).load(tmp_path / "result.json").span().targets == [" 你"]
    [why] = explainer("the sky", Contrast(" 你", " 好"))
    assert why.targets == ["你 − 好"]
