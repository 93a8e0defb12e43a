"""`Drop(retokenize=True)`: what is left is read as if the absent features had not been written."""

from __future__ import annotations

import pytest
import torch
from support import zoo

from interpreto_mllm import Drop, ExactShapley, Granularity, RemoteModel
from interpreto_mllm.prompts.processing import Processing
from interpreto_mllm.prompts.reader import PromptReader
from interpreto_mllm.prompts.retokenized import Retokenizer

TOKENIZER = zoo.byte_bpe(bos=True)
CHAT = [
    {"role": "user", "content": "The sky is blue."},
    {"role": "assistant", "content": "Is it ?"},
    {"role": "user", "content": "the sea"},
]


def read(given, granularity=Granularity.WORD, tokenizer=TOKENIZER, pinned=()):
    reader = PromptReader(Processing(tokenizer, None), granularity, Drop(retokenize=True), ("user",), pinned, None)
    return reader.read(given)[0]


def ids(prompt, *absent: str) -> list[int]:
    present = torch.tensor([[feature.text not in absent for feature in prompt.features]])
    [[left]] = prompt.inputs_for(present)
    return left.ids.tolist()


@pytest.mark.parametrize(
    ("absent", "left"),
    [
        ((), "The sky is blue.  it was\n"),
        (("The",), "sky is blue.  it was\n"),
        (("The", "sky"), "is blue.  it was\n"),
        (("is",), "The sky blue.  it was\n"),
        (("it",), "The sky is blue. was\n"),
        (("was",), "The sky is blue.  it"),
        (("The", "sky", "is", "blue", "."), "it was\n"),
        (("The", "sky", "is", "blue", ".", "it", "was"), ""),
    ],
)
def test_the_text_that_is_left_is_tokenised_as_if_it_had_been_written(absent, left):
    prompt = read("The sky is blue.  it was\n")
    assert ids(prompt, *absent) == TOKENIZER(left)["input_ids"]
    assert prompt.whole.ids.tolist() == TOKENIZER("The sky is blue.  it was\n")["input_ids"]


def test_tokens_merge_where_something_was_left_out():
    spans = [(0, 1), (1, 4), (4, 6)]
    prompt = read("sxxxky", spans)
    assert ids(prompt, "xxx") == TOKENIZER("sky")["input_ids"] != [*TOKENIZER("s")["input_ids"], *TOKENIZER("ky")["input_ids"]]


def test_messages_do_not_begin_with_the_blank_of_what_was_left_out():
    prompt = read(CHAT, pinned=["sea"])
    expected = "<|user|>blue.<|end|>\n<|assistant|>Is it ?<|end|>\n<|user|>sea<|end|>\n<|assistant|>"
    assert ids(prompt, "The", "sky", "is", "the") == TOKENIZER(expected, add_special_tokens=False)["input_ids"]


def test_a_text_that_begins_with_a_blank_may_keep_it():
    assert Retokenizer(" a b", ((0, 4),), None, True).left([(1, 2)]) == " b"
    assert Retokenizer("a b", ((0, 3),), None, True).left([(0, 1)]) == "b"
    assert Retokenizer("a \nb c ", ((0, 7),), None, True).left([(0, 1), (3, 4)]) == "c "


def test_scores_are_those_of_texts_written_without_the_words():
    model = zoo.build("llama")
    game = ExactShapley(model, TOKENIZER, occlusion=Drop(retokenize=True)).game("The sky is", " blue")
    values = game(torch.tensor([[False, True, True], [True, True, True], [True, True, False]])).sum(1)
    target = TOKENIZER(" blue", add_special_tokens=False)["input_ids"]
    for value, text in zip(values, ["sky is", "The sky is", "The sky"], strict=True):
        plain = zoo.plain_values(model, TOKENIZER(text)["input_ids"], target).sum()
        torch.testing.assert_close(value.double(), plain, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("given", "granularity", "message"),
    [
        (TOKENIZER("the sky"), Granularity.WORD, "this prompt came as ids or with images or clips"),
        ("the sky", Granularity.ALL_TOKENS, "each of them must be some characters of it"),
        ("the 東", Granularity.TOKEN, "each of them must be some characters of it"),
    ],
)
def test_what_cannot_be_written_is_refused(given, granularity, message):
    tokenizer = TOKENIZER if granularity is not Granularity.TOKEN else zoo.bytes_without_offsets()
    with pytest.raises(ValueError, match=message):
        read(given, granularity, tokenizer)


def test_servers_tokenise_every_text():
    explainer = ExactShapley(RemoteModel("http://localhost:1/v1", "m"), occlusion=Drop(retokenize=True))
    with pytest.raises(ValueError, match="A server tokenises every text"):
        explainer.game("the sky", "blue")


def test_it_is_another_game():
    model = zoo.build("llama")
    kept, again = (
        ExactShapley(model, TOKENIZER, occlusion=Drop(retokenize=mode)).game("the sky", " a") for mode in (False, True)
    )
    assert kept.fingerprint != again.fingerprint
