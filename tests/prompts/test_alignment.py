"""Every token that was written belongs to characters, and to one feature."""

from __future__ import annotations

import numpy as np
import pytest
import transformers as hf
from support import vocabularies

from interpreto_mllm import Drop, Granularity
from interpreto_mllm.prompts.alignment import Piece, align, filled
from interpreto_mllm.prompts.processing import Processing
from interpreto_mllm.prompts.reader import PromptReader
from interpreto_mllm.prompts.tokens import special_mask

TEXTS = [
    "the apple is the sky ?",
    "The Apple is Naïve, ﬁne café ½ ｆｕｌｌ",
    "the 🙂 apple 👨‍👩‍👧 is 東京 sky ?",
    "  the  apple\u00a0is\nthe sky \n",
    "strange strange-words the unknown apple https://a.b/c @bob is sky",
]


def read(tokenizer, text, granularity):
    return PromptReader(Processing(tokenizer, None), granularity, Drop().prepared(tokenizer), ("user",), (), None).read(text)[0]


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
@pytest.mark.parametrize("kind", vocabularies.KINDS)
@pytest.mark.parametrize("encoded", [False, True], ids=["text", "encoding"])
def test_every_written_token_belongs_to_one_feature(kind, text, encoded):
    tokenizer = vocabularies.KINDS[kind]()
    ids = tokenizer(text)["input_ids"]
    written = np.flatnonzero(~special_mask(ids, tokenizer)).tolist()
    given = tokenizer(text) if encoded else text
    by_token = read(tokenizer, given, Granularity.TOKEN)
    assert [feature.positions for feature in by_token.features] == [(position,) for position in written]
    assert all(feature.spans and feature.text for feature in by_token.features)
    by_word = read(tokenizer, given, Granularity.WORD)
    assert sorted(position for feature in by_word.features for position in feature.positions) == written
    assert all(feature.text.strip() for feature in by_word.features)


PIECES = [
    ("PhoBERT", "the apple is the sky ?", ["the", "apple", "is", "the", "sky", "?"]),
    ("CTRL", "the apple is sky", ["the", "apple", "is", "sky"]),
    ("XLM", "The Café is 🙂 sky", ["The", "Café", "is", "🙂", "sky"]),
    ("BERTweet", "the @bob apple", ["the", "@", "bob", "apple"]),
    ("Marian", "the apple 🙂 is red", ["the", "apple", "🙂", "is", "red"]),
    ("Marian", "Naïve ½ ﬁ sky", ["Naïve", "½", "ﬁ", "sky"]),
    ("wordpiece", "Naïve CAFÉ owners", ["Naïve", "CAFÉ", "owners"]),
    ("NFKC", "Naïve ｓｋｙ ½", ["Naïve", "ｓｋｙ", "½"]),
]


@pytest.mark.parametrize(("kind", "text", "words"), PIECES)
def test_words_as_they_were_written(kind, text, words):
    prompt = read(vocabularies.KINDS[kind](), text, Granularity.WORD)
    assert [feature.text for feature in prompt.features] == words


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("byte BPE", ["a", " ", "東"]), ("ByT5", ["a", " ", "東"])],
)
def test_parts_of_a_character_own_all_of_it(kind, expected):
    """Bytes of one character belong to it, with offsets from the tokenizer or without."""
    tokenizer = vocabularies.KINDS[kind]()
    for given in ("a 東", tokenizer("a 東")):
        features = read(tokenizer, given, Granularity.TOKEN).features
        assert list(dict.fromkeys(feature.text.strip() or " " for feature in features)) in (expected, ["a", "東"])
        assert features[-1].text.strip() == "東"


def test_an_alignment_that_is_not_certain_is_refused():
    """Two tokens for three words: it cannot be known which of them stands for which."""
    pieces = [Piece(("a",)), Piece((), True), Piece((), True), Piece(("b",))]
    assert align(pieces, "a x y b").certain == [True] * 4
    assert align(pieces, "a x b").certain == [True] * 4
    assert align(pieces, "a x y z b").certain == [True, False, False, True]
    assert align(pieces, "a x y z b").cost > 2
    assert filled([(0, 0), (0, 1), (1, 1)], [True] * 3, "a") == [(0, 1)] * 3
    assert filled([(0, 0), (1, 2)], [True, True], " a") == [(0, 1), (1, 2)]
    assert filled([(0, 0)], [True], "a") == [(0, 0)]


def test_a_tokenizer_that_rewrites_its_text_is_refused():
    class Rewriting(hf.ByT5Tokenizer):
        """Writes other words than it was given, and more than one at a time."""

        def _tokenize(self, text):
            return super()._tokenize("same" if text.strip() else text)

    with pytest.raises(ValueError, match=r"Rewriting rewrites this text, .* its token 's' stands for: use the model's fast"):
        read(Rewriting(extra_ids=0), "one two\tthree four five six seven", Granularity.WORD)
