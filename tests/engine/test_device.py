"""Models that accelerate has spread over devices: inputs follow the model, and nothing is moved."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from accelerate import cpu_offload, disk_offload, dispatch_model
from support.zoo import build, byte_bpe, wordpiece

from interpreto_mllm import ExactShapley

PROMPT = "the sky is blue"
SPREAD = {
    "one device": lambda model, folder: dispatch_model(model, {"": "cpu"}, force_hooks=True),
    "weights in memory": lambda model, folder: cpu_offload(model, torch.device("cpu")),
    "weights on disk": lambda model, folder: disk_offload(model, folder, torch.device("cpu")),
}


def places(model: Any) -> dict[str, tuple[torch.device, int]]:
    """Where each weight lies."""
    return {name: (weight.device, weight.data_ptr()) for name, weight in model.named_parameters()}


@pytest.mark.parametrize("spread", SPREAD)
@pytest.mark.parametrize("family", ["llama", "t5", "bert"])
def test_models_spread_over_devices(family: str, spread: str, tmp_path: Any) -> None:
    model, tokenizer = build(family), wordpiece() if family == "bert" else byte_bpe()
    target = 1 if family == "bert" else " red is"
    [expected] = ExactShapley(model, tokenizer, progress=False)(PROMPT, target)
    options = {} if family == "bert" else {"generate": {"max_new_tokens": 2}}
    [own] = ExactShapley(model, tokenizer, progress=False, **options)(PROMPT)
    model = SPREAD[spread](model, tmp_path)
    assert model.get_input_embeddings().weight.device.type == ("cpu" if spread == "one device" else "meta")
    before = places(model)
    [result] = ExactShapley(model, tokenizer, progress=False)(PROMPT, target)
    torch.testing.assert_close(result.values, expected.values, atol=1e-5, rtol=1e-5)
    [answered] = ExactShapley(model, tokenizer, progress=False, **options)(PROMPT)
    assert answered.targets == own.targets
    assert places(model) == before
