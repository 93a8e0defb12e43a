"""Causal language models that read several prompts in one row, each seeing its own tokens alone."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from interpreto_mllm.engine.batches import out_of_memory
from interpreto_mllm.engine.cache import CacheRow, join
from interpreto_mllm.engine.causal import CausalEngine
from interpreto_mllm.engine.packing import PackedRows, PackedSequence, bundled
from interpreto_mllm.engine.queries import Mode, Query, Scored, pad

logger = logging.getLogger(__name__)

LIMIT = re.compile(r"window(_size|_len)?$|chunk_(size|length)$|^max_position_embeddings$")
"""Settings that tell how far a layer sees, by the names that models give them."""

STEPS = 4
"""Rows with numbers of prompts within a factor of 2 ** (1 / 4) go together, so that little of them is padding."""


class PackedEngine(CausalEngine):
    """Scores answers under a causal language model for text; what neighbouring prompts share is read once within a row.

    A mask lets each token see what comes before it in its own prompt and nothing else, and positions count from the prompt's
    beginning, so that a token's output is what it would be alone. Models that do not obey such masks (recurrent ones, or
    windows shorter than a prompt) are found out on the first use, and read each prompt in a row of its own.

    Args:
        model: the language model, already on its device.
        mode: from logits and target ids to values.
        batch_size: rows in a forward; longer rows are fewer, so that they take no more memory.
        share_prefixes: False for one plain forward per row, which is what the fast path is checked against.
    """

    def __init__(self, model: Any, mode: Mode, batch_size: int, share_prefixes: bool = True):
        super().__init__(model, mode, batch_size, share_prefixes)
        self._packs: bool | None = None if self._shares is None and "position_ids" in self._accepts else False
        self._span = _span(model)

    def score(self, queries: list[Query]) -> Iterator[Scored]:
        """Values of the target tokens of each query, batch by batch."""
        if not queries:
            return
        symbols = [self._symbols(query) for query in queries]
        bundles = bundled(queries, symbols, self._room(queries))
        several = next((bundle for bundle in bundles if len(bundle.queries) > 1), None)
        if self._packs is None and several is not None:
            self._packs = self._packs_exactly(several.pair())
            bundles = bundles if self._packs else bundled(queries, symbols, 0)
        beginnings = [symbols[bundle.members[0]][: bundle.beginning + 1] for bundle in bundles]
        yield from self._walk([(self._planned(bundles, beginnings), None)], bundles)

    def _room(self, queries: list[Query]) -> int:
        """How long a row of several of these queries may be; 0 for none."""
        longest = max(query.length for query in queries)
        if self._packs is False or longest > self._span or any(query.reading.seen is not None for query in queries):
            return 0
        return int(min(self.batches.size * longest, self._span))

    def _score_leaves(self, leaves: list[tuple[int, CacheRow | None]], queries: Sequence[Query]) -> Iterator[Scored]:
        """Bundles of several queries by rows with a mask, the others as they are."""
        bundles = [query for query in queries if isinstance(query, PackedSequence)]
        alike: dict[tuple[int, int], list[tuple[PackedSequence, CacheRow | None]]] = {}
        alone = []
        for leaf, snapshot in leaves:
            if len(bundles[leaf].queries) == 1:
                alone.append((leaf, snapshot))
            else:
                start = 0 if snapshot is None else snapshot.length
                count = round(STEPS * math.log2(len(bundles[leaf].queries)))
                alike.setdefault((start, count), []).append((bundles[leaf], snapshot))
        for chosen, values in super()._score_leaves(alone, queries):
            yield [bundles[leaf].members[0] for leaf in chosen], values
        for (start, _), group in alike.items():
            bulk = max(1.0, max(self._bulk(bundle, start) for bundle, _ in group))
            for batch, values in self.batches.run(group, self._answer_bundles, lambda item, s=start: item[0].width(s), bulk):
                yield [member for bundle, _ in batch for member in bundle.members], values

    def _bulk(self, bundle: PackedSequence, start: int) -> float:
        """How many plain rows take as much memory: keys and values at all positions, logits at those of answers."""
        vocabulary, hidden = self.model.get_input_embeddings().weight.shape
        depth = hidden * getattr(self.model.config.get_text_config(), "num_hidden_layers", 1)
        plain = max(query.length * depth + len(query.target) * vocabulary for query in bundle.queries)
        answers = sum(len(query.target) for query in bundle.queries)
        return ((start + bundle.width(start)) * depth + answers * vocabulary) / plain

    def _answer_bundles(self, batch: list[tuple[PackedSequence, CacheRow | None]]) -> Float[Tensor, "q t"]:
        """Values of the answers to all queries of some bundles: in one forward, or one by one where not even a row fits."""
        try:
            return self._answer_rows(batch)
        except (torch.OutOfMemoryError, RuntimeError, MemoryError) as error:
            if len(batch) > 1 or not out_of_memory(error):
                raise
        [(bundle, snapshot)] = batch
        logger.warning("Out of memory with %d prompts in a row: each is read in a row of its own.", len(bundle.queries))
        alone = [self._answer([(place, snapshot)], bundle.queries)[0] for place in range(len(bundle.queries))]
        return torch.nn.utils.rnn.pad_sequence(alone, batch_first=True)

    def _answer_rows(self, batch: list[tuple[PackedSequence, CacheRow | None]]) -> Float[Tensor, "q t"]:
        """Values of the answers to all queries of some bundles, in one forward."""
        snapshots = [snapshot for _, snapshot in batch if snapshot is not None]
        rows = PackedRows([bundle for bundle, _ in batch], snapshots[0].length if snapshots else 0)
        logits = self._read_rows(rows, snapshots)
        targets = pad([list(query.target) for bundle, _ in batch for query in bundle.queries])
        return self.mode(logits.float(), targets.to(logits.device)).float().cpu()

    def _read_rows(self, rows: PackedRows, snapshots: list[CacheRow]) -> Float[Tensor, "q t v"]:
        """What each query of the rows lets expect where its answer is."""
        looks = torch.nn.functional.pad(rows.looks, (rows.start, 0), value=True).to(self._device)[:, None]
        mask = torch.zeros(looks.shape, dtype=self.model.dtype, device=self._device)
        arguments: dict[str, Any] = {
            "input_ids": rows.ids.to(self._device),
            "position_ids": rows.positions.to(self._device),
            "attention_mask": mask.masked_fill(~looks, torch.finfo(mask.dtype).min),
            "use_cache": rows.start > 0,
        }
        if rows.start:
            arguments[str(self.cache_name)] = join(snapshots)
        answers = rows.filled.shape[1] * rows.room
        if "logits_to_keep" in self._accepts:
            arguments["logits_to_keep"] = answers
        self.forwards += 1
        self.tokens += rows.ids.numel()
        logits = self.model(**arguments).logits[:, -answers:].unflatten(1, (-1, rows.room))
        return logits[rows.filled.to(logits.device)]

    def _packs_exactly(self, pair: PackedSequence) -> bool:
        """Whether two queries in a row have the values of plain forwards, and one does not see the other; logged where not."""
        plain = self._answer([(0, None), (1, None)], pair.queries)
        targets = pad([list(query.target) for query in pair.queries])
        lengths = [len(query.target) for query in pair.queries]
        try:
            rows = PackedRows([pair], 0)
            logits = self._read_rows(rows, [])
            hidden = ~rows.looks[:, lengths[1] - 1 - rows.room]
            rows.ids[hidden] = (rows.ids[hidden] + 1) % len(self.model.get_input_embeddings().weight)
            leaks = not torch.equal(self._read_rows(rows, [])[1, : lengths[1]], logits[1, : lengths[1]])
        except Exception as error:  # a model may refuse a mask in any way it likes: rows of their own then decide
            logger.info("%s cannot read several prompts in a row (%s).", type(self.model).__name__, error)
            return False
        if leaks:
            logger.info("%s looks past the mask that keeps the prompts in a row apart.", type(self.model).__name__)
            return False
        packed = self.mode(logits.float(), targets.to(logits.device)).float().cpu()
        there = torch.arange(rows.room) < torch.tensor(lengths)[:, None]
        return self._agrees(packed[there], plain[there], "reads several prompts in a row")


def _span(model: Any) -> float:
    """How long a row may be for every layer to see all of it: our masks would take the place of windows, or meet them."""
    settings = model.config.get_text_config().to_dict()
    limits = [value for name, value in settings.items() if LIMIT.search(name) and isinstance(value, int) and value > 0]
    return float(min(limits, default=float("inf")))
