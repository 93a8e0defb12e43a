"""Key-value and recurrent caches as values: rows of several caches joined into a new one, the originals unchanged."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from einops import repeat
from torch import Tensor


@dataclass(frozen=True, eq=False)
class CacheRow:
    """One row of a model's cache: everything it has read so far. `length` is the number of positions read."""

    cache: Any
    row: int
    length: int


def join(cached_rows: Sequence[CacheRow]) -> Any:
    """A new cache of the given rows, which must be equally long. The caches they come from stay as they are.

    Works on any cache of transformers made of layers that hold tensors with the batch first, recurrent states included.
    """
    caches: dict[int, Any] = {}
    rows: dict[int, list[int]] = {}
    for cached in cached_rows:
        caches.setdefault(id(cached.cache), cached.cache)
        rows.setdefault(id(cached.cache), []).append(cached.row)
    keys = [id(cached.cache) for cached in cached_rows]
    grouped = [position for key in caches for position, k in enumerate(keys) if k == key]
    order = None if grouped == sorted(grouped) else torch.tensor(grouped).argsort()
    first = next(iter(caches.values()))
    joined = copy.copy(first)
    joined.layers = [
        _join_layer([cache.layers[index] for cache in caches.values()], list(rows.values()), order)
        for index in range(len(first.layers))
    ]
    return joined


def _join_layer(layers: list[Any], rows: list[list[int]], order: Tensor | None) -> Any:
    joined = copy.copy(layers[0])
    for name, value in vars(joined).items():
        values = [getattr(layer, name) for layer in layers]
        if isinstance(value, Tensor):
            setattr(joined, name, _join_tensor(values, rows, order, grows=name in ("keys", "values")))
        elif isinstance(value, list):
            setattr(joined, name, [_join_state([v[index] for v in values], rows, order) for index in range(len(value))])
        elif isinstance(value, dict):
            states = {key: [v[key] for v in values] for key in value}
            setattr(joined, name, {key: _join_state(parts, rows, order) for key, parts in states.items()})
    return joined


def _join_state(parts: list[Any], rows: list[list[int]], order: Tensor | None) -> Any:
    return _join_tensor(parts, rows, order, grows=False) if isinstance(parts[0], Tensor) else parts[0]


def _join_tensor(tensors: list[Tensor], rows: list[list[int]], order: Tensor | None, grows: bool) -> Tensor:
    """Rows of batch-first tensors; states that only ever grow by concatenation are expanded, not copied, from a single row."""
    if tensors[0].ndim == 0 or tensors[0].numel() == 0:
        return tensors[0]
    if grows and len(tensors) == 1 and len(tensors[0]) == 1:
        return repeat(tensors[0], "1 ... -> b ...", b=len(rows[0]))
    indices = [torch.tensor(index, device=tensor.device) for tensor, index in zip(tensors, rows, strict=True)]
    picked = [tensor.index_select(0, index) for tensor, index in zip(tensors, indices, strict=True)]
    joined = torch.cat(picked) if len(picked) > 1 else picked[0]
    return joined if order is None else joined.index_select(0, order.to(joined.device))


def cached_length(cached: CacheRow | None) -> int:
    """Number of positions that a cache holds."""
    return 0 if cached is None else cached.length
