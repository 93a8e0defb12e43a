"""What is equal is described equally, in every process, and what differs is not."""

from __future__ import annotations

import functools
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from interpreto_mllm import Drop, Fill, InferenceModes, Replace, ResponseSimilarity, punctuation
from interpreto_mllm.core.description import describe
from interpreto_mllm.core.fingerprint import differences, incomparable
from interpreto_mllm.core.weights import weights
from interpreto_mllm.similarity import ExactMatch, TfIdf

FACTOR = 2.0


def doubled(logits: Any, targets: Any) -> Any:
    return logits * FACTOR


def scaled(by: float) -> Any:
    return lambda logits, targets: logits * by


@dataclass
class Scale:
    by: float

    def __call__(self, logits: Any, targets: Any) -> Any:
        return logits * self.by


class Plain:
    def __init__(self, by: float):
        self._by = by


VALUES = {
    "none": lambda: None,
    "text": lambda: "red",
    "long text": lambda: "red " * 99,
    "number": lambda: 0.1,
    "array": lambda: np.arange(6).reshape(2, 3),
    "array of another shape": lambda: np.arange(6).reshape(3, 2),
    "array of another type": lambda: np.arange(6, dtype=np.int32).reshape(2, 3),
    "tensor": lambda: torch.arange(6.0),
    "occlusion": lambda: Drop(),
    "other occlusion": lambda: Replace("_"),
    "fill": lambda: Fill("red"),
    "mode": lambda: InferenceModes.LOGITS,
    "similarity": lambda: ResponseSimilarity(similarity=TfIdf()),
    "other similarity": lambda: ResponseSimilarity(similarity=ExactMatch()),
    "set": lambda: {"b", "a", "c"},
    "mapping": lambda: {"a": 1, "b": 2},
    "function": lambda: doubled,
    "closure": lambda: scaled(2.0),
    "other closure": lambda: scaled(3.0),
    "lambda": lambda: lambda logits, targets: logits + 1,
    "other lambda": lambda: lambda logits, targets: logits + 2,
    "lambda with a default": lambda: lambda logits, targets=1: logits + 1,
    "partial": lambda: functools.partial(doubled, targets=None),
    "callable object": lambda: Scale(2.0),
    "other callable object": lambda: Scale(3.0),
    "private state": lambda: Plain(2.0),
    "other private state": lambda: Plain(3.0),
    "method": lambda: Scale(2.0).__call__,
    "module": lambda: torch.nn.LayerNorm(2),
}


def test_equal_values_are_described_equally_and_others_are_not() -> None:
    ones, others = ({name: describe(make()) for name, make in VALUES.items()} for _ in range(2))
    assert ones == others
    assert len(set(ones.values())) == len(ones)
    assert not any("0x" in one or "object at" in one for one in ones.values())


def test_another_process_describes_alike() -> None:
    script = """
from interpreto_mllm import Fill, ResponseSimilarity, punctuation
from interpreto_mllm.core.description import describe
from interpreto_mllm.similarity import TfIdf
print(describe(({"b", "a", "c"}, Fill("red"), ResponseSimilarity(similarity=TfIdf()), punctuation)))
"""
    there = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    here = describe(({"b", "a", "c"}, Fill("red"), ResponseSimilarity(similarity=TfIdf()), punctuation))
    assert there.stdout.strip() == here


def test_what_a_function_refers_to_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    before = describe(doubled)
    monkeypatch.setitem(globals(), "FACTOR", 3.0)
    assert describe(doubled) != before


def test_what_refers_to_itself_is_described() -> None:
    knot: list[Any] = [1]
    knot.append(knot)
    assert describe(knot) == "(1, …)"


def test_differences_are_named_and_unknown_content_is_not_one() -> None:
    there = {"text": "'a'", "model": "A #0123456789abcdef", "value function": "f #?"}
    assert differences(there, dict(there)) == []
    assert differences(there, {**there, "value function": "f #0123456789abcdef"}) == []
    assert differences(there, {**there, "value function": "g #0123456789abcdef"}) == [
        "value function: f #? there, g #0123456789abcdef here"
    ]
    assert differences(there, {**there, "model": "A #0123456789abcdee"}) == [
        "model: A #0123456789abcdef there, A #0123456789abcdee here"
    ]
    assert differences(there, {**there, "image 1": "b"}, free=("text",)) == ["image 1: none there, b here"]
    assert incomparable(there, there) == ["value function"]


def layers(*, size: int = 4, seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Linear(size, size), torch.nn.BatchNorm1d(size), torch.nn.Embedding(3, size))


def test_weights_of_a_small_model_are_read_whole() -> None:
    model, same = layers(), layers()
    assert weights(model) == weights(same) != weights(layers(seed=1))
    with torch.no_grad():
        model[2].weight[1, 2] += 1e-6
    assert weights(model) != weights(same)
    same[1].running_mean += 1
    assert weights(same) not in (weights(model), weights(layers()))
    assert weights(layers().half()) != weights(layers())


def test_weights_of_a_large_model_are_a_sample_of_every_tensor() -> None:
    def large() -> torch.nn.Module:
        return torch.nn.ModuleList([torch.nn.utils.skip_init(torch.nn.Linear, 1024, 1024) for _ in range(2)])

    model, views = large(), large()
    for one in (model, views):
        with torch.no_grad():
            for parameter in one.parameters():
                parameter.copy_(torch.linspace(0, 1, parameter.numel()).reshape(parameter.shape))
    views[0].weight = torch.nn.Parameter(views[0].weight.T.contiguous().T)
    assert not views[0].weight.is_contiguous()
    assert weights(model) == weights(views)
    with torch.no_grad():
        model[1].weight *= 1.001
    assert weights(model) != weights(views)


def test_weights_that_are_offloaded_are_read_where_they_are() -> None:
    from accelerate import cpu_offload

    model = layers()
    before = weights(model)
    cpu_offload(model, execution_device=torch.device("cpu"))
    assert next(model.parameters()).is_meta
    assert weights(model) == before
    assert next(model.parameters()).is_meta
    assert weights(layers().to("meta")) == before.rpartition("#")[0] + "#?"
