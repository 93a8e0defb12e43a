"""Generating with causal language models: rows that read on together, each as it would alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interpreto_mllm.engine.cache import cached_length
from interpreto_mllm.engine.cache_trial import Leaf
from interpreto_mllm.engine.counter import ForwardCounter
from interpreto_mllm.engine.decoding import Decoding
from interpreto_mllm.engine.decoding_state import DecodingRows
from interpreto_mllm.engine.decoding_support import UNSUPPORTED, DecodingSupport, SupportProbe, crosses_switch
from interpreto_mllm.engine.plain_generation import PlainGenerator
from interpreto_mllm.engine.prefix_walk import leaves_under
from interpreto_mllm.engine.queries import END_PADDING, Generate, Generated, Row, pad
from interpreto_mllm.engine.row_decoder import RowDecoder
from interpreto_mllm.engine.runner import CausalRunner

COMPARED = 8
"""Logits that are compared where a cache is checked."""


class CausalGenerator:
    """Generates with a causal language model.

    What all rows begin with is read once. Rows read on side by side, with positions of their own, until each has ended.
    Settings that the loop here does not know, and models whose rows do not give the plain forward's numbers side by side
    (checked on the first use), are left to `model.generate`, rows of equal lengths together.

    Args:
        runner: runs the model; with `share_prefixes=False` each row is generated alone by `model.generate`, which is what the
            fast path is checked against.
        decoding: how tokens are chosen.
    """

    def __init__(self, runner: CausalRunner, decoding: Decoding):
        self.runner, self.decoding = runner, decoding
        self.plain = PlainGenerator(runner, decoding)
        self._decoder = RowDecoder(runner)
        self._probe = SupportProbe(self._decoder)
        self._may_loop = bool(runner.shares_prefixes and runner.cache_name and decoding.plain)
        self._supports: dict[frozenset[str], DecodingSupport] = {}

    @property
    def counter(self) -> ForwardCounter:
        """What the model has cost."""
        return self.runner.counter

    def generate(self, queries: Sequence[Generate]) -> Iterator[tuple[list[int], Generated]]:
        """Responses, batch by batch; those to prompts with a shared prefix go on from its cache."""
        if not queries:
            return
        support = self._support(queries)
        if not support.side_by_side:
            yield from self.plain.generate(queries)
            return
        symbols = self.runner.inputs.symbols(queries)
        root = self.runner.plan(queries, symbols, self.largest_logits)
        extended, rest = self.runner.extended_below(root, queries)
        leaves: list[Leaf] = [(leaf, None) for leaf in rest]
        leaves += [(leaf, cached) for node, cached in extended for leaf in leaves_under(node)]
        work = self.runner.batches.run(
            leaves,
            lambda batch: self._generate_batch(batch, queries, support),
            order=lambda leaf: len(queries[leaf[0]].input.ids),
        )
        for batch, generated in work:
            yield [leaf for leaf, _ in batch], generated

    def largest_logits(self, leaves: Sequence[Leaf], queries: Sequence[Row]) -> Float[Tensor, "b k"]:
        """The greatest logits of the token after each prompt, by which continued caches are checked."""
        largest = []
        for place, cached in leaves:
            query = queries[place]
            ids = torch.from_numpy(query.input.ids[cached_length(cached) :])[None]
            last = torch.tensor([ids.shape[1] - 1])
            logits = self.runner.forward([query], ids, [cached], last, keep_cache=False).logits[:, -1].float()
            largest.append(logits.sort(-1, descending=True).values[:, :COMPARED])
        return torch.cat(largest)

    def _support(self, queries: Sequence[Generate]) -> DecodingSupport:
        """How this model generates for prompts with these modalities; tried once for each set of them."""
        if not self._may_loop or crosses_switch(self.runner.model, queries, self.decoding.limit):
            return UNSUPPORTED
        if self.runner.inputs.reads_types(queries):
            return UNSUPPORTED
        modalities = frozenset(state.medium.modality for query in queries for state in query.input.media)
        if modalities not in self._supports:
            self._supports[modalities] = self._probe(queries)
        return self._supports[modalities]

    def _generate_batch(self, batch: Sequence[Leaf], queries: Sequence[Generate], support: DecodingSupport) -> Generated:
        """Read the prompts, and generate token by token."""
        asked = [queries[leaf] for leaf, _ in batch]
        uniforms = None
        if self.decoding.sampled:
            uniforms = torch.stack([self.decoding.uniforms(query) for query in asked]).to(self.runner.device)
        rows = self._decoder.begin(asked, [cached for _, cached in batch], support.any_length)
        also_scored = self._score_given(rows, asked) if support.scores_given_answers else [()] * len(asked)
        return Generated(self._decode(rows, uniforms), also_scored)

    def _decode(self, rows: DecodingRows, uniforms: Float[Tensor, "b limit"] | None) -> Int[Tensor, "b limit"]:
        """Tokens of each row until it ends, one by one; `uniforms` has the random number of each draw."""
        device, limit = self.runner.device, self.decoding.limit
        endings = torch.tensor(self.decoding.endings, dtype=torch.int64, device=device)
        ids = torch.full((len(rows.seen), limit), END_PADDING, device=device)
        live = torch.arange(len(rows.seen), device=device)
        for step in range(limit):
            tokens = self.decoding.choose(rows.logits, None if uniforms is None else uniforms[live, step])
            going = (~torch.isin(tokens, endings)).nonzero()[:, 0]
            if len(going) < len(tokens):
                rows, live, tokens = rows.select(going) if len(going) else rows, live[going], tokens[going]
            ids[live, step] = tokens
            if not len(live) or step + 1 == limit:
                break
            rows, _ = self._decoder.read_on(rows, tokens[:, None])
        return ids.cpu()

    def _score_given(self, rows: DecodingRows, queries: Sequence[Generate]) -> list[tuple[Float[Tensor, "_"], ...]]:
        """Log-probabilities of the tokens of the answers in `also_score`, read on from copies of the rows."""
        given = [(row, answer) for row, query in enumerate(queries) for answer in query.also_score]
        scored: list[list[Tensor]] = [[] for _ in queries]
        for start in range(0, len(given), self.runner.batches.size):
            some = given[start : start + self.runner.batches.size]
            targets = pad([answer for _, answer in some]).to(self.runner.device)
            copies = rows.select(torch.tensor([row for row, _ in some]))
            logits = copies.logits[:, None].float()
            if targets.shape[1] > 1:
                logits = torch.cat([logits, self._decoder.read_on(copies, targets[:, :-1])[1].float()], dim=1)
            chosen = logits.gather(-1, targets.to(logits.device)[..., None])[..., 0]
            for (row, answer), values in zip(some, (chosen - logits.logsumexp(-1)).cpu(), strict=True):
                scored[row].append(values[: len(answer)])
        return [tuple(values) for values in scored]
