"""Running causal language models: forwards over rows, continued caches, shared prefixes read once."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from interpreto_mllm.engine.batches import Batches, Grouping, out_of_memory
from interpreto_mllm.engine.cache import CacheRow, cached_length, join
from interpreto_mllm.engine.cache_trial import Branch, CacheTrial, Leaf, Values, holds_for
from interpreto_mllm.engine.call import PerCall, in_call, within_block
from interpreto_mllm.engine.counter import ForwardCounter
from interpreto_mllm.engine.device import input_device
from interpreto_mllm.engine.findings import finding
from interpreto_mllm.engine.gathered_logits import MIN_LOGITS, gathered_logits, output_layer
from interpreto_mllm.engine.kept_states import KeptStates
from interpreto_mllm.engine.memory import Memory, batch_tokens
from interpreto_mllm.engine.prefix_reader import PrefixReader
from interpreto_mllm.engine.prefix_walk import PrefixWalk, leaves_under
from interpreto_mllm.engine.prefixes import Node, plain_plan, plan_prefixes
from interpreto_mllm.engine.probes import gathers_logits, keeps_chosen_logits
from interpreto_mllm.engine.queries import Row
from interpreto_mllm.engine.rounding import excess, quantises_inputs, tolerance
from interpreto_mllm.engine.row_tensors import attention_mask, row_positions
from interpreto_mllm.engine.signature import forward_parameters
from interpreto_mllm.engine.text_inputs import RowInputs, TextInputs
from interpreto_mllm.engine.vocabulary import vocabulary_size

logger = logging.getLogger(__name__)

BATCHES_OF_PREFIXES = 8
"""Prefixes are continued together in blocks of at most this many batches."""

AHEAD = 8
"""A prefix is read by itself for later rounds where it takes as many times the tokens that a forward costs."""

NO_POSITIONS = torch.empty(0, dtype=torch.int64)
"""The positions whose logits are wanted of a forward that only fills a cache."""

KEPT_SHARE = 0.5
"""The part of the states held at a time that those kept for later rounds may take."""

QUANTISED = "This model quantises what its layers read as it runs, so that every prompt is read whole, as in plain forwards."


class CausalRunner:
    """Runs a causal language model.

    Rows are padded on the right and need no attention mask: a causal model never looks there, so what it computes for a row
    does not depend on the batch (`CausalTrials` finds out). Prefixes that several rows share are read once and their caches
    continued. A model whose continued caches do not give the plain forward's numbers (checked on the first use, and again for
    longer rows), or whose rows do not go together, is run by plain forwards.

    Args:
        model: the language model, already on its device.
        batch_size: rows in a forward.
        share_prefixes: False for one plain forward per row, which is what the fast path is checked against.
        counter: counts forwards and tokens.
        inputs: how rows are given to the model; as text unless given.
    """

    def __init__(
        self,
        model: Any,
        batch_size: int,
        share_prefixes: bool = True,
        counter: ForwardCounter | None = None,
        inputs: RowInputs | None = None,
    ):
        self.model, self.memory = model, Memory.of(model)
        self.counter = ForwardCounter() if counter is None else counter
        self.inputs = TextInputs(model) if inputs is None else inputs
        self.device = input_device(model)
        accepted = forward_parameters(model)
        self.cache_name = next((name for name in ("past_key_values", "cache_params") if name in accepted), None)
        self.takes_positions = "position_ids" in accepted
        self._may_keep_logits = "logits_to_keep" in accepted
        self._reads_whole = share_prefixes and quantises_inputs(model)
        share_prefixes = share_prefixes and not self._reads_whole
        self.shares_prefixes = share_prefixes
        self._continues: bool | None = None if share_prefixes and self.cache_name else False
        self._tried_length = 0
        self._failed = False
        forward_tokens = self.memory.forward_tokens(self.device, vocabulary_size(model) or 0)
        self.batches = Batches(batch_size, batch_tokens(self.device), forward_tokens)
        kept = int(KEPT_SHARE * self.memory.kept_positions)
        self._kept: PerCall[KeptStates] = PerCall(partial(KeptStates, kept), of_block=True)

    @cached_property
    def keeps_logits(self) -> bool:
        """Whether the model gives the logits of chosen tokens alone; tried on the first use."""
        return self._may_keep_logits and finding(self.model, "keeps logits", self._try_keeping_logits)

    def _try_keeping_logits(self) -> bool:
        self.counter.tried(2)
        return keeps_chosen_logits(self.model)

    def gathers(self, at: Int[Tensor, "b t"], length: int) -> bool:
        """Whether logits at these positions of each row are computed alone, as those between them are many.

        Args:
            at: where they are wanted.
            length: of the rows.
        """
        between = (int(at.max()) + 1 - int(at.min()) if self.keeps_logits else length) - at.shape[1]
        if len(at) * between * (vocabulary_size(self.model) or 0) < MIN_LOGITS or output_layer(self.model) is None:
            return False
        return finding(self.model, "gathers logits", self._try_gathering)

    def _try_gathering(self) -> bool:
        self.counter.tried(2)
        return gathers_logits(self.model)

    @property
    def may_continue(self) -> bool:
        """Whether caches are continued, as far as is known."""
        return self._continues is not False and self.may_share

    @property
    def may_share(self) -> bool:
        """Whether prompts may share a row or a batch of different lengths, as far as is known."""
        return not self._failed and self.batches.grouping is Grouping.ANY

    def plan(
        self,
        rows: Sequence[Row],
        symbols: list[Int[np.ndarray, "_"]],
        values: Values,
        lasting: Sequence[Int[np.ndarray, "_"]] | None = None,
    ) -> Node:
        """Which prefixes to read once: none where that does not pay, or the model's caches cannot be continued.

        Args:
            rows: what is read.
            symbols: of each row, as for `plan_prefixes`.
            values: of rows, or of shorter ones in their place; equal with and without a cache, or no cache is continued.
            lasting: where states are kept for later rounds, symbols that stand for the same there.
        """
        if self._reads_whole:
            self.counter.note(QUANTISED)
        if self.may_continue and (len(rows) > 1 or lasting is not None):
            root = plan_prefixes(symbols, self.batches.size, self.batches.forward_tokens) if len(rows) > 1 else plain_plan(1)
            if lasting is not None:
                self._plan_ahead(root, lasting, self._reuses(rows))
            if root.children:
                self._try_caches(root, rows, values)
            if self.may_continue:
                return root
        return plain_plan(len(rows))

    def _reuses(self, rows: Sequence[Row]) -> bool:
        """Whether caches of earlier rounds are known to be continued exactly by such rows."""
        return bool(self._continues and self._tried_length and holds_for(self.model, self._tried_length, _longest(rows)))

    def _plan_ahead(self, root: Node, symbols: Sequence[Int[np.ndarray, "_"]], reuses: bool) -> None:
        """Let the longest row that shares nothing in this round have a prefix, where it goes like one of an earlier round."""
        least, kept = AHEAD * self.batches.forward_tokens, self._kept.value
        leaf = max(root.leaves, key=lambda leaf: len(symbols[leaf]), default=None)
        if leaf is not None and kept.read_before(symbols[leaf]) > least:
            known = kept.longest(symbols[leaf][:-1]) if reuses else None
            if len(symbols[leaf]) - cached_length(known) > least:
                root.leaves.remove(leaf)
                root.children.append(Node(len(symbols[leaf]) - 1, leaf, leaves=[leaf]))
        kept.note(max(symbols, key=len))

    def without_caches(self, error: Exception) -> bool:
        """Go on by plain forwards after an error of a faster way; False where there was none, or memory is out."""
        if out_of_memory(error) or not self.shares_prefixes or not self.may_share:
            return False
        self._continues, self._failed = False, True
        logger.warning("%s fails with caches or packed rows (%s): using plain forwards.", type(self.model).__name__, error)
        return True

    def one_by_one(self, error: Exception) -> bool:
        """Go on with each row by itself after an error in a batch; False where that is so already, or memory is out."""
        if out_of_memory(error) or self.batches.size == 1 or self.batches.grouping is Grouping.ALONE:
            error.add_note(f"{type(self.model).__name__} itself fails here: this was a plain forward over one row.")
            return False
        self.batches.grouping = Grouping.ALONE
        logger.warning("%s fails on a batch (%s): each row is read by itself.", type(self.model).__name__, error)
        return True

    def _try_caches(self, root: Node, rows: Sequence[Row], values: Values) -> None:
        """Compare with plain forwards on the first use, and again with longer rows; of these only the first is counted."""
        longest, trial = _longest(rows), CacheTrial(self.model, self.batches, self.extend, values, root, rows)
        if trial.short:
            with self.counter.trying():
                self._continues, self._tried_length = trial.remembered(), max(self._tried_length, longest)
        if self._continues is None:
            with within_block(self.inputs.trial()):
                self._continues = trial.shallow()
        if self._continues and longest > self._tried_length:
            with self.counter.trying(), self.inputs.trial():
                self._continues, self._tried_length = trial.deep(), longest

    def leaves(self, rows: Sequence[Row], symbols: list[Int[np.ndarray, "_"]], values: Values) -> Iterator[list[Leaf]]:
        """All rows, each with the cache of its longest planned prefix, or of a longer one of an earlier round of the call.

        Args:
            rows, symbols, values: see `plan`.
        """
        lasting = self.inputs.lasting(rows, symbols) if in_call() else None
        root = self.plan(rows, symbols, values, lasting)
        kept = self._kept.value if lasting is not None and self._reuses(rows) else KeptStates(0)
        reader = PrefixReader(lambda nodes: self.extend(nodes, rows), lasting or symbols, kept, self.batches.forward_tokens)
        room, together = self.memory.kept_positions - kept.held, BATCHES_OF_PREFIXES * self.batches.size
        yield from PrefixWalk(reader.extend, reader.resume, room, together).leaves(root)

    def extended_below(self, root: Node, rows: Sequence[Row]) -> tuple[list[Branch], list[int]]:
        """The shortest prefixes of a plan with their caches, as many as may be held at a time, and the rows that have none."""
        held, fitting, rest = 0, list[Branch](), list(root.leaves)
        for child in root.children:
            if held and held + child.length > self.memory.kept_positions:
                rest += leaves_under(child)
                continue
            held += child.length
            fitting.append((child, None))
        return self.extend(fitting, rows), rest

    def extend(self, nodes: list[Branch], rows: Sequence[Row]) -> list[Branch]:
        """Read on from each node's parent to the node; rows of equal lengths go together, so nothing is padded."""
        extended: list[Branch] = []
        same_lengths: dict[tuple[int, int], list[Branch]] = {}
        for node, cached in nodes:
            same_lengths.setdefault((cached_length(cached), node.length), []).append((node, cached))
        for (start, end), group in same_lengths.items():
            work = self.batches.run(
                group,
                lambda batch, a=start, b=end: self._fill(batch, rows, a, b),
                lambda _, width=end - start: width,
                held=start,
            )
            for batch, output in work:
                cache = output[self.cache_name]
                extended += [(node, CacheRow(cache, row, end)) for row, (node, _) in enumerate(batch)]
        return extended

    def _fill(self, batch: list[Branch], rows: Sequence[Row], start: int, end: int) -> Any:
        samples = [rows[node.sample] for node, _ in batch]
        ids = torch.from_numpy(np.stack([row.input.ids[start:end] for row in samples]))
        return self.forward(samples, ids, [cached for _, cached in batch], NO_POSITIONS, keep_cache=True)

    def forward(
        self,
        rows: Sequence[Row],
        ids: Int[Tensor, "b l"],
        cached: Sequence[CacheRow | None],
        kept: Int[Tensor, "_"] | Int[Tensor, "b t"],
        keep_cache: bool,
    ) -> Any:
        """One forward of the model over a part of these rows, continuing caches if there are any.

        Positions are given only where the model's own would be wrong: after a cache, under a mask, and where a prompt has its
        own; these come with a mask, without which transformers takes jumps in them for the ends of texts. A family that counts
        them in its own way is thus found out by the check of continued caches, and run plainly.

        Args:
            rows: what is read.
            ids: the part of it that the caches do not hold, padded on the right.
            cached: for each row the cache that it continues, all of one length.
            kept: the positions among `ids` whose logits are wanted, where a model may give all of them; or those in each row,
                where it `gathers` them.
            keep_cache: whether the output needs a cache.
        """
        start = cached_length(cached[0])
        arguments: dict[str, Any] = {"input_ids": ids.to(self.device)}
        if self.cache_name:
            arguments["use_cache"] = keep_cache or start > 0
        if start:
            arguments[str(self.cache_name)] = join([row for row in cached if row is not None])
        masked = any(row.input.seen is not None or row.input.positions is not None for row in rows)
        if self.takes_positions and (start or masked):
            arguments["position_ids"] = row_positions(rows, start, ids.shape[1]).to(self.device)
        if self.keeps_logits and kept.ndim == 1:
            arguments["logits_to_keep"] = kept.to(self.device)
        if masked:
            arguments["attention_mask"] = attention_mask(rows, start + ids.shape[1]).to(self.device)
        self.counter.add(ids.numel())
        with nullcontext() if kept.ndim == 1 else gathered_logits(self.model, kept - ids.shape[1]):
            return self.inputs.call(rows, start, arguments)

    def agrees(self, fast: Float[Tensor, "*_"], plain: Float[Tensor, "*_"], what: str) -> bool:
        """Whether a faster path gives the plain one's numbers up to rounding; logged where not."""
        over = excess(fast, plain, tolerance(self.model))
        if over > 1:
            name = type(self.model).__name__
            logger.info("%s %s inexactly (by %.1e tolerances): using plain forwards.", name, what, over)
        return over <= 1


def _longest(rows: Sequence[Row]) -> int:
    return max(len(row.input.ids) + len(row.continuation) for row in rows)
