"""Scoring answers with several prompts in one row, each of which sees its own tokens alone."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor

from interpreto_mllm.engine.batches import out_of_memory
from interpreto_mllm.engine.cache import CacheRow, cached_length, join
from interpreto_mllm.engine.cache_trial import Leaf
from interpreto_mllm.engine.causal import CausalScorer, compared, surviving
from interpreto_mllm.engine.causal_trials import CausalTrials
from interpreto_mllm.engine.counter import ForwardCounter
from interpreto_mllm.engine.findings import finding
from interpreto_mllm.engine.hidden_tokens import HiddenTokens
from interpreto_mllm.engine.packed_rows import PackedRows
from interpreto_mllm.engine.packing import PackedSequence, pack
from interpreto_mllm.engine.queries import Mode, Row, Score, Scored, kind_of, pad
from interpreto_mllm.engine.rounding import log_probabilities
from interpreto_mllm.engine.runner import CausalRunner
from interpreto_mllm.engine.stand_ins import SHARED, goes_the_same_way, stand_in_tree
from interpreto_mllm.engine.vocabulary import vocabulary_size

logger = logging.getLogger(__name__)

REACH_SETTING = re.compile(r"window(_size|_len)?$|chunk_(size|length)$|^max_position_embeddings$")
"""Settings that say how far a layer sees, by the names that models give them."""

SIZES_PER_OCTAVE = 4
"""Rows whose numbers of prompts are within a factor of 2 ** (1 / 4) go together, so that little of them is padding."""

TRIAL_FORWARDS = 3
"""Forwards of a trial."""

Group = tuple[PackedSequence, CacheRow | None]
"""A packed sequence, and the cache that it goes on from."""


class PackedScorer:
    """Scores answers under a causal language model; what neighbouring prompts share is read once within a row.

    A mask lets each token see what comes before it in its own prompt and nothing else, and positions count from the prompt's
    beginning, so that a token's output is what it would be alone. Models that do not obey such masks (recurrent ones, or
    windows shorter than a prompt) are found out on the first use, and read each prompt in a row of its own. Images and clips
    that prompts share stand in a row once; such prompts are packed where that saves more than a trial costs, known or not, so
    that equal calls make equal rows.

    Args:
        runner: runs the model; longer rows are fewer in a batch, so that they take no more memory.
        mode: from logits and target ids to values.
    """

    def __init__(self, runner: CausalRunner, mode: Mode):
        self.runner, self.mode = runner, mode
        self._single, self._trial = CausalScorer(runner, mode), CausalScorer(runner, log_probabilities)
        self._trials = CausalTrials(runner)
        self._may_pack = runner.may_continue and runner.takes_positions
        self._packs_texts: bool | None = None
        self._reach = _reach(runner.model)
        self._hidden = HiddenTokens(runner, self._reach)

    @property
    def counter(self) -> ForwardCounter:
        """What the model has cost."""
        return self.runner.counter

    def score(self, queries: Sequence[Score]) -> Iterator[Scored]:
        """Values of the target tokens of each query, batch by batch."""
        if not queries:
            return
        self._trials(queries)
        yield from compared(self._single, queries, surviving(self.runner, self._scored, queries))

    def _scored(self, queries: Sequence[Score]) -> Iterator[Scored]:
        queries = self._hidden.left_out(queries)
        symbols = self.runner.inputs.symbols(queries)
        packed = pack(queries, symbols, self._capacity(queries))
        several = next((sequence for sequence in packed if len(sequence.queries) > 1), None)
        if several is not None and not (self._worthwhile(packed, several) and self._packs(queries, several)):
            packed = pack(queries, symbols, 0)
        prefixes = [symbols[sequence.members[0]][: sequence.prefix_length + 1] for sequence in packed]
        for leaves in self.runner.leaves(packed, prefixes, self._values):
            yield from self._score_leaves(leaves, packed)

    def _worthwhile(self, packed: Sequence[PackedSequence], several: PackedSequence) -> bool:
        """Whether packing saves more than trying it would cost, which is little but for prompts with images and clips."""
        if not several.input.media:
            return True
        pair = several.trial()
        cost = sum(query.length for query in pair.queries) + 2 * pair.width(0)
        cost += TRIAL_FORWARDS * self.runner.batches.forward_tokens
        return sum(sequence.saving for sequence in packed) > cost

    def _packs(self, queries: Sequence[Score], several: PackedSequence) -> bool:
        """Whether prompts of this kind are worth in a row what they are alone.

        What was tried with images, clips or short prompts in the place of long ones is remembered with the model; another trial
        of texts is a part of each call.
        """
        runner, pair, kind = self.runner, several.trial(), kind_of(queries)
        short = goes_the_same_way(runner.model, [query.input for query in queries])
        if short:
            _, rows = stand_in_tree(max(queries, key=lambda query: query.length).input)
            pair = PackedSequence((rows[0], rows[1]), (0, 1), (0, SHARED))
        if kind or short:
            with runner.counter.trying(), runner.inputs.trial():
                return finding(runner.model, ("packs", kind), lambda: self._packs_exactly(pair))
        if self._packs_texts is None:
            self._packs_texts = self._packs_exactly(pair)
        return self._packs_texts

    def _capacity(self, queries: Sequence[Score]) -> int:
        """How many tokens a row of several of these queries may hold; 0 where each is read in a row of its own."""
        longest = max(query.length for query in queries)
        if (
            not self._may_pack
            or not self.runner.may_share
            or longest > self._reach
            or any(query.input.seen is not None for query in queries)
            or self.runner.inputs.reads_types(queries)
        ):
            return 0
        return int(min(self.runner.batches.size * longest, self._reach))

    def _values(self, batch: Sequence[Leaf], rows: Sequence[Row]) -> Float[Tensor, "b t"]:
        """Log-probabilities of rows, each by itself; of packed sequences, of their first queries."""
        return self._trial.values(batch, [row.queries[0] if isinstance(row, PackedSequence) else row for row in rows])

    def _score_leaves(self, leaves: Sequence[Leaf], packed: Sequence[PackedSequence]) -> Iterator[Scored]:
        """Sequences of several queries in packed rows, the others as they are."""
        similar: dict[tuple[int, int], list[Group]] = {}
        alone: list[Leaf] = []
        for leaf, cached in leaves:
            count = len(packed[leaf].queries)
            if count == 1:
                alone.append((leaf, cached))
            else:
                size = round(SIZES_PER_OCTAVE * math.log2(count))
                similar.setdefault((cached_length(cached), size), []).append((packed[leaf], cached))
        for chosen, values in self._single.score_leaves(alone, [sequence.queries[0] for sequence in packed]):
            yield [packed[leaf].members[0] for leaf in chosen], values
        for (start, _), group in similar.items():
            rows_each = max(1.0, max(self._plain_rows(sequence, start) for sequence, _ in group))
            work = self.runner.batches.run(
                group, self._score_groups, lambda item, s=start: item[0].width(s), rows_each, held=start
            )
            for batch, values in work:
                yield [member for sequence, _ in batch for member in sequence.members], values

    def _plain_rows(self, sequence: PackedSequence, start: int) -> float:
        """How many plain rows take as much memory: keys and values at all positions, logits at those of answers."""
        model = self.runner.model
        vocabulary, hidden = model.get_input_embeddings().weight.shape
        of_position = hidden * getattr(model.config.get_text_config(), "num_hidden_layers", 1)
        plain = max(query.length * of_position + len(query.target) * vocabulary for query in sequence.queries)
        answers = sum(len(query.target) for query in sequence.queries)
        return ((start + sequence.width(start)) * of_position + answers * vocabulary) / plain

    def _score_groups(self, batch: Sequence[Group]) -> Float[Tensor, "query t"]:
        """Values of all queries of some packed sequences: in one forward, or one by one where not even a row fits."""
        try:
            return self._score_rows(batch)
        except (torch.OutOfMemoryError, RuntimeError, MemoryError) as error:
            if len(batch) > 1 or not out_of_memory(error):
                raise
        [(sequence, cached)] = batch
        logger.warning("Out of memory with %d prompts in a row: each is read in a row of its own.", len(sequence.queries))
        alone = [self._single.score_batch([(place, cached)], sequence.queries)[0] for place in range(len(sequence.queries))]
        return torch.nn.utils.rnn.pad_sequence(alone, batch_first=True)

    def _score_rows(self, batch: Sequence[Group]) -> Float[Tensor, "query t"]:
        caches = [cached for _, cached in batch if cached is not None]
        rows = PackedRows([sequence for sequence, _ in batch], caches[0].length if caches else 0)
        logits = self._logits(rows, caches)
        targets = pad([query.target for sequence, _ in batch for query in sequence.queries])
        return self.mode(logits.float(), targets.to(logits.device)).float().cpu()

    def _logits(self, rows: PackedRows, caches: Sequence[CacheRow]) -> Float[Tensor, "query t v"]:
        """The logits that predict each query's answer, in one forward."""
        runner = self.runner
        seen = torch.nn.functional.pad(rows.attention, (rows.start, 0), value=True).to(runner.device)
        seen = rearrange(seen, "b l other -> b 1 l other")
        mask = torch.zeros(seen.shape, dtype=runner.model.dtype, device=runner.device)
        arguments: dict[str, Any] = {
            "input_ids": rows.ids.to(runner.device),
            "position_ids": rows.positions.to(runner.device),
            "attention_mask": mask.masked_fill(~seen, torch.finfo(mask.dtype).min),
            "use_cache": rows.start > 0,
        }
        if rows.start:
            arguments[str(runner.cache_name)] = join(caches)
        if runner.keeps_logits:
            arguments["logits_to_keep"] = rows.occupied.shape[1] * rows.slot_width
        runner.counter.add(rows.ids.numel())
        return rows.of_answers(runner.inputs.call_packed(rows, arguments).logits)

    def _packs_exactly(self, pair: PackedSequence) -> bool:
        """Whether two queries in a row have the values of plain forwards, and neither sees the other; logged where not."""
        model = self.runner.model
        plain = self._trial.score_batch([(0, None), (1, None)], pair.queries)
        targets = pad([query.target for query in pair.queries])
        lengths = [len(query.target) for query in pair.queries]
        try:
            rows = PackedRows([pair], 0)
            logits = self._logits(rows, [])
            self._exchange(rows, ~rows.attention_of(slot=1, token=lengths[1] - 1))
            leaks = not torch.equal(self._logits(rows, [])[1, : lengths[1]], logits[1, : lengths[1]])
        except Exception as error:  # a model may refuse a mask in any way it likes: rows of their own then decide
            if out_of_memory(error):
                raise
            logger.info("%s cannot read several prompts in a row (%s).", type(model).__name__, error)
            return False
        if leaks:
            logger.info("%s looks past the mask that keeps the prompts in a row apart.", type(model).__name__)
            return False
        packed = log_probabilities(logits.float(), targets.to(logits.device)).cpu()
        there = torch.arange(rows.slot_width) < torch.tensor(lengths)[:, None]
        return self.runner.agrees(packed[there], plain[there], "reads several prompts in a row")

    def _exchange(self, rows: PackedRows, hidden: Bool[Tensor, "b l"]) -> None:
        """Put other tokens in some places of a row, but for those of images and clips."""
        ids = np.concatenate([query.input.ids for query in rows.queries])
        text = np.concatenate([self.runner.inputs.is_text(query.input) for query in rows.queries])
        hidden = hidden & ~torch.isin(rows.ids, torch.from_numpy(ids[~text]))
        known = torch.from_numpy(np.unique(ids[text]))
        if len(known) > 1:
            rows.ids[hidden] = known[(torch.searchsorted(known, rows.ids[hidden]) + 1) % len(known)]
        else:
            rows.ids[hidden] = (rows.ids[hidden] + 1) % (vocabulary_size(self.runner.model) or 2**31)


def _reach(model: Any) -> float:
    """How long a row may be for every layer to see all of it: our masks would take the place of windows, or meet them."""
    settings = model.config.get_text_config().to_dict()
    limits = [value for name, value in settings.items() if REACH_SETTING.search(name) and isinstance(value, int) and value > 0]
    return float(min(limits, default=float("inf")))
