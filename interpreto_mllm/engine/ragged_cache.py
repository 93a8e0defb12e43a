"""Caches of rows that have read different numbers of tokens, joined so that all of them can read on together."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from interpreto_mllm.engine.cache import CacheRow, join


def holds_every_position(cache: Any) -> bool:
    """Whether every layer keeps one entry per token, so that what was read beyond a row's end can be cut off again."""
    from transformers.cache_utils import DynamicLayer

    return all(type(layer) is DynamicLayer for layer in cache.layers)


def join_right_padded(cached_rows: Sequence[CacheRow]) -> Any:
    """A new cache of the given rows, shorter ones padded on the right; what stands beyond a row's end must be hidden.

    For caches that hold an entry per token. The caches that the rows come from stay as they are.
    """
    caches = {id(cached.cache): cached.cache for cached in cached_rows}
    places = {key: [place for place, cached in enumerate(cached_rows) if id(cached.cache) == key] for key in caches}
    longest = max(cached.length for cached in cached_rows)
    joined = copy.copy(cached_rows[0].cache)
    joined.layers = [copy.copy(layer) for layer in joined.layers]
    in_order = len(caches) == 1 and [cached.row for cached in cached_rows] == list(range(len(joined.layers[0].keys)))
    for index, layer in enumerate(joined.layers):
        for name in ("keys", "values"):
            first = getattr(layer, name)
            if in_order:
                setattr(layer, name, first[:, :, :longest])
                continue
            whole = first.new_zeros(len(cached_rows), first.shape[1], longest, first.shape[3])
            for key, cache in caches.items():
                rows = _picked_rows(getattr(cache.layers[index], name), [cached_rows[place].row for place in places[key]])
                width = min(longest, rows.shape[2])
                whole[:, :, :width].index_copy_(0, torch.tensor(places[key], device=whole.device), rows[:, :, :width])
            setattr(layer, name, whole)
    return joined


def _picked_rows(tensor: Tensor, rows: list[int]) -> Tensor:
    return tensor if rows == list(range(len(tensor))) else tensor[rows]


def join_left_padded(cached_rows: Sequence[CacheRow]) -> Any:
    """A new cache of the given rows, shorter ones padded on the left with zeros.

    The caches that the rows come from stay as they are.
    """
    lengths = {cached.length for cached in cached_rows}
    if len(lengths) == 1:
        return join(cached_rows)
    joined = copy.copy(cached_rows[0].cache)
    joined.layers = [
        _left_padded_layer([cached.cache.layers[index] for cached in cached_rows], cached_rows, max(lengths))
        for index in range(len(joined.layers))
    ]
    return joined


def _left_padded_layer(layers: list[Any], cached_rows: Sequence[CacheRow], length: int) -> Any:
    joined = copy.copy(layers[0])
    for name, value in vars(joined).items():
        values = [getattr(layer, name) for layer in layers]
        if isinstance(value, Tensor) and name in ("keys", "values"):
            setattr(joined, name, _left_padded_rows(values, layers, cached_rows))
        elif name == "cumulative_length" and isinstance(value, int):
            setattr(joined, name, length)
        else:
            setattr(joined, name, _picked(values, cached_rows))
    return joined


def _left_padded_rows(tensors: list[Tensor], layers: list[Any], cached_rows: Sequence[CacheRow]) -> Tensor:
    """Entries of each row, ends aligned; a sliding layer has kept only the last ones and is never beyond a row's end."""
    rows = []
    for tensor, layer, cached in zip(tensors, layers, cached_rows, strict=True):
        row = tensor[cached.row]
        rows.append(row if getattr(layer, "is_sliding", False) else row[..., : cached.length, :])
    width = max(row.shape[-2] for row in rows)
    return torch.stack([torch.nn.functional.pad(row, (0, 0, width - row.shape[-2], 0)) for row in rows])


def _picked(values: list[Any], cached_rows: Sequence[CacheRow]) -> Any:
    """Rows of states that have no entry for each token, however they are nested."""
    first = values[0]
    if isinstance(first, Tensor) and first.ndim and first.numel():
        return torch.stack([value[cached.row] for value, cached in zip(values, cached_rows, strict=True)])
    if isinstance(first, list):
        return [_picked([value[index] for value in values], cached_rows) for index in range(len(first))]
    if isinstance(first, dict):
        return {key: _picked([value[key] for value in values], cached_rows) for key in first}
    return first
