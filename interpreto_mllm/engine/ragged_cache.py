"""Caches of rows that have read different numbers of tokens, put side by side so that all read on together."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from interpreto_mllm.engine.cache import CacheRow, join


def holds_any_length(cache: Any) -> bool:
    """Whether every layer keeps one entry per token, so that what was read beyond a row's end can be cut off again."""
    from transformers.cache_utils import DynamicLayer

    return all(type(layer) is DynamicLayer for layer in cache.layers)


def join_ragged(snapshots: Sequence[CacheRow]) -> Any:
    """A new cache whose rows are the given snapshots', beginnings aligned; what stands beyond a row's end must be hidden.

    For caches that hold an entry per token. The caches they come from stay.
    """
    caches = {id(snapshot.cache): snapshot.cache for snapshot in snapshots}
    places = {key: [place for place, snapshot in enumerate(snapshots) if id(snapshot.cache) == key] for key in caches}
    longest = max(snapshot.length for snapshot in snapshots)
    joined = copy.copy(snapshots[0].cache)
    joined.layers = [copy.copy(layer) for layer in joined.layers]
    in_order = len(caches) == 1 and [snapshot.row for snapshot in snapshots] == list(range(len(joined.layers[0].keys)))
    for index, layer in enumerate(joined.layers):
        for name in ("keys", "values"):
            first = getattr(layer, name)
            if in_order:
                setattr(layer, name, first[:, :, :longest])
                continue
            whole = first.new_zeros(len(snapshots), first.shape[1], longest, first.shape[3])
            for key, cache in caches.items():
                rows = _picked_rows(getattr(cache.layers[index], name), [snapshots[place].row for place in places[key]])
                width = min(longest, rows.shape[2])
                whole[:, :, :width].index_copy_(0, torch.tensor(places[key], device=whole.device), rows[:, :, :width])
            setattr(layer, name, whole)
    return joined


def _picked_rows(tensor: Tensor, rows: list[int]) -> Tensor:
    return tensor if rows == list(range(len(tensor))) else tensor[rows]


def join_aligned(snapshots: Sequence[CacheRow]) -> Any:
    """A new cache whose rows are the given snapshots', their ends aligned: shorter rows are padded on the left with zeros.

    The caches they come from stay.
    """
    lengths = {snapshot.length for snapshot in snapshots}
    if len(lengths) == 1:
        return join(snapshots)
    joined = copy.copy(snapshots[0].cache)
    joined.layers = [
        _aligned_layer([snapshot.cache.layers[index] for snapshot in snapshots], snapshots, max(lengths))
        for index in range(len(joined.layers))
    ]
    return joined


def _aligned_layer(layers: list[Any], snapshots: Sequence[CacheRow], length: int) -> Any:
    joined = copy.copy(layers[0])
    for name, value in vars(joined).items():
        values = [getattr(layer, name) for layer in layers]
        if isinstance(value, Tensor) and name in ("keys", "values"):
            setattr(joined, name, _aligned_rows(values, layers, snapshots))
        elif name == "cumulative_length" and isinstance(value, int):
            setattr(joined, name, length)
        else:
            setattr(joined, name, _picked(values, snapshots))
    return joined


def _aligned_rows(tensors: list[Tensor], layers: list[Any], snapshots: Sequence[CacheRow]) -> Tensor:
    """Entries of each row, ends aligned; a sliding layer has kept only the last ones and is never beyond a row's end."""
    rows = []
    for tensor, layer, snapshot in zip(tensors, layers, snapshots, strict=True):
        row = tensor[snapshot.row]
        rows.append(row if getattr(layer, "is_sliding", False) else row[..., : snapshot.length, :])
    width = max(row.shape[-2] for row in rows)
    return torch.stack([torch.nn.functional.pad(row, (0, 0, width - row.shape[-2], 0)) for row in rows])


def _picked(values: list[Any], snapshots: Sequence[CacheRow]) -> Any:
    """Rows of states that have no place for each token, however they are nested."""
    first = values[0]
    if isinstance(first, Tensor) and first.ndim and first.numel():
        return torch.stack([value[snapshot.row] for value, snapshot in zip(values, snapshots, strict=True)])
    if isinstance(first, list):
        return [_picked([value[index] for value in values], snapshots) for index in range(len(first))]
    if isinstance(first, dict):
        return {key: _picked([value[key] for value in values], snapshots) for key in first}
    return first
