"""`Drop()` leaves no white space first where that is a token of its own: it goes with the words that were before it."""

from __future__ import annotations

import itertools

import pytest
import torch
from support import zoo
from support.families import conversation, family
from support.multimodal import game

from interpreto_mllm import Attend, Drop, DropImage, Granularity, RemoteModel, Replace, WholeImage
from interpreto_mllm.adapters.remote.reader import RemoteProcessing, RemoteReader
from interpreto_mllm.prompts.processing import Processing
from interpreto_mllm.prompts.reader import PromptReader

BYTES, LLAMA_LIKE = zoo.byte_bpe(bos=True), zoo.sentencepiece_like()
TEXT = "the sky is blue.\n\nthe sea\n is red.  it 東"


def read(given, granularity=Granularity.SENTENCE, tokenizer=BYTES, occlusion=None, pinned=()):
    occlusion = (Drop() if occlusion is None else occlusion).prepared(tokenizer)
    return PromptReader(Processing(tokenizer, None), granularity, occlusion, ("user",), pinned, None).read(given)[0]


def left_by_hand(prompt, tokenizer, present: list[bool]) -> list[int]:
    """Token by token: an absent one goes, and one of white space alone if nothing of the text is there yet."""
    left, begun = [], False
    for token, owner in zip(prompt.whole.ids.tolist(), prompt.owner.tolist(), strict=True):
        if token == tokenizer.bos_token_id:
            left.append(token)
        elif owner < 0 or present[owner]:
            begun = begun or bool(tokenizer.decode([token]).strip())
            left += [token] if begun else []
    return left


@pytest.mark.parametrize("granularity", [Granularity.SENTENCE, Granularity.WORD], ids=lambda g: g.name)
@pytest.mark.parametrize("given", [TEXT, BYTES(TEXT)], ids=["text", "encoding"])
def test_what_is_left_begins_with_a_word(given, granularity):
    prompt = read(given, granularity)
    n = len(prompt.features)
    rows = [list(row) for row in itertools.product([False, True], repeat=min(n, 5))]
    rows = [row + [True] * (n - len(row)) for row in rows] + [[False] * k + [True] * (n - k) for k in range(n + 1)]
    found = [one.ids.tolist() for [one] in prompt.inputs_for(torch.tensor(rows))]
    assert found == [left_by_hand(prompt, BYTES, row) for row in rows]


def ids(prompt, *absent: int) -> list[int]:
    [[left]] = prompt.inputs_for(torch.tensor([[index not in absent for index in range(len(prompt.features))]]))
    return left.ids.tolist()


def test_a_paragraph_that_is_left_is_what_would_have_been_written():
    prompt = read("the sky is blue.\n\nthe sea is red.\nit was")
    assert ids(prompt, 0) == BYTES("the sea is red.\nit was")["input_ids"]
    assert ids(prompt, 0, 1) == BYTES("it was")["input_ids"]
    assert ids(prompt, 1) == BYTES("the sky is blue.\nit was")["input_ids"]


def test_a_text_that_begins_with_white_space_keeps_it():
    prompt = read("\n\nthe sky.\n\nit was")
    assert BYTES.decode(ids(prompt, 0)[1:]) == "\n\nit was"


def test_a_blank_within_the_token_of_a_word_stays():
    prompt = read("the sky. it was")
    assert BYTES.decode(ids(prompt, 0)[1:]) == " it was"


def test_a_blank_that_the_tokenizer_writes_itself_stays():
    prompt = read("東 東", Granularity.WORD, LLAMA_LIKE)
    assert ids(prompt, 0) == LLAMA_LIKE("東")["input_ids"]


def test_every_message_begins_with_a_word():
    chat = [{"role": "user", "content": "the sky.\n\nthe sea."}, {"role": "user", "content": "it\n\nwas\n\n"}]
    prompt = read(chat, pinned=["the sky."])
    assert [feature.text for feature in prompt.features] == ["the sea.", "it", "was"]
    assert BYTES.decode(ids(prompt, 0, 1)) == "<|user|>the sky.<|end|>\n<|user|>was\n\n<|end|>\n<|assistant|>"
    assert BYTES.decode(ids(prompt, 0, 1, 2)) == "<|user|>the sky.<|end|>\n<|user|><|end|>\n<|assistant|>"


def test_tokens_that_are_features_are_left_alone():
    prompt = read("the sky.\n\nit", Granularity.TOKEN)
    assert BYTES.decode(ids(prompt, *range(len(prompt.features) - 3))[1:]) == "\n\nit"


@pytest.mark.parametrize("occlusion", [Replace("it"), Attend()], ids=["replace", "attend"])
def test_other_occlusions_leave_nothing_out(occlusion):
    prompt = read("the sky.\n\nit", occlusion=occlusion)
    [[left]] = prompt.inputs_for(torch.tensor([[False, True]]))
    assert (left.ids == BYTES.convert_tokens_to_ids("Ċ")).sum() == 2 and (left.seen is None or left.seen[-2:].all())


def test_a_server_is_sent_no_blank_first():
    processing = RemoteProcessing.of(RemoteModel("http://localhost:1/v1", "m"))
    reader = RemoteReader(processing, Granularity.SENTENCE, Drop(), ("user",), (), None, bare=True)
    [prompt] = reader.read("the sky.  it was. so")
    assert "".join(map(chr, ids(prompt, 0))) == "it was. so"
    assert "".join(map(chr, ids(prompt, 1))) == "the sky. so"


def test_beside_images_that_are_dropped_too():
    cuts = {"image_granularity": WholeImage(), "image_occlusion": DropImage(), "granularity": Granularity.SENTENCE}
    subject = family("llava")
    played = game(subject, conversation(subject, "the sky.\n\nit was", (0,)), **cuts)
    for row, count in (([0, 1, 1], 1), ([0, 0, 1], 0), ([1, 0, 1], 0)):
        [[left]] = played.inputs(torch.tensor([row]).bool())
        assert subject.processor.tokenizer.decode(left.ids).count("\n\nit was") == count
