"""Conversations that go on, the slow and obvious way: one plain `generate` after the other, and sums over all subsets."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Callable, Sequence
from math import factorial
from typing import Any

import pytest
import torch

from interpreto_mllm import (
    Attribution,
    Granularity,
    ResponseSimilarity,
)
from interpreto_mllm.similarity import ExactMatch

FACTS = [{"role": "user", "content": "the apple is red . the sky is blue . what is the apple ?"}]
NEXT = "what is the sky ?"
SKY = [{"role": "user", "content": "the sky is"}]
WHY, MORE = "why so ?", "go on"
CLOSE = {"atol": 1e-9, "rtol": 1e-9}


def likeness(original: str, response: str) -> float:
    """A measure with many values, so that every difference between answers shows."""
    return difflib.SequenceMatcher(None, original, response, autojunk=False).ratio()


SENTENCES: dict[str, Any] = {
    "inference_mode": ResponseSimilarity(similarity=ExactMatch(), generate={"max_new_tokens": 4}),
    "granularity": Granularity.SENTENCE,
    "progress": False,
}
WORDS: dict[str, Any] = {
    "inference_mode": ResponseSimilarity(similarity=likeness, generate={"max_new_tokens": 4}),
    "progress": False,
}


def sentences_of(text: str) -> list[tuple[int, int]]:
    """Sentences of the shipped model's language, each with the space before it."""
    ends = [index + 1 for index, character in enumerate(text) if character in ".?"]
    return list(itertools.pairwise([0, *ends]))


Cut = Callable[[str], list[tuple[int, int]]]


def ids_without(tokenizer: Any, messages: Sequence[dict], gone: Sequence[tuple[int, int, int]]) -> list[int]:
    """The chat as the template renders it, less the tokens of (message, start, end)."""
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    starts, position = [], 0
    for message in messages:
        starts.append(text.index(message["content"], position))
        position = starts[-1] + len(message["content"])
    deleted = [(starts[message] + start, starts[message] + end) for message, start, end in gone]
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    return [
        token
        for token, (low, high) in zip(encoded["input_ids"], encoded["offset_mapping"], strict=True)
        if not any(start <= low < high <= end for start, end in deleted)
    ]


def said_to(model: Any, tokenizer: Any, ids: list[int], limit: int = 4) -> str:
    with torch.no_grad():
        whole = model.generate(
            input_ids=torch.tensor([ids]),
            attention_mask=torch.ones(1, len(ids), dtype=torch.int64),
            max_new_tokens=limit,
            do_sample=False,
            pad_token_id=0,
        )
    ends = model.generation_config.eos_token_id
    ends = ends if isinstance(ends, list) else [ends]
    said = list(itertools.takewhile(lambda token: token not in ends, whole[0, len(ids) :].tolist()))
    return tokenizer.decode(said, skip_special_tokens=True).strip()


def by_hand(
    model: Any, tokenizer: Any, turns: Sequence[Sequence[dict]], cut: Cut, coalition: Sequence[bool], roles: Sequence[str]
) -> list[str]:
    """What the model says in every turn of a conversation, one plain `generate` after the other."""
    there, messages, gone, said = iter(coalition), [], [], []
    for turn in turns:
        for message in turn:
            spans = cut(message["content"]) if message["role"] in roles else []
            gone += [(len(messages), start, end) for start, end in spans if not next(there)]
            messages.append(message)
        said.append(said_to(model, tokenizer, ids_without(tokenizer, messages, gone)))
        messages.append({"role": "assistant", "content": said[-1]})
    assert next(there, None) is None
    return said


def check_by_hand(
    result: Attribution,
    model: Any,
    tokenizer: Any,
    turns: Sequence[Sequence[dict]],
    cut: Cut,
    measure: Callable[[str, str], float],
    roles: Sequence[str] = ("user",),
) -> None:
    """Every answer and value by hand, and Shapley values by the sum over all subsets."""
    assert result.responses is not None
    everything = by_hand(model, tokenizer, turns, cut, [True] * result.n, roles)
    values = {}
    for coalition, history, [answer] in zip(
        result.coalitions.tolist(), result.responses.history, result.responses.answers, strict=True
    ):
        said = by_hand(model, tokenizer, turns, cut, coalition, roles)
        assert [*(one.text for one in history), answer.text] == said
        values[tuple(coalition)] = measure(everything[-1], said[-1]) if said[-1] else 0.0
    assert result.targets == [everything[-1]]
    assert [values[tuple(coalition)] for coalition in result.coalitions.tolist()] == pytest.approx(result.values[:, 0].tolist())
    assert len(values) == 2**result.n
    n = result.n
    for player, score in enumerate(result.attributions[0].tolist()):
        shares = []
        for coalition in values:
            if not coalition[player]:
                joined = (*coalition[:player], True, *coalition[player + 1 :])
                size = sum(coalition)
                weight = factorial(size) * factorial(n - size - 1) / factorial(n)
                shares.append(weight * (values[joined] - values[coalition]))
        assert score == pytest.approx(sum(shares), abs=1e-9)


class Ear:
    """Notes every prompt that a model is given to answer, one `generate` a prompt; fails from the `deaf`-th on."""

    def __init__(self, model: Any, tokenizer: Any):
        self.prompts: list[str] = []
        self.deaf: int | None = None
        generate = model.generate

        def noted(*positional: Any, **named: Any) -> Any:
            if len(self.prompts) == self.deaf:
                raise KeyboardInterrupt
            self.prompts += tokenizer.batch_decode(named["input_ids"])
            return generate(*positional, **named)

        model.generate = noted

    def turns(self) -> list[int]:
        """In which turn each prompt was answered."""
        return [prompt.count("<|assistant|>") for prompt in self.prompts]
