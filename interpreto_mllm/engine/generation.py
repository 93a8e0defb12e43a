"""Models that answer: batched decoding whose rows read on together, each as it would alone."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interpreto_mllm.engine.aligned import holds_any_length, join_aligned
from interpreto_mllm.engine.cache import Snapshot, join
from interpreto_mllm.engine.causal import CausalEngine
from interpreto_mllm.engine.decoding import Decoding
from interpreto_mllm.engine.encoder import _WholeReading
from interpreto_mllm.engine.multimodal import MultimodalEngine
from interpreto_mllm.engine.query import Query, Scored, pad
from interpreto_mllm.engine.trie import Node
from interpreto_mllm.prompts.occlusion import Reading
from interpreto_mllm.prompts.processing import Processing

logger = logging.getLogger(__name__)

OVER = -1
"""Fills the rows of answers that are shorter than others."""

Leaf = tuple[int, "Snapshot | None"]


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows that are being answered: the scores of the next token, the cache, what may be seen of it, how much each has read."""

    logits: Float[Tensor, "b v"]
    cache: Any
    seen: Bool[Tensor, "b l"]
    lengths: Int[Tensor, "b"]

    def kept(self, rows: Int[Tensor, "_"]) -> Rows:
        """Only these rows."""
        cache = join([Snapshot(self.cache, row, self.seen.shape[1]) for row in rows.tolist()])
        return Rows(self.logits[rows], cache, self.seen[rows], self.lengths[rows])


class CausalSpeaker(CausalEngine):
    """Answers under a causal language model; `score` gives the ids of each answer, and `Query.target` numbers its draw.

    What all rows begin with is computed once. Rows read on side by side, shorter ones padded on the left of the cache, with
    positions of their own, until each has ended. Settings that the loop here does not know, and models whose rows do not give
    the plain forward's numbers side by side (checked on the first use), are left to `model.generate`, rows of equal lengths
    together.

    Args:
        model: the language model, already on its device.
        decoding: how it answers.
        batch_size: rows in a forward.
        share_prefixes: False for one `model.generate` per row, which is what the fast path is checked against.
    """

    def __init__(self, model: Any, decoding: Decoding, batch_size: int, share_prefixes: bool = True, **parts: Any):
        super().__init__(model, _chosen, batch_size, share_prefixes, **parts)
        self.decoding = decoding
        self._alone = not share_prefixes
        self._side_by_side: bool | None = None if share_prefixes and self.cache_name and decoding.plain else False
        self._any_length = False

    def _walk(self, block: list[tuple[Node, Snapshot | None]], queries: list[Query]) -> Iterator[Scored]:
        """Answer all queries, those under a shared beginning from its snapshot."""
        if self._side_by_side is None:
            self._side_by_side = self._answers_exactly(queries)
        if not self._side_by_side:
            yield from self._by_generate(queries)
            return
        [(root, _)] = block
        begun = self._extend([(child, None) for child in root.children], queries)
        leaves: list[Leaf] = [(leaf, None) for leaf in root.leaves]
        leaves += [(leaf, snapshot) for node, snapshot in begun for leaf in _under(node)]
        work = self.batches.run(
            leaves, lambda batch: self._speak(batch, queries), lambda leaf: len(queries[leaf[0]].reading.ids)
        )
        for batch, said in work:
            yield [leaf for leaf, _ in batch], said

    def _speak(self, batch: list[Leaf], queries: list[Query]) -> Int[Tensor, "b t"]:
        """The ids of each row's answer, read out token by token."""
        asked = [queries[leaf] for leaf, _ in batch]
        draws = None
        if self.decoding.sampled:
            draws = torch.stack([self.decoding.chances(query.key) for query in asked]).to(self._device)
        endings = torch.tensor(self.decoding.endings, dtype=torch.int64, device=self._device)
        said = torch.full((len(batch), self.decoding.limit), OVER, device=self._device)
        live = torch.arange(len(batch), device=self._device)
        rows = self._begin(asked, [snapshot for _, snapshot in batch])
        for step in range(self.decoding.limit):
            tokens = self.decoding.choose(rows.logits, None if draws is None else draws[live, step])
            going = (~torch.isin(tokens, endings)).nonzero()[:, 0]
            if len(going) < len(tokens):
                rows, live, tokens = rows.kept(going) if len(going) else rows, live[going], tokens[going]
            said[live, step] = tokens
            if not len(live) or step + 1 == self.decoding.limit:
                break
            rows = self._read_on(rows, tokens)
        return said.cpu()

    def _begin(self, asked: list[Query], snapshots: list[Snapshot | None]) -> Rows:
        """Read the prompts, continuing the snapshots, and put the rows side by side."""
        alike: dict[tuple[int, int], list[int]] = {}
        for index, (query, snapshot) in enumerate(zip(asked, snapshots, strict=True)):
            start = 0 if snapshot is None else snapshot.length
            alike.setdefault((start, 0 if self._any_length else len(query.reading.ids)), []).append(index)
        logits: dict[int, Tensor] = {}
        ends: dict[int, Snapshot] = {}
        for (start, _), group in alike.items():
            readings = [asked[index].reading for index in group]
            lasts = torch.tensor([len(reading.ids) - 1 - start for reading in readings])
            kept = lasts.unique()
            output = self._forward(
                [asked[index] for index in group],
                pad([torch.from_numpy(reading.ids[start:]) for reading in readings]),
                [snapshots[index] for index in group],
                kept,
                keep_cache=True,
            )
            at = torch.searchsorted(kept, lasts) if "logits_to_keep" in self._accepts else lasts
            for row, index in enumerate(group):
                logits[index] = output.logits[row, at[row]]
                ends[index] = Snapshot(output[self.cache_name], row, len(readings[row].ids))
        places = range(len(asked))
        cache = join_aligned([ends[index] for index in places])
        seen = _seen([query.reading for query in asked]).to(self._device)
        lengths = torch.tensor([ends[index].length for index in places], device=self._device)
        return Rows(torch.stack([logits[index] for index in places]), cache, seen, lengths)

    def _read_on(self, rows: Rows, tokens: Int[Tensor, "b"]) -> Rows:
        """Every row one token further."""
        seen = torch.cat([rows.seen, torch.ones_like(rows.seen[:, :1])], dim=1)
        arguments: dict[str, Any] = {"input_ids": tokens[:, None], "use_cache": True, str(self.cache_name): rows.cache}
        if "position_ids" in self._accepts:
            arguments["position_ids"] = rows.lengths[:, None]
        if not seen.all():
            arguments["attention_mask"] = seen.long()
        self.forwards += 1
        self.tokens += len(tokens)
        output = self.model(**arguments)
        return Rows(output.logits[:, -1], output[self.cache_name], seen, rows.lengths + 1)

    def _answers_exactly(self, queries: list[Query]) -> bool:
        """Whether two rows of different lengths, read on side by side, give what each does alone; logged where not."""
        longest = max((query.reading.ids for query in queries), key=len)
        halves = [Query(Reading(ids), (0,)) for ids in (longest, longest[: (len(longest) + 1) // 2])]
        plain = torch.cat([self._plain(query, int(query.reading.ids[-1])) for query in halves])
        tolerance = 1e-4 if self.model.dtype == torch.float32 else 0.1
        worst = ""
        for ragged in (self._ragged(halves[0]), False):
            self._any_length = ragged
            try:
                rows = self._begin(halves, [None, None])
                tokens = torch.tensor([int(query.reading.ids[-1]) for query in halves], device=self._device)
                stepped = self._read_on(rows, tokens).logits.float()
            except Exception as error:  # a model may refuse a cache in any way it likes: generate then decides
                worst = str(error)
                continue
            scale = plain.abs().max().clamp_min(1)
            if (stepped - plain).abs().max() <= tolerance * scale:
                return True
            worst = f"off by {(stepped - plain).abs().max().item():.1e}"
        logger.info("%s cannot answer rows side by side (%s): using generate.", type(self.model).__name__, worst)
        return False

    def _ragged(self, query: Query) -> bool:
        """Whether what is read beyond a row's end can be cut off this model's cache."""
        first = Query(Reading(query.reading.ids[:1]), (0,))
        ids = torch.from_numpy(first.reading.ids)[None]
        try:
            return holds_any_length(self._forward([first], ids, [None], torch.tensor([0]), keep_cache=True)[self.cache_name])
        except Exception as error:  # likewise
            logger.info("%s gives no cache that can be cut (%s).", type(self.model).__name__, error)
            return False

    def _plain(self, query: Query, token: int) -> Float[Tensor, "1 v"]:
        """What one plain forward expects after the prompt and one more token."""
        ids = torch.tensor([[*query.reading.ids.tolist(), token]])
        last = torch.tensor([ids.shape[1] - 1])
        return self._forward([query], ids, [None], last, keep_cache=False).logits[:, -1].float()

    def _by_generate(self, queries: list[Query]) -> Iterator[Scored]:
        """Answers of `model.generate`, rows of equal lengths together; drawn ones and those of the reference each alone."""
        alike: dict[int, list[int]] = {}
        for index, query in enumerate(queries):
            alike.setdefault(index if self._alone or self.decoding.sampled else len(query.reading.ids), []).append(index)
        for group in alike.values():
            yield from self.batches.run(group, lambda batch: self._generated([queries[index] for index in batch]))

    def _generated(self, asked: list[Query]) -> Int[Tensor, "b t"]:
        ids = pad([torch.from_numpy(query.reading.ids) for query in asked]).to(self._device)
        seen = _seen([query.reading for query in asked]).long().to(self._device)
        positions = {}
        if "position_ids" in self._accepts and not seen.all():
            positions = {"position_ids": torch.arange(ids.shape[1], device=self._device)[None].expand(len(ids), -1)}
        with _drawing(self.decoding, asked[0], self._device):
            more = {**positions, **self._media(asked, ids.shape[1])}
            whole = self.model.generate(input_ids=ids, attention_mask=seen, **more, **self.decoding.arguments)
        self.forwards += whole.shape[1] - ids.shape[1]
        self.tokens += ids.numel() + whole[:, ids.shape[1] :].numel()
        return ended(whole[:, ids.shape[1] :], self.decoding)

    def _media(self, asked: list[Query], length: int) -> dict[str, Tensor]:
        """What `generate` must be given besides ids."""
        return {}


class MultimodalSpeaker(CausalSpeaker, MultimodalEngine):
    """Answers to prompts with images and clips, each encoded once; by `model.generate` where positions are the model's own."""

    def _merges_exactly(self, query: Query) -> bool:
        placed = any(encoding.placed for encoding in self._encodings(query.reading.media).values())
        return self.decoding.plain and not placed and super()._merges_exactly(query)

    def _outright(self, query: Query) -> Int[Tensor, "1 t"]:
        return self._generated([query])

    def _media(self, asked: list[Query], length: int) -> dict[str, Tensor]:
        if not asked[0].reading.media:
            return {}
        return {**self.processing.media([query.reading.media for query in asked]), **self.types(asked, length)}


class Seq2SeqSpeaker(_WholeReading):
    """Answers under an encoder-decoder by `model.generate`, prompts of like length together; see `CausalSpeaker`."""

    def __init__(self, model: Any, decoding: Decoding, batch_size: int, share_prefixes: bool = True, *, processing: Processing):
        super().__init__(model, processing, _chosen, batch_size if share_prefixes and not decoding.sampled else 1)
        self.decoding = decoding

    def _answer(self, asked: list[Query]) -> Int[Tensor, "b t"]:
        with _drawing(self.decoding, asked[0], self._device):
            whole = self.model.generate(**self.inputs([query.reading for query in asked]), **self.decoding.arguments)
        self.forwards += whole.shape[1] - 1
        self.tokens += whole[:, 1:].numel()
        return ended(whole[:, 1:], self.decoding)


def ended(ids: Int[Tensor, "b _"], decoding: Decoding) -> Int[Tensor, "b limit"]:
    """What `generate` gave, on the CPU and as wide as answers can be, with `OVER` from each row's end on."""
    ids = ids.cpu()
    over = torch.isin(ids, torch.tensor(decoding.endings, dtype=torch.int64)).cumsum(1) > 0
    said = torch.full((len(ids), max(decoding.limit, ids.shape[1])), OVER)
    said[:, : ids.shape[1]] = ids.masked_fill(over, OVER)
    return said


@contextmanager
def _drawing(decoding: Decoding, query: Query, device: torch.device) -> Iterator[None]:
    """`generate` draws from torch's own generator: seeded within, and as it was afterwards."""
    if not decoding.sampled:
        yield
        return
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(int(decoding.chances(query.key)[0] * 2**53))
        yield


def _chosen(logits: Float[Tensor, "*rows v"], targets: Int[Tensor, "*rows"]) -> Float[Tensor, "*rows"]:
    """The mode by which continued caches are checked: plain logits."""
    return logits.gather(-1, targets[..., None])[..., 0]


def _seen(readings: list[Reading]) -> Bool[Tensor, "b l"]:
    """Which places of the aligned rows may be seen: the padding on the left never."""
    longest = max(len(reading.ids) for reading in readings)
    seen = torch.zeros(len(readings), longest, dtype=torch.bool)
    for row, reading in enumerate(readings):
        there = torch.ones(len(reading.ids), dtype=torch.bool) if reading.seen is None else torch.from_numpy(reading.seen)
        seen[row, longest - len(reading.ids) :] = there
    return seen


def _under(node: Node) -> list[int]:
    return [*node.leaves, *(leaf for child in node.children for leaf in _under(child))]
