"""A digest of a model's weights, from a sample that is read where the weights lie."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Shaped
from torch import Tensor, nn

from interpreto_mllm.core.fingerprint import UNKNOWN, hashed

ALL_UP_TO = 1_000_000
"""Models with no more numbers are read whole."""

CHUNK, CHUNKS_OF_A_TENSOR, CHUNKS = 256, 8, 4096
"""Of larger models: numbers read in a row, how many such rows of a tensor, and how many of a model."""


def weights(model: nn.Module) -> str:
    """How many weights of which type a model has, and a digest of them: all of a small model, a fixed sample of a large one.

    Weights stay on their device. Those that accelerate keeps in memory are read there; those that lie on a disk, or nowhere,
    are not compared, and the digest is `#?`.

    Example:
        >>> weights(nn.LayerNorm(2))
        '4 numbers of float32 in 2 tensors #...'
    """
    named = list(_tensors(model))
    size = sum(tensor.numel() for _, tensor in named)
    types = sorted({str(tensor.dtype).removeprefix("torch.") for _, tensor in named})
    head = f"{size:,} numbers of {', '.join(types)} in {len(named):,} tensors"
    if any(tensor.is_meta for _, tensor in named):
        return f"{head} {UNKNOWN}"
    chunks = None if size <= ALL_UP_TO else max(1, min(CHUNKS_OF_A_TENSOR, CHUNKS // len(named)))
    parts: list[str | bytes] = []
    for name, tensor in named:
        parts += [name, str(tuple(tensor.shape)), _bytes(_sample(tensor, chunks))]
    return f"{head} {hashed(*parts)}"


def _tensors(model: nn.Module) -> Iterator[tuple[str, Shaped[Tensor, "..."]]]:
    """Parameters, and the buffers that are saved with them; those of packed types as the plain tensors inside."""
    for place, module in model.named_modules():
        buffers = {name: one for name, one in module._buffers.items() if name not in module._non_persistent_buffers_set}
        for name, tensor in {**module._parameters, **buffers}.items():
            if tensor is not None:
                yield from _plain(f"{place}.{name}", _offloaded(module, name) if tensor.is_meta else tensor.detach())


def _plain(name: str, tensor: Shaped[Tensor, "..."] | None) -> Iterator[tuple[str, Shaped[Tensor, "..."]]]:
    if tensor is None:
        return
    if hasattr(tensor, "__tensor_flatten__"):  # of tensors made of others: quantised, sharded
        for inner in tensor.__tensor_flatten__()[0]:  # pyright: ignore[reportAttributeAccessIssue]
            yield from _plain(f"{name}.{inner}", getattr(tensor, inner).detach())
    else:
        yield name, tensor


def _offloaded(module: Any, name: str) -> Shaped[Tensor, "..."]:
    """What accelerate keeps of a weight in memory; the empty one where it keeps it elsewhere."""
    hook = getattr(module, "_hf_hook", None)
    for one in getattr(hook, "hooks", (hook,)):
        kept = getattr(one, "weights_map", None)
        prefix, kept = getattr(kept, "prefix", ""), getattr(kept, "dataset", kept)
        memory = kept if isinstance(kept, dict) else getattr(kept, "state_dict", {})
        if isinstance(found := memory.get(f"{prefix}{name}"), Tensor):
            return found
    return {**module._parameters, **module._buffers}[name]


def _sample(tensor: Shaped[Tensor, "..."], chunks: int | None) -> Shaped[Tensor, "_"]:
    """All numbers, or some rows of neighbours at even distances."""
    size = tensor.numel()
    if chunks is None or size <= chunks * CHUNK:
        return tensor.flatten()
    starts = torch.linspace(0, size - CHUNK, chunks, dtype=torch.float64).long()
    places = (starts[:, None] + torch.arange(CHUNK)).flatten().to(tensor.device)
    if tensor.is_contiguous():
        return tensor.view(-1)[places]
    return tensor[torch.unravel_index(places, tensor.shape)]


def _bytes(numbers: Shaped[Tensor, "_"]) -> bytes:
    return numbers.cpu().contiguous().view(torch.uint8).numpy().tobytes() if numbers.numel() else b""
