"""What was evaluated, and which of it is a sample."""

from __future__ import annotations

import json
from dataclasses import fields, replace

import pytest
import torch

from interpreto_mllm.core.evaluations import Evaluations
from interpreto_mllm.core.responses import Response, Responses
from interpreto_mllm.core.serialization import pack, pack_evaluations, unpack, unpack_evaluations


def evaluations() -> Evaluations:
    """Five of eight coalitions; row 2 was drawn twice with other weights, row 3 never."""
    return Evaluations(
        torch.tensor([[0, 0, 0], [1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 1, 1]]).bool(),
        torch.tensor([[0.0, 1.0], [3.0, 2.0], [1.0, 1.0], [7.0, 7.0], [2.0, 0.1]], dtype=torch.float64),
        torch.tensor([2, 4, 2]),
        torch.tensor([2.0, 3.0, 5.0], dtype=torch.float64),
        torch.tensor([0, 0, -1]),
        repeats=torch.arange(20.0, dtype=torch.float64).reshape(2, 5, 2),
    )


def test_the_sample_leaves_out_what_was_never_drawn() -> None:
    every, sample = evaluations(), evaluations().drawn
    kept = [0, 1, 2, 4]
    assert torch.equal(sample.coalitions, every.coalitions[kept])
    assert torch.equal(sample.values, every.values[kept])
    assert sample.repeats is not None and every.repeats is not None
    assert torch.equal(sample.repeats, every.repeats[:, kept])
    assert torch.equal(sample.coalitions[sample.draws], every.coalitions[every.draws])
    assert torch.equal(sample.weights, every.weights) and torch.equal(sample.chains, every.chains)
    assert sample.drawn is sample


def test_all_coalitions_are_their_own_sample() -> None:
    codes = torch.tensor([0, 7, 1, 2, 3, 4, 5, 6])
    every = replace(
        evaluations(), coalitions=(codes[:, None] >> torch.arange(3) & 1).bool(), values=torch.zeros(8, 2), repeats=None
    )
    assert every.complete and every.drawn is every
    assert not evaluations().complete


def test_weights_of_a_coalition_drawn_twice_are_averaged() -> None:
    assert evaluations().merged_weights().tolist() == [1.0, 1.0, 3.5, 0.0, 3.0]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_numbers_come_back_from_json_as_they_were(dtype: torch.dtype) -> None:
    special = [0.0, -0.0, 0.1, 1 / 3, 2.0**-14, torch.inf, -torch.inf, torch.nan]
    tensor = torch.tensor(special, dtype=torch.float64).to(dtype).reshape(2, 4)
    packed = pack(tensor)
    back = unpack(json.loads(json.dumps(packed, allow_nan=False)))
    assert back.dtype == dtype and back.shape == tensor.shape
    assert torch.equal(back.nan_to_num(nan=9.0), tensor.nan_to_num(nan=9.0))
    assert torch.equal(back.signbit(), tensor.signbit())


def test_evaluations_come_back_from_json_as_they_were() -> None:
    answers = (Response("red .", (4, 5), -0.25), Response("blue", (6,)))
    said = tuple((answers[row % 2],) for row in range(5))
    responses = Responses((answers[0],), (0,), said, 1, {"max_new_tokens": 2})
    every = replace(evaluations(), responses=responses, fingerprint={"text": "'a'"})
    back = unpack_evaluations(json.loads(json.dumps(pack_evaluations(every), allow_nan=False)))
    assert vars(back.responses) == vars(responses)
    for field in fields(Evaluations):
        before, after = getattr(every, field.name), getattr(back, field.name)
        if field.name != "responses":
            assert torch.equal(after, before) if isinstance(before, torch.Tensor) else after == before
