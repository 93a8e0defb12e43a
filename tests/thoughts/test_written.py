"""A response is taken apart on its tokens: what begins the thoughts, these, what closes them, and the answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support.quick import each
from support.zoo import byte_bpe, sentencepiece_like

from interpreto_mllm import ThoughtMarks
from interpreto_mllm.thoughts.marks import KNOWN
from interpreto_mllm.thoughts.written import Written

THINK = KNOWN[0]
THOUGHTS, ANSWER = "The sky is blue. The sea is green!", "The sea is green."
TOKENIZERS = each([byte_bpe, sentencepiece_like], [byte_bpe])


def pieces(written: Written) -> tuple[list[int], ...]:
    ids = written.tokens.ids.tolist()
    first, closing, answering = written.first, written.closing, written.answering
    return ids[:first], ids[first:closing], ids[closing:answering], ids[answering:]


@pytest.mark.parametrize("make", TOKENIZERS)
@pytest.mark.parametrize("opened", [False, True])
@pytest.mark.parametrize("single", [False, True])
def test_a_response_is_taken_apart(make: Callable[[], Any], opened: bool, single: bool) -> None:
    tokenizer = make()
    if single:
        tokenizer.add_tokens(["<think>", "</think>"])
    text = f"{'' if opened else '<think>'}\n{THOUGHTS}\n</think>\n\n{ANSWER}</s>"
    ids = tokenizer.encode(text, add_special_tokens=False)
    written = Written.generated(ids, tokenizer, THINK, opened)
    assert written is not None
    assert written.text[slice(*written.thoughts)] == THOUGHTS
    assert written.text[slice(*written.answer)] == ANSWER
    lead, thoughts, close, answer = pieces(written)
    assert [*lead, *thoughts, *close, *answer] == ids
    assert "think" not in tokenizer.decode(thoughts)
    assert tokenizer.decode(close).strip() == "</think>"
    assert tokenizer.decode(answer).strip() == f"{ANSWER}</s>"
    assert tokenizer.decode(lead).strip() == ("" if opened else "<think>")


def test_what_was_given_reads_as_if_it_had_been_written() -> None:
    tokenizer = byte_bpe()
    ids = tokenizer.encode(f"<think>\n{THOUGHTS}\n</think>\n\n{ANSWER}")
    generated, given = (
        Written.generated(ids, tokenizer, THINK, False),
        Written.given(f" {THOUGHTS}\n", ANSWER, tokenizer, THINK, False),
    )
    assert generated is not None
    assert (given.text, given.thoughts, given.answer) == (generated.text, generated.thoughts, generated.answer)
    assert pieces(given) == pieces(generated)
    apart = Written.given(THOUGHTS, "", tokenizer, THINK, True)
    assert apart.text == f"{THOUGHTS}\n</think>\n\n"
    assert apart.answering == len(apart.tokens.ids)


@pytest.mark.parametrize(
    "text", ["The sea is green.", "<think>\nThe sea", "<think>\n\n</think>\n\ngreen", "The sea</think> green"]
)
def test_without_thoughts_that_end_there_is_nothing_to_take_apart(text: str) -> None:
    tokenizer = byte_bpe()
    assert Written.generated(tokenizer.encode(text), tokenizer, THINK, False) is None


def test_channels_are_marks_too() -> None:
    tokenizer = byte_bpe()
    marks = KNOWN[3]
    channels = ["<|channel|>", "<|message|>", "<|start|>", "<|return|>"]
    tokenizer.add_special_tokens({"additional_special_tokens": channels}, replace_extra_special_tokens=False)
    written = Written.generated(
        tokenizer.encode(f"{marks.start}{THOUGHTS}{marks.end}{ANSWER}<|return|>"), tokenizer, marks, False
    )
    assert written is not None
    assert written.text[slice(*written.thoughts)] == THOUGHTS
    assert written.text[slice(*written.answer)] == ANSWER


def test_a_token_of_a_mark_and_of_the_thoughts_belongs_to_the_mark() -> None:
    """It stays where a sentence is left out."""
    tokenizer = byte_bpe()
    tokenizer.add_tokens(["en!</"])
    written = Written.given(THOUGHTS, ANSWER, tokenizer, ThoughtMarks("<think>", "</think>", ""), False)
    [shared] = [index for index, token in enumerate(written.tokens.ids) if tokenizer.decode([int(token)]) == "en!</"]
    assert written.tokens.special[shared]
    assert written.closing == shared


def test_spans_are_found_in_thoughts_and_answer() -> None:
    written = Written.given(THOUGHTS, ANSWER, byte_bpe(), THINK, False)
    start = len("<think>\n")
    assert written.span_of("thoughts") == written.thoughts == (start, start + len(THOUGHTS))
    assert written.span_of("The sky is") == (start, start + 10)
    assert written.span_of((start + 4, start + 7)) == (start + 4, start + 7)
    with pytest.raises(ValueError, match="occurs 2 times in the thoughts and the answer"):
        written.span_of("The sea")
    with pytest.raises(ValueError, match="does not occur in the thoughts and the answer"):
        written.span_of("think>")
    with pytest.raises(ValueError, match="is no span of the thoughts"):
        written.span_of((0, 4))
