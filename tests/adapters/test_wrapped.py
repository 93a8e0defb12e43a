"""Models that are compiled, tuned, quantised or wrapped have the values of plain forwards, and stay what they are."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import peft
import pytest
import torch
from support.zoo import build, byte_bpe, plain_ids, plain_values
from torch.distributed.device_mesh import init_device_mesh

from interpreto_mllm import IntegratedGradients, KernelShap

PROMPT, TARGET = "the sky is blue", [20, 30]
CLOSE = {"atol": 1e-4, "rtol": 1e-4}


@pytest.fixture
def processes() -> Iterator[None]:
    """A group of one process."""
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


def tuned() -> Any:
    settings = peft.LoraConfig(task_type="CAUSAL_LM", target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PEFT asks transformers under a former name
        torch.manual_seed(0)
        return peft.get_peft_model(build("llama"), settings).eval()


def merged() -> Any:
    return tuned().merge_and_unload()


def quantised() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.ao.quantization.quantize_dynamic(build("llama"), {torch.nn.Linear}, dtype=torch.qint8)


KINDS: dict[str, Callable[[], Any]] = {
    "compiled": lambda: torch.compile(build("llama"), backend="eager"),
    "LoRA": tuned,
    "LoRA, merged": merged,
    "dynamically quantised": quantised,
    "data parallel": lambda: torch.nn.DataParallel(build("llama")),
    "LoRA in data parallel": lambda: torch.nn.DataParallel(tuned()),
}


def explained(model: Any, **options: Any) -> Any:
    [result] = KernelShap(model, byte_bpe(), progress=False, **options)(PROMPT, TARGET)
    return result


@pytest.mark.parametrize("kind", KINDS)
def test_values_are_those_of_the_models_own_forwards(kind: str) -> None:
    model = KINDS[kind]()
    before = [(name, module.training) for name, module in model.named_modules()]
    with torch.compiler.set_stance("force_eager"):
        result = explained(model)
        ids = byte_bpe().encode(PROMPT)
        inner = getattr(model, "module", model)
        expected = [
            plain_values(inner, plain_ids(ids, result.features, row) or [byte_bpe().bos_token_id], TARGET)
            for row in result.coalitions.tolist()
        ]
    torch.testing.assert_close(result.values, torch.stack(expected), **CLOSE)
    assert [(name, module.training) for name, module in model.named_modules()] == before


@pytest.mark.parametrize("kind", ["LoRA", "dynamically quantised"])
def test_they_are_not_taken_for_the_model_that_they_were_made_of(kind: str) -> None:
    plain, changed = explained(build("llama")), explained(KINDS[kind]())
    assert float((plain.values - changed.values).abs().max()) > 1e-6
    with pytest.raises(ValueError, match="The earlier evaluations are of another game: "):
        KernelShap(KINDS[kind](), byte_bpe(), progress=False)(PROMPT, TARGET, evaluations=[plain])


def test_a_model_in_data_parallel_is_the_model_itself() -> None:
    plain, parallel = explained(build("llama")), explained(torch.nn.DataParallel(build("llama")))
    assert torch.equal(plain.values, parallel.values)
    assert plain.fingerprint == parallel.fingerprint


@pytest.mark.usefixtures("processes")
def test_a_model_in_distributed_data_parallel_is_the_model_itself_also_for_gradients() -> None:
    parallel = torch.nn.parallel.DistributedDataParallel(build("llama"))
    assert torch.equal(explained(parallel).values, explained(build("llama")).values)
    [found] = IntegratedGradients(parallel, byte_bpe(), steps=2, progress=False)(PROMPT, TARGET)
    [expected] = IntegratedGradients(build("llama"), byte_bpe(), steps=2, progress=False)(PROMPT, TARGET)
    assert torch.equal(found.attributions, expected.attributions)
    assert all(parameter.grad is None and parameter.requires_grad for parameter in parallel.parameters())


@pytest.mark.usefixtures("processes")
@pytest.mark.filterwarnings("ignore:FSDP is switching")
@pytest.mark.parametrize("inner", [False, True])
@pytest.mark.parametrize("method", [KernelShap, IntegratedGradients])
def test_sharded_models_are_refused_before_any_work(method: Any, inner: bool) -> None:
    from torch.distributed.fsdp import FullyShardedDataParallel, fully_shard

    model = build("llama")
    model.register_forward_pre_hook(lambda *_: pytest.fail("it was called"))
    if inner:
        fully_shard(model.model.layers[0], mesh=init_device_mesh("cpu", (1,)))
    else:
        model = FullyShardedDataParallel(model, device_id=torch.device("cpu"))
    with pytest.raises(ValueError, match="is sharded by FSDP: each process holds a part of every weight"):
        method(model, byte_bpe())


@pytest.mark.thorough
@pytest.mark.parametrize(
    "compiled", [lambda model: torch.compile(model, backend="eager"), lambda model: model.compile(backend="eager") or model]
)
def test_a_model_that_is_really_compiled(compiled: Callable[[Any], Any]) -> None:
    expected = explained(build("llama"))
    torch.testing.assert_close(explained(compiled(build("llama"))).values, expected.values, **CLOSE)
