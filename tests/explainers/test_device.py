"""The model stays on its device, and another one is refused with the way to move it."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from interpreto_mllm import KernelShap, Occlusion, RemoteModel


@pytest.mark.parametrize("device", ["cpu", "cpu:0", torch.device("cpu"), None])
def test_the_models_own_device_is_accepted(recall: Any, device: Any) -> None:
    [result] = Occlusion(*recall, device=device, progress=False)("the apple is red .", " red")
    assert result.attributions.isfinite().all()


def test_another_device_is_refused_with_the_way_to_move_the_model(recall: Any) -> None:
    with pytest.raises(
        ValueError, match=r"device='cuda:1', but the model is on cpu and is never moved: call model.to\('cuda:1'\)"
    ):
        KernelShap(*recall, device="cuda:1")
    with pytest.raises(ValueError, match="device must be one of torch's, such as 'cuda:0'; got 'gpu'"):
        KernelShap(*recall, device="gpu")
    with pytest.raises(ValueError, match="a served model is on no device of this process"):
        KernelShap(RemoteModel("http://localhost:9", "some"), device="cpu")
