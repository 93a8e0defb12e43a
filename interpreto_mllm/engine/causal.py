"""Scoring answers under causal language models."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interpreto_mllm.engine.cache import CacheRow, cached_length
from interpreto_mllm.engine.cache_trial import Leaf
from interpreto_mllm.engine.causal_trials import CausalTrials
from interpreto_mllm.engine.counter import ForwardCounter
from interpreto_mllm.engine.experts_trial import ExpertsTrial
from interpreto_mllm.engine.queries import Mode, Row, Score, Scored, pad
from interpreto_mllm.engine.rounding import log_probabilities
from interpreto_mllm.engine.runner import CausalRunner


class CausalScorer:
    """Scores answers under a causal language model, with logits computed only where the answers are.

    Args:
        runner: runs the model.
        mode: from logits and target ids to values.
    """

    def __init__(self, runner: CausalRunner, mode: Mode):
        self.runner, self.mode = runner, mode
        self._trials = CausalTrials(runner)

    @property
    def counter(self) -> ForwardCounter:
        """What the model has cost."""
        return self.runner.counter

    def score(self, queries: Sequence[Score]) -> Iterator[Scored]:
        """Values of the target tokens of each query, batch by batch."""
        if not queries:
            return
        self._trials(queries)
        yield from compared(self, queries, surviving(self.runner, self._scored, queries))

    def _scored(self, queries: Sequence[Score]) -> Iterator[Scored]:
        symbols = self.runner.inputs.symbols(queries)
        trial = CausalScorer(self.runner, log_probabilities)
        for leaves in self.runner.leaves(queries, symbols, trial.values):
            yield from self.score_leaves(leaves, queries)

    def score_leaves(self, leaves: Sequence[Leaf], queries: Sequence[Score]) -> Iterator[Scored]:
        """Values of some of the queries, each of which goes on from a cache, batch by batch."""
        same_start: dict[int, list[Leaf]] = {}
        for leaf, cached in leaves:
            same_start.setdefault(cached_length(cached), []).append((leaf, cached))
        for start, group in same_start.items():
            work = self.runner.batches.run(
                group,
                lambda batch: self.score_batch(batch, queries),
                lambda item, s=start: queries[item[0]].length - s,
                held=start,
            )
            for batch, values in work:
                yield [leaf for leaf, _ in batch], values

    def score_batch(self, batch: Sequence[Leaf], queries: Sequence[Score]) -> Float[Tensor, "b t"]:
        """Values of some of the queries, in one forward over what is left to read and the answers."""
        asked = [queries[leaf] for leaf, _ in batch]
        start = cached_length(batch[0][1])
        ids = pad([[*query.input.ids[start:].tolist(), *query.continuation] for query in asked])
        begins = torch.tensor([len(query.input.ids) - 1 - start for query in asked])
        targets = pad([query.target for query in asked])
        at = (begins[:, None] + torch.arange(targets.shape[1])).clamp_max(ids.shape[1] - 1)
        logits = self._logits(asked, ids, [cached for _, cached in batch], at)
        return self.mode(logits.float(), targets.to(logits.device)).float().cpu()

    def values(self, batch: Sequence[Leaf], rows: Sequence[Row]) -> Float[Tensor, "b t"]:
        """The same of rows that are queries."""
        return self.score_batch(batch, [row for row in rows if isinstance(row, Score)])

    def _logits(
        self,
        asked: Sequence[Score],
        ids: Int[Tensor, "b l"],
        cached: Sequence[CacheRow | None],
        at: Int[Tensor, "b t"],
    ) -> Float[Tensor, "b t v"]:
        """The logits at these positions of what is left to read, in one forward."""
        runner = self.runner
        if runner.gathers(at, ids.shape[1]):
            return runner.forward(asked, ids, cached, at, keep_cache=False).logits
        kept = torch.arange(int(at.min()), int(at.max()) + 1)
        logits = runner.forward(asked, ids, cached, kept, keep_cache=False).logits
        if not runner.keeps_logits:
            logits = logits[:, kept.to(logits.device) + logits.shape[1] - ids.shape[1]]  # prompt tuning puts tokens before them
        places = at - at.min()
        if logits.shape[1] == at.shape[1] and bool((places == places[0]).all()):
            return logits
        return logits[torch.arange(len(asked), device=logits.device)[:, None], places.to(logits.device)]


def compared(single: CausalScorer, queries: Sequence[Score], scored: Iterator[Scored]) -> Iterator[Scored]:
    """The values of queries; where experts may change them, some are compared with plain forwards over one row."""
    runner = single.runner
    if runner.batches.size == 1 and not runner.shares_prefixes:
        return scored
    return ExpertsTrial(runner.model, runner.counter, lambda query: single.score_batch([(0, None)], [query])[0])(
        queries, scored
    )


def surviving(
    runner: CausalRunner, score: Callable[[Sequence[Score]], Iterator[Scored]], queries: Sequence[Score]
) -> Iterator[Scored]:
    """All values, also where a faster way breaks down on the way: those that are missing then come from a plainer one.

    Raises:
        Exception: that of the model itself, which a plain forward over one row raises.
    """
    waiting = list(range(len(queries)))
    while waiting:
        asked, answered = [queries[index] for index in waiting], set[int]()
        try:
            for indices, values in score(asked):
                answered.update(indices)
                yield [waiting[index] for index in indices], values
        except Exception as error:
            if not (runner.without_caches(error) or runner.one_by_one(error)):
                raise
        waiting = [index for place, index in enumerate(waiting) if place not in answered]
