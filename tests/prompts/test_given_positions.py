"""Encodings with positions, token types and masks of their own: coalitions have the values of plain forwards with the same."""

from __future__ import annotations

import itertools
from typing import Any, cast

import pytest
import torch
from support import zoo
from support.families import family
from support.quick import each
from torch import Tensor

from interpreto_mllm import (
    Attend,
    Drop,
    ExactShapley,
    Granularity,
    IntegratedGradients,
    KernelShap,
    Replace,
    ResponseSimilarity,
)
from interpreto_mllm.similarity import Contextual

TEXT, ANSWER = "the sky is blue", [40, 41, 42]
OCCLUSIONS = {"Drop": Drop(), "Attend": Attend(), "Replace": Replace(3)}
POSITIONS = {"jumps": [0, 1, 5, 6, 7, 2, 3, 30, 30, 31, 32, 33], "an offset": list(range(9, 21)), "one for all": [4] * 12}


def encoded(tokenizer: Any, positions: list[int], hole: bool = False, **more: list[int]) -> dict[str, list[list[int]]]:
    """TEXT with these positions, padded on the left; the mask hides its second token."""
    ids = tokenizer(TEXT)["input_ids"]
    mask = [1, 0] + [1] * (len(ids) - 2) if hole else [1] * len(ids)
    rows = {"input_ids": ids, "attention_mask": mask, "position_ids": positions[: len(ids)], **more}
    return {name: [[0, 0, *row[: len(ids)]]] for name, row in rows.items()}


def closed_up(positions: list[int], kept: list[bool]) -> list[int]:
    """Token by token: one more than the last that was left of its stretch, or the beginning of the stretch."""
    left, following = [], 0
    for place, position in enumerate(positions):
        if place == 0 or position != positions[place - 1] + 1:
            following = position
        if kept[place]:
            left.append(following)
            following += 1
    return left


def by_hand(given: dict[str, list[list[int]]], occlusion: Any, gone: set[int]) -> dict[str, Tensor]:
    """The arguments of a plain forward without some tokens of an encoding."""
    rows = {name: row[0][2:] for name, row in given.items()}
    kept = [place not in gone for place in range(len(rows["input_ids"]))]
    if isinstance(occlusion, Replace):
        rows["input_ids"] = [token if there else 3 for token, there in zip(rows["input_ids"], kept, strict=True)]
    if isinstance(occlusion, Attend):
        rows["attention_mask"] = [mask * there for mask, there in zip(rows["attention_mask"], kept, strict=True)]
    if isinstance(occlusion, Drop):
        positions = closed_up(rows["position_ids"], kept)
        rows = {name: list(itertools.compress(row, kept)) for name, row in rows.items()} | {"position_ids": positions}
    return {name: torch.tensor([row]) for name, row in rows.items()}


def with_answer(rows: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same with the answer but its last token, which stands where the positions go on."""
    more = torch.tensor([ANSWER[:-1]])
    following = rows["position_ids"][:, -1:] + 1 + torch.arange(len(ANSWER) - 1)
    ends = {"input_ids": more, "attention_mask": torch.ones_like(more), "position_ids": following}
    if "token_type_ids" in rows:
        ends["token_type_ids"] = rows["token_type_ids"][:, -1:].expand_as(more)
    return {name: torch.cat([row, ends[name]], dim=1) for name, row in rows.items()}


def values_by_hand(model: Any, game: Any, given: Any, occlusion: Any, coalitions: Any, causal: bool) -> Tensor:
    values = []
    for coalition in coalitions.tolist():
        gone = {p for feature, there in zip(game.features, coalition, strict=True) if not there for p in feature.positions}
        rows = by_hand(given, occlusion, gone)
        with torch.no_grad():
            if causal:
                logits = model(**with_answer(rows)).logits[0, -len(ANSWER) :].log_softmax(-1)
                values.append(logits[range(len(ANSWER)), ANSWER])
            else:
                values.append(model(**rows).logits[0].log_softmax(-1)[:1])
    return torch.stack(values)


def every(game: Any) -> Tensor:
    """All coalitions but the empty one, of which Drop() leaves nothing but the stand-in."""
    return torch.tensor(list(itertools.product([False, True], repeat=game.n)))[1:]


@pytest.mark.parametrize("occlusion", OCCLUSIONS)
@pytest.mark.parametrize("name", each(["llama", "gpt2", "opt", "roberta_causal", "mistral_sliding"], ["llama", "gpt2"]))
def test_positions_of_a_language_model_are_read_as_given(name: str, occlusion: str) -> None:
    model, tokenizer, how = zoo.build(name), zoo.byte_bpe(), OCCLUSIONS[occlusion]
    for positions, hole in itertools.product(POSITIONS.values(), (False, True)):
        if hole and name == "mistral_sliding":
            continue
        given = encoded(tokenizer, positions, hole=hole)
        game = KernelShap(model, tokenizer, occlusion=how, progress=False).game(given, ANSWER)
        coalitions = every(game)
        assert torch.allclose(game(coalitions), values_by_hand(model, game, given, how, coalitions, True), atol=1e-4)


def test_prefixes_and_rows_are_shared_among_given_positions() -> None:
    """With the numbers of one forward each."""
    model, tokenizer = zoo.build("llama"), zoo.byte_bpe()
    ids = tokenizer(f"{TEXT} and the sea is")["input_ids"]
    given = {"input_ids": ids, "position_ids": [0, 1, 5, 6, 7, 2, 3, 4, 5, 6, 7, 8, 9][: len(ids)]}
    [fast] = ExactShapley(model, tokenizer, progress=False)(given, ANSWER)
    [plain] = ExactShapley(model, tokenizer, progress=False, share_prefixes=False)(given, ANSWER)
    assert torch.allclose(fast.values, plain.values, atol=1e-4) and fast.counts.tokens < 0.8 * plain.counts.tokens


@pytest.mark.parametrize("occlusion", OCCLUSIONS)
def test_positions_and_types_of_a_classifier_are_read_as_given(occlusion: str) -> None:
    model, tokenizer, how = zoo.build("bert"), zoo.wordpiece(), OCCLUSIONS[occlusion]
    given = encoded(tokenizer, POSITIONS["jumps"], token_type_ids=[0, 0, 1, 1, 0, 1, 0, 1], hole=True)
    game = KernelShap(model, tokenizer, occlusion=how, progress=False).game(given, 0)
    coalitions = every(game)
    assert torch.allclose(game(coalitions), values_by_hand(model, game, given, how, coalitions, False), atol=1e-5)


def test_types_of_a_language_model_are_read_as_given() -> None:
    """GPT-2 adds their embeddings; an answer's tokens are of the type of the prompt's last, as in `generate`."""
    model, tokenizer = zoo.build("gpt2"), zoo.byte_bpe()
    given = encoded(tokenizer, list(range(12)), token_type_ids=[7, 7, 8, 8, 7, 9, 9, 8, 8, 8, 8, 8])
    game = KernelShap(model, tokenizer, occlusion=Drop(), progress=False).game(given, ANSWER)
    coalitions = every(game)
    values = game(coalitions)
    assert torch.allclose(values, values_by_hand(model, game, given, Drop(), coalitions, True), atol=1e-4)
    del given["token_type_ids"]
    without = KernelShap(model, tokenizer, occlusion=Drop(), progress=False).game(given, ANSWER)
    assert (without(coalitions) - values).abs().max() > 0.01


@pytest.mark.parametrize("more", [{}, {"token_type_ids": [7, 7, 8, 8, 7, 9, 9, 8]}])
def test_answers_follow_given_positions(more: dict[str, list[int]]) -> None:
    """An answer of the model's own, and those to all coalitions, are those of `generate`."""
    model, tokenizer = zoo.build("gpt2"), zoo.byte_bpe()
    given = encoded(tokenizer, POSITIONS["jumps"], hole=True, **more)
    mode = ResponseSimilarity(generate={"max_new_tokens": 5, "min_new_tokens": 5})
    [result] = KernelShap(model, tokenizer, occlusion=Attend(), inference_mode=mode, progress=False)(given)
    answers, generate = set(), cast(Any, model).generate
    for coalition in result.coalitions.tolist():
        gone = {p for feature, there in zip(result.features, coalition, strict=True) if not there for p in feature.positions}
        rows = by_hand(given, Attend(), gone)
        if rows["attention_mask"].any():
            answers.add(tuple(generate(**rows, **mode.generate, do_sample=False)[0, -5:].tolist()))
    assert result.responses is not None and answers <= {answer.ids for [answer] in result.responses.answers}


def test_answers_are_embedded_after_given_positions() -> None:
    """Similarities are those of hidden states of plain forwards over each prompt, at its positions, and its answer."""
    model, tokenizer = zoo.build("gpt2"), zoo.byte_bpe()
    given = encoded(tokenizer, POSITIONS["jumps"], hole=True)
    mode = ResponseSimilarity(Contextual(after_prompt=True), generate={"max_new_tokens": 5, "min_new_tokens": 5})
    [result] = ExactShapley(model, tokenizer, occlusion=Attend(), inference_mode=mode, progress=False)(given)
    assert result.responses is not None

    def vector(answer: Any, gone: set[int]) -> Tensor:
        rows = by_hand(given, Attend(), gone)
        after = rows["position_ids"][:, -1:] + 1 + torch.arange(len(answer.ids))
        ends = {"input_ids": torch.tensor([answer.ids]), "attention_mask": torch.ones_like(after), "position_ids": after}
        with torch.no_grad():
            whole = model(**{name: torch.cat([rows[name], ends[name]], 1) for name in ends}, output_hidden_states=True)
        return whole.hidden_states[-1][0, -len(answer.ids) :].mean(0)

    [original] = result.responses.originals
    answers = [(set(), original), *((set(), answer) for [answer] in result.responses.answers)]
    for place, coalition in enumerate(result.coalitions.tolist()):
        left = zip(result.features, coalition, strict=True)
        answers[place + 1] = ({p for feature, there in left if not there for p in feature.positions}, answers[place + 1][1])
    vectors = [vector(answer, gone) for gone, answer in answers]
    by_cosine = [torch.cosine_similarity(vectors[0], other, dim=0).item() for other in vectors[1:]]
    said = torch.tensor([bool(text) for text in result.responses.texts]) & result.coalitions.any(1)
    assert said.sum() > 10
    assert torch.allclose(result.values[said, 0].float(), torch.tensor(by_cosine)[said], atol=1e-4)
    assert len({round(value, 3) for value in by_cosine}) > 3


def test_gradients_are_taken_at_given_positions() -> None:
    """Scores of integrated gradients sum to the difference of two plain forwards with these positions and this mask."""
    model, tokenizer = zoo.build("gpt2"), zoo.byte_bpe()
    given = encoded(tokenizer, POSITIONS["jumps"], hole=True)
    [result] = IntegratedGradients(model, tokenizer, steps=64, progress=False)(given, ANSWER)
    with torch.no_grad():
        rows = with_answer(by_hand(given, Attend(), set()))
        full = model(**rows).logits[0, -len(ANSWER) :].log_softmax(-1)[range(len(ANSWER)), ANSWER]
    assert torch.allclose(result.full.float(), full, atol=1e-4)


def test_positions_of_a_text_for_a_model_of_images() -> None:
    subject = family("llava")
    given = encoded(subject.processor.tokenizer, POSITIONS["jumps"])
    explainer = KernelShap(subject.model, subject.processor, granularity=Granularity.TOKEN, progress=False)
    game = explainer.game(given, ANSWER)
    coalitions = every(game)[::7]
    values = values_by_hand(subject.model, game, given, Drop(), coalitions, True)
    assert torch.allclose(game(coalitions), values, atol=1e-4)
