"""Models that answer: batched decoding whose rows read on together, each as it would alone."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interpreto_mllm.engine.cache import CacheRow
from interpreto_mllm.engine.causal import CausalEngine
from interpreto_mllm.engine.decoding import Decoding
from interpreto_mllm.engine.decoding_state import Rows, seen_places
from interpreto_mllm.engine.prefixes import Node
from interpreto_mllm.engine.queries import Engine, Query, Scored, pad
from interpreto_mllm.engine.ragged_cache import holds_any_length, join_aligned, join_ragged
from interpreto_mllm.prompts.model_input import ModelInput

logger = logging.getLogger(__name__)

OVER = -1
"""Fills the rows of answers that are shorter than others."""

SEVERAL = 3
"""Tokens that are read on at once to see whether a model can."""

Leaf = tuple[int, CacheRow | None]


@runtime_checkable
class Generator(Engine, Protocol):
    """Answers: `score` gives the ids of each answer, and `Query.target` numbers its draw."""

    likelihoods: dict[tuple[bytes, tuple[int, ...]], Tensor]
    """By reading and ids, the log-probabilities of tokens that were asked for aside and could be told on the way."""


@dataclass(frozen=True)
class Way:
    """How a model answers exactly.

    Args:
        side_by_side: whether rows may read on together; `model.generate` answers otherwise.
        any_length: whether prompts of different lengths may be read together.
        tells: whether rows may read several tokens at once, so that a given answer is scored on the way.
    """

    side_by_side: bool
    any_length: bool = False
    tells: bool = False


class CausalGenerator(CausalEngine):
    """Answers under a causal language model; see `Speaker`.

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
        super().__init__(model, chosen, batch_size, share_prefixes, **parts)
        self.decoding = decoding
        self.likelihoods: dict[tuple[bytes, tuple[int, ...]], Tensor] = {}
        self._alone = not share_prefixes
        self._by_itself = bool(share_prefixes and self.cache_name and decoding.plain)
        self._ways: dict[frozenset[str], Way] = {}
        self._way = Way(side_by_side=False)

    def _walk(self, block: list[tuple[Node, CacheRow | None]], queries: Sequence[Query]) -> Iterator[Scored]:
        """Answer all queries, those under a shared beginning from its snapshot."""
        if self._by_itself:
            kind = frozenset(state.medium.modality for query in queries for state in query.reading.media)
            if kind not in self._ways:
                self._ways[kind] = self._found_way(queries)
            self._way = self._ways[kind]
        if not self._way.side_by_side:
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

    def _speak(self, batch: list[Leaf], queries: Sequence[Query]) -> Int[Tensor, "b t"]:
        """The ids of each row's answer, read out token by token."""
        asked = [queries[leaf] for leaf, _ in batch]
        draws = None
        if self.decoding.sampled:
            draws = torch.stack([self.decoding.chances(query.key) for query in asked]).to(self._device)
        endings = torch.tensor(self.decoding.endings, dtype=torch.int64, device=self._device)
        said = torch.full((len(batch), self.decoding.limit), OVER, device=self._device)
        live = torch.arange(len(batch), device=self._device)
        rows = self._begin(asked, [snapshot for _, snapshot in batch])
        if self._way.tells:
            self._tell(rows, asked)
        for step in range(self.decoding.limit):
            tokens = self.decoding.choose(rows.logits, None if draws is None else draws[live, step])
            going = (~torch.isin(tokens, endings)).nonzero()[:, 0]
            if len(going) < len(tokens):
                rows, live, tokens = rows.kept(going) if len(going) else rows, live[going], tokens[going]
            said[live, step] = tokens
            if not len(live) or step + 1 == self.decoding.limit:
                break
            rows, _ = self._read_on(rows, tokens[:, None])
        return said.cpu()

    def _tell(self, rows: Rows, asked: list[Query]) -> None:
        """Keep the log-probabilities of the tokens of what is asked aside, read on from copies of the rows."""
        owed = [(row, query.reading.key, aside) for row, query in enumerate(asked) for aside in query.asides]
        for start in range(0, len(owed), self.batches.size):
            some = owed[start : start + self.batches.size]
            targets = pad([list(aside) for _, _, aside in some]).to(self._device)
            copies = rows.kept(torch.tensor([row for row, _, _ in some]))
            logits = copies.logits[:, None].float()
            if targets.shape[1] > 1:
                logits = torch.cat([logits, self._read_on(copies, targets[:, :-1])[1].float()], dim=1)
            told = (chosen(logits, targets.to(logits.device)) - logits.logsumexp(-1)).cpu()
            self.likelihoods |= {(key, aside): row[: len(aside)] for (_, key, aside), row in zip(some, told, strict=True)}

    def _begin(self, asked: list[Query], snapshots: list[CacheRow | None]) -> Rows:
        """Read the prompts, continuing the snapshots, and put the rows side by side."""
        alike: dict[tuple[int, int], list[int]] = {}
        for index, (query, snapshot) in enumerate(zip(asked, snapshots, strict=True)):
            start = 0 if snapshot is None else snapshot.length
            alike.setdefault((start, 0 if self._way.any_length else len(query.reading.ids)), []).append(index)
        logits: list[Tensor] = []
        ends: dict[int, CacheRow] = {}
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
            logits.append(output.logits[torch.arange(len(group), device=output.logits.device), at.to(output.logits.device)])
            cache = output[self.cache_name]
            ends |= {index: CacheRow(cache, row, len(readings[row].ids)) for row, index in enumerate(group)}
        places, order = range(len(asked)), torch.tensor([*ends]).argsort()
        cache = (join_ragged if self._way.any_length else join_aligned)([ends[index] for index in places])
        seen = seen_places([query.reading for query in asked], on_the_right=self._way.any_length).to(self._device)
        expected = torch.cat(logits)
        return Rows(expected[order.to(expected.device)], cache, seen, self._following(asked))

    def _following(self, asked: list[Query]) -> Int[Tensor, "*axes b"]:
        """The position of what comes after each prompt."""
        return torch.tensor([len(query.reading.ids) for query in asked], device=self._device)

    def _read_on(self, rows: Rows, tokens: Int[Tensor, "b k"]) -> tuple[Rows, Float[Tensor, "b k v"]]:
        """Every row some tokens further, and what each of these lets expect."""
        seen = torch.nn.functional.pad(rows.seen, (0, tokens.shape[1]), value=True)
        arguments: dict[str, Any] = {"input_ids": tokens, "use_cache": True, str(self.cache_name): rows.cache}
        if "position_ids" in self._accepts:
            arguments["position_ids"] = rows.following[..., None] + torch.arange(tokens.shape[1], device=self._device)
        if not seen.all():
            arguments["attention_mask"] = seen.long()
        self.forwards += 1
        self.tokens += tokens.numel()
        output = self.model(**arguments)
        return Rows(output.logits[:, -1], output[self.cache_name], seen, rows.following + tokens.shape[1]), output.logits

    def _found_way(self, queries: Sequence[Query]) -> Way:
        """How rows of different lengths, read on side by side, give what each does alone; logged where they do not."""
        sample = max((query.reading for query in queries), key=lambda reading: (len(reading.media), len(reading.ids)))
        pair = [Query(ModelInput(sample.ids, None, sample.segments, sample.media), (0,)), Query(self._shortened(sample), (0,))]
        more = torch.from_numpy(sample.ids[self._written(sample)][-SEVERAL:])
        if not len(more):
            return Way(side_by_side=False)
        plain = [torch.cat([self._plain(query, more[:count]) for query in pair]) for count in (1, len(more))]
        worst = ""
        for ragged in (self._ragged(sample), False):
            try:
                self._way = Way(side_by_side=True, any_length=ragged)
                rows = self._begin(pair, [None, None])
                every, after = torch.arange(len(pair)), more.to(self._device).expand(len(pair), -1)
                stepped = [self._read_on(rows.kept(every), after[:, :count])[0].logits for count in (1, len(more))]
            except Exception as error:  # a model may refuse a cache in any way it likes: generate then decides
                worst = str(error)
                continue
            exact = [self._close(one.float(), wanted) for one, wanted in zip(stepped, plain, strict=True)]
            if exact[0]:
                return Way(side_by_side=True, any_length=ragged, tells=exact[1])
            worst = f"off by {(stepped[0] - plain[0]).abs().max().item():.1e}"
        logger.info("%s cannot answer rows side by side (%s): using generate.", type(self.model).__name__, worst)
        return Way(side_by_side=False)

    def _close(self, logits: Float[Tensor, "b v"], plain: Float[Tensor, "b v"]) -> bool:
        tolerance = 1e-4 if self.model.dtype == torch.float32 else 0.1
        return bool((logits - plain).abs().max() <= tolerance * plain.abs().max().clamp_min(1))

    def _written(self, reading: ModelInput) -> Bool[np.ndarray, "l"]:
        """Which of its tokens stand for themselves."""
        return np.ones(len(reading.ids), dtype=bool)

    def _shortened(self, reading: ModelInput) -> ModelInput:
        """A reading without the first half of the longest text in it."""
        edges = np.flatnonzero(np.diff(self._written(reading).astype(np.int8), prepend=0, append=0))
        start, end = max(
            zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True), default=(0, 0), key=lambda run: run[1] - run[0]
        )
        kept = np.ones(len(reading.ids), dtype=bool)
        kept[start : (start + end) // 2] = False
        return ModelInput(reading.ids[kept], None, None if reading.segments is None else reading.segments[kept], reading.media)

    def _ragged(self, reading: ModelInput) -> bool:
        """Whether what is read beyond a row's end can be cut off this model's cache."""
        first = Query(ModelInput(reading.ids[self._written(reading)][:1]), (0,))
        ids = torch.from_numpy(first.reading.ids)[None]
        try:
            return holds_any_length(self._forward([first], ids, [None], torch.tensor([0]), keep_cache=True)[self.cache_name])
        except Exception as error:  # likewise
            logger.info("%s gives no cache that can be cut (%s).", type(self.model).__name__, error)
            return False

    def _plain(self, query: Query, more: Int[Tensor, "_"]) -> Float[Tensor, "1 v"]:
        """What one plain forward expects after the prompt and some more tokens."""
        ids = torch.cat([torch.from_numpy(query.reading.ids), more])[None]
        last = torch.tensor([ids.shape[1] - 1])
        return self._forward([query], ids, [None], last, keep_cache=False).logits[:, -1].float()

    def _by_generate(self, queries: Sequence[Query]) -> Iterator[Scored]:
        """Answers of `model.generate`, rows of equal lengths together; drawn ones and those of the reference each alone."""
        alike: dict[Any, list[int]] = {}
        for index, query in enumerate(queries):
            extents = tuple(state.size for state in query.reading.media)
            alone = self._alone or self.decoding.sampled
            alike.setdefault(index if alone else (len(query.reading.ids), extents), []).append(index)
        for group in alike.values():
            yield from self.batches.run(group, lambda batch: self._generated([queries[index] for index in batch]))

    def _generated(self, asked: list[Query]) -> Int[Tensor, "b t"]:
        ids = pad([torch.from_numpy(query.reading.ids) for query in asked]).to(self._device)
        seen = seen_places([query.reading for query in asked]).long().to(self._device)
        positions = {}
        if "position_ids" in self._accepts and not seen.all():
            positions = {"position_ids": torch.arange(ids.shape[1], device=self._device)[None].expand(len(ids), -1)}
        with drawing(self.decoding, asked[0], self._device):
            more = {**positions, **self._media(asked, ids)}
            whole = self.model.generate(input_ids=ids, attention_mask=seen, **more, **self.decoding.arguments)
        self.forwards += whole.shape[1] - ids.shape[1]
        self.tokens += ids.numel() + whole[:, ids.shape[1] :].numel()
        return ended(whole[:, ids.shape[1] :], self.decoding)

    def _media(self, asked: list[Query], ids: Int[Tensor, "b l"]) -> dict[str, Tensor]:
        """What `generate` must be given besides ids, an attention mask, and positions that count what is hidden."""
        return {}


def ended(ids: Int[Tensor, "b _"], decoding: Decoding) -> Int[Tensor, "b limit"]:
    """What `generate` gave, on the CPU and as wide as answers can be, with `OVER` from each row's end on."""
    ids = ids.cpu()
    over = torch.isin(ids, torch.tensor(decoding.endings, dtype=torch.int64)).cumsum(1) > 0
    said = torch.full((len(ids), max(decoding.limit, ids.shape[1])), OVER)
    said[:, : ids.shape[1]] = ids.masked_fill(over, OVER)
    return said


@contextmanager
def drawing(decoding: Decoding, query: Query, device: torch.device) -> Iterator[None]:
    """`generate` draws from torch's own generator: seeded within, and as it was afterwards."""
    if not decoding.sampled:
        yield
        return
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(int(decoding.chances(query.key)[0] * 2**53))
        yield


def chosen(logits: Float[Tensor, "*rows v"], targets: Int[Tensor, "*rows"]) -> Float[Tensor, "*rows"]:
    """The mode by which continued caches are checked: plain logits."""
    return logits.gather(-1, targets[..., None])[..., 0]


def _under(node: Node) -> list[int]:
    return [*node.leaves, *(leaf for child in node.children for leaf in _under(child))]
