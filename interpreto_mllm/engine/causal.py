"""Causal language models: shared prefixes once, rows padded on the right, logits only where the answer is."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from interpreto_mllm.engine.batches import Batches
from interpreto_mllm.engine.cache import CacheRow, join
from interpreto_mllm.engine.device import input_device
from interpreto_mllm.engine.prefixes import Node, plan_prefixes
from interpreto_mllm.engine.queries import Mode, Query, Scored, pad

logger = logging.getLogger(__name__)

BLOCK = 8
"""Prefixes are continued together in blocks of this many batches, which bounds the memory that their caches take."""

NOTHING = torch.empty(0, dtype=torch.int64)
"""The positions whose logits a forward that only fills a cache is asked for."""


class CausalEngine:
    """Scores answers under a causal language model.

    Rows are padded on the right and need no attention mask: a causal model never looks there, so a value cannot depend on the
    batch. Beginnings that several rows share are computed once and their caches continued. A model whose continued caches do
    not give the plain forward's numbers (checked on the first use) is run by plain forwards.

    Args:
        model: the language model, already on its device.
        mode: from logits and target ids to values.
        batch_size: rows in a forward.
        share_prefixes: False for one plain forward per row, which is what the fast path is checked against.
    """

    def __init__(self, model: Any, mode: Mode, batch_size: int, share_prefixes: bool = True):
        self.model, self.mode = model, mode
        self.batches = Batches(batch_size)
        self.forwards = self.tokens = 0
        accepted = inspect.signature(model.forward).parameters
        self.cache_name = next((name for name in ("past_key_values", "cache_params") if name in accepted), None)
        self._accepts = {name for name in ("position_ids", "logits_to_keep") if name in accepted}
        self._shares: bool | None = None if share_prefixes and self.cache_name else False
        self._device = input_device(model)
        self._forward_cost = (96 if self._device.type == "cpu" else 2048) + len(model.get_input_embeddings().weight) // 512

    def score(self, queries: list[Query]) -> Iterator[Scored]:
        """Values of the target tokens of each query, batch by batch."""
        if queries:
            yield from self._walk([(self._planned(queries, [self._symbols(query) for query in queries]), None)], queries)

    def _planned(self, queries: Sequence[Query], symbols: list[Int[np.ndarray, "_"]]) -> Node:
        """Which beginnings to read once: none where that does not pay, or the model's caches cannot be continued."""
        if self._shares is not False and len(queries) > 1:
            root = plan_prefixes(symbols, self.batches.size, self._forward_cost)
            if root.children and self._shares is None:
                self._shares = self._continues_exactly(queries, root)
            if self._shares is not False:
                return root
        return Node(0, 0, leaves=list(range(len(queries))))

    def _symbols(self, query: Query) -> Int[np.ndarray, "l"]:
        """One number per token that is equal where what the model reads there is."""
        reading = query.reading
        return reading.ids * 2 + (1 if reading.seen is None else reading.seen.astype(np.int64))

    def _walk(self, block: list[tuple[Node, CacheRow | None]], queries: Sequence[Query]) -> Iterator[Scored]:
        """Score the leaves under these nodes, then go on to their children, a block at a time."""
        leaves = [(leaf, snapshot) for node, snapshot in block for leaf in node.leaves]
        yield from self._score_leaves(leaves, queries)
        children = [(child, snapshot) for node, snapshot in block for child in node.children]
        step = BLOCK * self.batches.size
        for start in range(0, len(children), step):
            yield from self._walk(self._extend(children[start : start + step], queries), queries)

    def _extend(
        self, nodes: list[tuple[Node, CacheRow | None]], queries: Sequence[Query]
    ) -> list[tuple[Node, CacheRow | None]]:
        """Read on from each node's parent to the node; rows of equal lengths go together, so nothing is padded."""
        extended: list[tuple[Node, CacheRow | None]] = []
        alike: dict[tuple[int, int], list[tuple[Node, CacheRow | None]]] = {}
        for node, snapshot in nodes:
            alike.setdefault((_length(snapshot), node.length), []).append((node, snapshot))
        for (start, end), group in alike.items():
            for batch, output in self.batches.run(group, lambda batch, a=start, b=end: self._read(batch, queries, a, b)):
                cache = output[self.cache_name]
                extended += [(node, CacheRow(cache, row, end)) for row, (node, _) in enumerate(batch)]
        return extended

    def _read(self, batch: list[tuple[Node, CacheRow | None]], queries: Sequence[Query], start: int, end: int) -> Any:
        rows = [queries[node.sample] for node, _ in batch]
        ids = torch.from_numpy(np.stack([row.reading.ids[start:end] for row in rows]))
        return self._forward(rows, ids, [snapshot for _, snapshot in batch], NOTHING, keep_cache=True)

    def _score_leaves(self, leaves: list[tuple[int, CacheRow | None]], queries: Sequence[Query]) -> Iterator[Scored]:
        alike: dict[int, list[tuple[int, CacheRow | None]]] = {}
        for leaf, snapshot in leaves:
            alike.setdefault(_length(snapshot), []).append((leaf, snapshot))
        for group in alike.values():
            work = self.batches.run(group, lambda batch: self._answer(batch, queries), lambda item: queries[item[0]].length)
            for batch, values in work:
                yield [leaf for leaf, _ in batch], values

    def _answer(self, batch: list[tuple[int, CacheRow | None]], queries: Sequence[Query]) -> Float[Tensor, "b t"]:
        """Values of the answers in one forward over what is left to read and the answers."""
        asked = [queries[leaf] for leaf, _ in batch]
        start = _length(batch[0][1])
        ids = pad([[*query.reading.ids[start:].tolist(), *query.target[:-1]] for query in asked])
        begins = torch.tensor([len(query.reading.ids) - 1 - start for query in asked])
        targets = pad([list(query.target) for query in asked])
        kept = torch.arange(int(begins.min()), min(int(begins.max()) + targets.shape[1], ids.shape[1]))
        logits = self._forward(asked, ids, [snapshot for _, snapshot in batch], kept, keep_cache=False).logits
        if "logits_to_keep" not in self._accepts:
            logits = logits[:, kept.to(logits.device)]
        at = (begins - begins.min())[:, None] + torch.arange(targets.shape[1])[None]
        if not (at == at[0]).all() or at.shape[1] != logits.shape[1]:
            rows = torch.arange(len(asked), device=logits.device)[:, None]
            logits = logits[rows, at.clamp_max(logits.shape[1] - 1).to(logits.device)]
        return self.mode(logits.float(), targets.to(logits.device)).float().cpu()

    def _forward(
        self,
        rows: list[Query],
        ids: Int[Tensor, "b l"],
        snapshots: list[CacheRow | None],
        kept: Int[Tensor, "k"],
        keep_cache: bool,
    ) -> Any:
        """One forward of the model over a part of these rows, continuing the snapshots if there are any.

        Positions are given only where the model's own would be wrong: after a cache, and under a mask. A family that counts
        them in its own way is thus found out by the check of continued caches, and run plainly.
        """
        start = _length(snapshots[0])
        arguments: dict[str, Any] = {"input_ids": ids.to(self._device)}
        if self.cache_name:
            arguments["use_cache"] = keep_cache or start > 0
        if start:
            arguments[str(self.cache_name)] = join([snapshot for snapshot in snapshots if snapshot is not None])
        masked = any(row.reading.seen is not None for row in rows)
        if "position_ids" in self._accepts and (start or masked):
            positions = torch.arange(start, start + ids.shape[1], device=self._device)
            arguments["position_ids"] = positions[None].expand(len(ids), -1)
        if "logits_to_keep" in self._accepts:
            arguments["logits_to_keep"] = kept.to(self._device)
        if masked:
            mask = torch.ones(len(ids), start + ids.shape[1], dtype=torch.int64)
            for row, query in enumerate(rows):
                if query.reading.seen is not None:
                    there = query.reading.seen[: mask.shape[1]]
                    mask[row, : len(there)] = torch.from_numpy(there)
            arguments["attention_mask"] = mask.to(self._device)
        self.forwards += 1
        self.tokens += ids.numel()
        return self._run(rows, start, arguments)

    def _run(self, rows: list[Query], start: int, arguments: dict[str, Any]) -> Any:
        """Call the model; `arguments` hold the ids of these rows from position `start` on."""
        return self.model(**arguments)

    def _continues_exactly(self, queries: Sequence[Query], root: Node) -> bool:
        """Whether one row through a continued cache equals its plain forward; logged where not."""
        node = root.children[0]
        try:
            [(_, snapshot)] = self._extend([(node, None)], queries)
            continued = self._answer([(node.sample, snapshot)], queries)
        except Exception as error:  # a model may refuse a cache in any way it likes: the plain forward then decides
            logger.info("%s cannot continue a cache (%s): using plain forwards.", type(self.model).__name__, error)
            return False
        return self._agrees(continued, self._answer([(node.sample, None)], queries), "continues a cache")

    def _agrees(self, fast: Float[Tensor, "*_"], plain: Float[Tensor, "*_"], what: str) -> bool:
        """Whether a faster path gives the plain one's numbers but for rounding; logged, as what the model does, where not."""
        tolerance = 1e-4 if self.model.dtype == torch.float32 else 0.1
        if torch.allclose(fast, plain, atol=tolerance, rtol=tolerance):
            return True
        worst = (fast - plain).abs().max().item()
        logger.info("%s %s inexactly (by %.1e): using plain forwards.", type(self.model).__name__, what, worst)
        return False


def _length(snapshot: CacheRow | None) -> int:
    return 0 if snapshot is None else snapshot.length
