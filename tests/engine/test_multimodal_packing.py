"""Prompts with images and clips in one row: each is worth what it is alone, and what they share is read once."""

from __future__ import annotations

import functools
import logging
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from support.families import CHATTING, conversation, family
from support.multimodal import ANSWER, CLOSE, CUTS
from support.quick import each

from interpreto_mllm import Attend, ExactShapley, KernelShap, Patches, Windows
from interpreto_mllm.engine.encodings import Encoding, parts_between
from interpreto_mllm.media.picture import Picture
from interpreto_mllm.media.state import State
from interpreto_mllm.testbed import load_sight, sample_scene_prompts

REFUSED = {"paligemma", "lfm2_vl", "gemma3"}
"""Families that read each prompt in a row of its own: read in both directions, recurrent, or with short windows."""
QUICK = ("llava", "qwen2_vl", "idefics3", "paligemma", "qwen2_audio")
WORDS = "What colour has this small circle over here ?"
SOME = 12


class Watched:
    """How many forwards of a model get a mask of their own for every pair of tokens."""

    def __init__(self, model: Any):
        self.model, self.packed = model, 0

    def __enter__(self) -> Watched:
        self.forward = forward = self.model.forward

        @functools.wraps(forward)
        def watched(*positional: Any, **named: Any) -> Any:
            mask = named.get("attention_mask")
            self.packed += int(mask is not None and mask.ndim == 4)
            return forward(*positional, **named)

        self.model.forward = watched
        return self

    def __exit__(self, *_: object) -> None:
        self.model.forward = self.forward


def scored(name: str, question: str, **options: Any) -> tuple[int, list[Any], int]:
    """Compares some values of an exact game with plain ones; the tokens read, the prompts, and the packed forwards."""
    subject = family(name)
    options = {**CUTS, "image_granularity": Patches(1, 2), "audio_granularity": Windows(400), **options}
    messages = conversation(subject, question)
    with Watched(subject.model) as seen:
        [fast] = ExactShapley(subject.model, subject.processor, **options)(messages, ANSWER)
    plain = ExactShapley(subject.model, subject.processor, **options, share_prefixes=False).game(messages, ANSWER)
    some = torch.randperm(len(fast.values), generator=torch.Generator().manual_seed(0))[:SOME]
    torch.testing.assert_close(fast.values[some].double(), plain(fast.coalitions[some]).double(), **CLOSE)
    asked: Any = [query for [query] in plain.queries(fast.coalitions)]
    return fast.counts.tokens, asked, seen.packed


def tokens_of_their_own(queries: list[Any]) -> int:
    """Tokens of prompts after those that they all begin with."""
    shortest = min(len(query.input.ids) for query in queries)
    beginnings = np.stack([query.input.ids[:shortest] for query in queries])
    shared = int((beginnings == beginnings[0]).all(0).cumprod().sum())
    return sum(query.length - shared for query in queries)


@pytest.mark.parametrize("name", each(CHATTING, QUICK))
def test_prompts_that_share_an_image_or_a_clip_share_a_row(name: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="interpreto_mllm"):
        tokens, queries, packed = scored(name, WORDS, pinned=lambda feature: feature.modality != "text")
    if name in REFUSED:
        assert packed <= 2, "no more than a trial"
    else:
        assert packed > 2
        assert tokens < 0.7 * tokens_of_their_own(queries)
    assert ("in a row inexactly" in caplog.text) == (name == "paligemma")


@pytest.mark.parametrize("name", each(["llava", "qwen2_vl", "qwen3_vl", "smolvlm", "voxtral"], ["qwen2_vl"]))
def test_each_row_holds_the_prompts_of_one_state_of_an_image(name: str) -> None:
    """States of the image are read in rows of their own, each with the words that come after it."""
    tokens, queries, packed = scored(name, "What colour has this small circle ?")
    assert packed > 2
    assert tokens < 0.75 * tokens_of_their_own(queries)


def test_hidden_words_after_an_image_are_left_out() -> None:
    tokens, queries, packed = scored("llava", WORDS, occlusion=Attend(), pinned=lambda feature: feature.modality != "text")
    assert packed > 2
    assert tokens < 0.4 * sum(query.length for query in queries)


def test_packing_does_not_depend_on_what_was_tried_before() -> None:
    [prompt] = sample_scene_prompts(1, seed=3)
    model, processor = load_sight()
    inputs: dict[str, Any] = {"text": prompt.text, "images": [prompt.image]}
    [first] = KernelShap(model, processor, budget=48, progress=False)(inputs, prompt.answer)
    ExactShapley(model, processor, pinned=lambda feature: feature.modality == "image", progress=False)(inputs, prompt.answer)
    [again] = KernelShap(model, processor, budget=48, progress=False)(inputs, prompt.answer)
    assert torch.equal(first.values, again.values)


def test_parts_of_encodings_are_those_of_their_places() -> None:
    ids = np.array([1, 9, 9, 2, 9, 9, 9, 3])
    regions: Any = np.ones((1, 2, 2), dtype=bool)
    picture = Picture(Image.new("RGB", (2, 2)), regions, ("whole",), None)
    whole = torch.arange(5.0)[:, None]
    encodings = [Encoding(State.whole(picture), rows, (rows + 10,), {}, False) for rows in whole.split([2, 3])]
    for start in range(9):
        for end in range(start, 9):
            parts = parts_between(ids, encodings, {"image": 9}, start, end)
            before, within = int((ids[:start] == 9).sum()), int((ids[start:end] == 9).sum())
            expected = torch.arange(before, before + within).tolist()
            assert [int(row) for part in parts for row in part.embeddings] == expected
            assert [int(row) - 10 for part in parts for row in part.layers[0]] == expected
