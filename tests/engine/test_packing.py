"""Several prompts in one row: each is answered as it would be alone."""

from __future__ import annotations

import functools
import logging
from typing import Any

import numpy as np
import pytest
import torch
from support.quick import each
from support.zoo import CAUSAL, build, byte_bpe

from interpreto_mllm import Drop, ExactShapley, Replace
from interpreto_mllm.engine.packed_rows import PackedRows
from interpreto_mllm.engine.packing import PackedSequence, pack
from interpreto_mllm.engine.queries import Score
from interpreto_mllm.prompts.model_input import ModelInput

PROMPT = "the sky is blue and the sea !"
REFUSED = {"lfm2", "mamba", "bloom", "roberta_causal", "gemma2", "gemma3_text", "mistral_sliding"}
"""Families that read each prompt in a row of its own: recurrent ones, those with short windows or positions of their own."""


def queries_of(seed: int) -> list[Score]:
    """Prompts of one text with words replaced or dropped, and answers of different lengths."""
    generator = np.random.default_rng(seed)
    base = generator.integers(10, 99, int(generator.integers(4, 30)))
    queries = []
    for kept in generator.random((40, len(base))) < generator.choice([0.5, 0.9]):
        ids = np.where(kept, base, 3) if seed % 2 else base[kept]
        queries.append(
            Score(ModelInput(np.concatenate([np.full(5, 7), ids])), tuple(range(100, 100 + generator.integers(1, 4))))
        )
    return list({query.key: query for query in queries}.values())


def packed_of(seed: int, capacity: int) -> tuple[list[Score], list[PackedSequence]]:
    queries = queries_of(seed)
    return queries, pack(queries, [query.input.ids for query in queries], capacity)


@pytest.mark.parametrize("seed", range(8))
def test_every_query_is_in_one_sequence_that_fits_its_row(seed: int) -> None:
    for capacity in (0, 30, 60, 10_000):
        queries, packed = packed_of(seed, capacity)
        assert sorted(member for sequence in packed for member in sequence.members) == list(range(len(queries)))
        for sequence in packed:
            assert [queries[member] for member in sequence.members] == list(sequence.queries)
            if len(sequence.queries) == 1:
                continue
            assert sequence.width(0) <= capacity
            begun = {tuple(query.input.ids[: sequence.prefix_length]) for query in sequence.queries}
            assert len(begun) == 1, "all of a sequence begin with what it says they share"
            distinct = {tuple(query.input.ids[:end]) for query in sequence.queries for end in range(1, len(query.input.ids))}
            answers = sum(len(query.target) for query in sequence.queries)
            assert sequence.width(0) == len(distinct) + answers, "no beginning is read twice"
    assert len(packed) < len(queries) / 2


@pytest.mark.parametrize("seed", range(8))
def test_a_token_of_a_row_sees_its_own_prompt_and_nothing_else(seed: int) -> None:
    _, packed = packed_of(seed, 10_000)
    for start in (0, 3, 5):
        rows = PackedRows(packed, start)
        for row, sequence in enumerate(packed):
            assert rows.occupied[row].sum() == len(sequence.queries)
            for place, query in enumerate(sequence.queries):
                read = [*query.input.ids.tolist(), *query.target[:-1]]
                first = rows.ids.shape[1] - (rows.occupied.shape[1] - place) * rows.slot_width
                for step in range(len(query.target)):
                    seen = rows.attention[row, first + step].nonzero()[:, 0]
                    seen = seen[rows.positions[row, seen].argsort()]
                    end = len(query.input.ids) + step
                    assert rows.positions[row, seen].tolist() == list(range(start, end))
                    assert rows.ids[row, seen].tolist() == read[start:end]
                    for earlier in range(len(seen)):
                        assert rows.attention[row, seen[earlier], seen].nonzero()[:, 0].tolist() == list(range(earlier + 1))


@pytest.mark.parametrize(
    ("family", "occlusion"),
    each(
        [(family, occlusion) for family in CAUSAL for occlusion in (Drop(), Replace("!"))],
        [*((family, Drop()) for family in CAUSAL), ("llama", Replace("!"))],
    ),
)
def test_packed_prompts_are_worth_what_they_are_alone(family: str, occlusion: Drop | Replace) -> None:
    model, tokenizer = build(family), byte_bpe()
    options: dict[str, Any] = {"occlusion": occlusion, "progress": False}
    masks = watch(model)
    [packed] = ExactShapley(model, tokenizer, **options)(PROMPT, " red lorry")
    used = sum(mask == 4 for mask in masks)
    [plain] = ExactShapley(model, tokenizer, **options, share_prefixes=False)(PROMPT, " red lorry")
    torch.testing.assert_close(packed.values, plain.values, atol=1e-5, rtol=1e-5)
    if family in REFUSED:
        assert used <= 2, "no more than a trial"
    else:
        assert used > 2
        assert packed.counts.tokens < 0.6 * plain.counts.tokens


def watch(model: torch.nn.Module) -> list[int]:
    """The number of dimensions of the mask of every forward of this one model, 0 where there is none."""
    found: list[int] = []
    forward = model.forward

    @functools.wraps(forward)
    def watched(*positional: Any, **named: Any) -> Any:
        mask = named.get("attention_mask")
        found.append(0 if mask is None else mask.ndim)
        return forward(*positional, **named)

    model.forward = watched
    return found


def test_answers_of_different_lengths_share_a_row() -> None:
    model, tokenizer = build("llama"), byte_bpe()
    targets = [" red lorry", "!"]
    masks = watch(model)
    packed = ExactShapley(model, tokenizer, progress=False)([PROMPT, PROMPT], targets)
    assert sum(mask == 4 for mask in masks) > 2
    plain = ExactShapley(model, tokenizer, share_prefixes=False, progress=False)([PROMPT, PROMPT], targets)
    for fast, slow in zip(packed, plain, strict=True):
        torch.testing.assert_close(fast.values, slow.values, atol=1e-5, rtol=1e-5)


def test_a_model_that_mixes_the_tokens_of_a_row_is_found_out(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="interpreto_mllm"):
        ExactShapley(build("lfm2"), byte_bpe(), progress=False)(PROMPT, " red")
    assert "looks past the mask" in caplog.text


def test_windows_longer_than_the_prompts_are_no_hindrance() -> None:
    model, tokenizer = build("mistral_sliding"), byte_bpe()
    config: Any = model.config
    config.sliding_window = 9
    explainer = ExactShapley(model, tokenizer, progress=False)
    masks = watch(model)
    explainer("the sky is blue and the sea", "!")
    assert 4 in masks
    masks.clear()
    explainer(PROMPT + " green and", "!")
    assert 4 not in masks


def test_a_row_that_does_not_fit_alone_is_read_prompt_by_prompt(caplog: pytest.LogCaptureFixture) -> None:
    model, tokenizer = build("llama"), byte_bpe()
    [expected] = ExactShapley(model, tokenizer, progress=False)("the sky is blue !", " red lorry")
    forward = model.forward

    @functools.wraps(forward)
    def small_memory(*positional: Any, **named: Any) -> Any:
        if named["input_ids"].shape[1] > 30:
            raise torch.OutOfMemoryError("the device is full")
        return forward(*positional, **named)

    model.forward = small_memory
    with caplog.at_level(logging.WARNING, logger="interpreto_mllm"):
        [result] = ExactShapley(model, tokenizer, progress=False)("the sky is blue !", " red lorry")
    assert "in a row of its own" in caplog.text
    torch.testing.assert_close(result.values, expected.values, atol=1e-5, rtol=1e-5)


def test_a_batch_of_rows_holds_no_more_than_a_batch_of_prompts() -> None:
    model, tokenizer = build("llama"), byte_bpe()
    forward, most = model.forward, 0

    @functools.wraps(forward)
    def weighed(*positional: Any, **named: Any) -> Any:
        nonlocal most
        most = max(most, named["input_ids"].numel())
        return forward(*positional, **named)

    model.forward = weighed
    for size in (1, 2, 8):
        most = 0
        ExactShapley(model, tokenizer, batch_size=size, progress=False)(PROMPT, " red")
        longest = len(tokenizer.encode(PROMPT + " red")) - 1
        assert most <= size * longest
