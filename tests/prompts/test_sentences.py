"""Sentences end where readers end them: the built-in rules and pySBD agree on these."""

from __future__ import annotations

import sys
import warnings

import pytest

from interpreto_mllm import Granularity, Sentences
from interpreto_mllm.prompts.sentences import split_sentences

ENGLISH = """\
Mr. Smith went home.|He slept.
Dr. A. Turing met e.g. Prof. Church in the U.S. in 1936.|They talked.
See Fig. 3 and Sec. 2.|It is vs. No. 5.
Hello World.|My name is Jonas.
What is your name?|My name is Jonas.
There it is!|I found it.
My name is Jonas E. Smith.
Please turn to p. 55.
Were Jane and co. at the party?
They closed the deal with Pitt, Briggs & Co. at noon.
Let's ask Jane and co.|They should know.
They closed the deal with Pitt, Briggs & Co.|It closed yesterday.
I can see Mt. Fuji from here.
St. Michael's Church is on 5th st. near the light.
That is JFK Jr.'s book.
I visited the U.S.A. last year.
I live in the E.U.|How about you?
I live in the U.S.|How about you?
I work for the U.S. Government in Virginia.
I have lived in the U.S. for 20 years.
She has $100.00 in her bag.
She has $100.00.|It is in her bag.
He teaches science (He previously worked for 5 years as an engineer.) at the local University.
Her email is Jane.Doe@example.com.|I sent her an email.
The site is: https://www.example.50.com/new-site/awesome_content.html.|Please check it out.
She turned to him, 'This is great.' she said.
Hello!!|Long time no see.
Hello??|Who is there?
Thoreau argues that by simplifying one's life, "the laws of the universe will appear less complex."
The nurse gave him the i.v. in his vein.|She left.
It costs 3.5 percent, i.e. less than before.|That is all.
You can find it at N°. 1026.253.553.|That is where the treasure is.
The cat sat.|The dog, etc. barked.|We left.
""".splitlines()

FURTHER = """\
the apple is red .|the sky is blue .|what is the apple ?
Herr Dr. Müller kommt z.B. aus Bern.|Er wohnt in Nr. 5.
M. Dupont et Mme. Curie sont là.|Il pleut.
El Sr. García vive aquí.|Es alto.
これは本です。|はい！
a ... b.|Wait… what?|No!
The temperature in Sec. II rose.|Vol. IV fell, cf. No. 7.
1. Boil the water.|2. Add the tea.
""".splitlines()


@pytest.mark.parametrize("case", [*ENGLISH, *FURTHER])
def test_the_built_in_rules(case: str) -> None:
    sentences = case.split("|")
    for text in (" ".join(sentences), "\n\n ".join(sentences)):
        if "。" in text:
            text = text.replace(" ", "")
        assert [text[start:end] for start, end in split_sentences(text)] == sentences


@pytest.fixture
def pysbd() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # escape codes in its patterns
        pytest.importorskip("pysbd")


@pytest.mark.usefixtures("pysbd")
def test_pysbd_says_the_same() -> None:
    for case in ENGLISH:
        sentences = case.split("|")
        text = " ".join(sentences)
        assert [text[start:end] for start, end in Sentences("en")(text)] == sentences


@pytest.mark.usefixtures("pysbd")
def test_other_languages() -> None:
    text = "Er kam am 3. Mai. Er schlief. Er schlief."
    assert [text[start:end] for start, end in Sentences("de")(text)] == ["Er kam am 3. Mai.", "Er schlief.", "Er schlief."]
    with pytest.raises(ValueError, match="pySBD does not know this language"):
        Sentences("xx")


def test_without_pysbd_english_is_built_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pysbd", None)
    assert Sentences()("Mr. A sat. He ate.") == Granularity.SENTENCE.split("Mr. A sat. He ate.") == [(0, 10), (11, 18)]
    with pytest.raises(ImportError, match=r"pip install interpreto_mllm\[sentences\]"):
        Sentences("de")


def test_a_long_text_takes_no_time_for_each_sentence() -> None:
    text = "He said e.g. this in the U.S. in No. 5. " * 2_000
    assert len(split_sentences(text)) == 2_000
