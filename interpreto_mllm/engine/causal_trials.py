"""What must be known of a causal language model before its rows are scored: found out on the rows themselves."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from interpreto_mllm.engine.batch_trial import BatchTrial
from interpreto_mllm.engine.findings import Longest, finding
from interpreto_mllm.engine.masked_trial import check_masked
from interpreto_mllm.engine.queries import Score, kind_of, pad
from interpreto_mllm.engine.reading_ahead import check_reads_on, reads_ahead
from interpreto_mllm.engine.runner import CausalRunner
from interpreto_mllm.engine.stand_ins import goes_the_same_way, stand_in_with_hidden, stand_ins
from interpreto_mllm.engine.vocabulary import vocabulary_size

logger = logging.getLogger(__name__)

TAIL = 8
"""Tokens after an answer that are changed to see whether it reads ahead."""

LAST_IS_READ = "The answer is predicted from the prompt's last token, which is read even where Attend() hides it: pin it."


class CausalTrials:
    """Tries whether predictions change with what follows, or with what is masked, and whether rows influence each other.

    Two forwards each at the length of the longest row; longer ones are tried again. Where a model goes about short prompts in
    the same way, it is tried on some of these.

    Args:
        runner: runs the model.
    """

    def __init__(self, runner: CausalRunner):
        self.runner = runner

    def __call__(self, queries: Sequence[Score]) -> None:
        """Try what is not known yet of a model with such rows.

        Raises:
            ValueError: for a model that reads an answer's later tokens before it predicts the earlier ones, or what is masked.
        """
        runner, kind = self.runner, kind_of(queries)
        short = goes_the_same_way(runner.model, [query.input for query in queries])
        with runner.counter.trying(), runner.inputs.trial():
            longest = max(queries, key=_length)
            self._try_ahead(stand_ins(longest)[0] if short else longest, kind)
            masked = [query for query in queries if query.input.seen is not None and not query.input.seen.all()]
            check_masked(
                runner.model,
                ("causal", kind),
                [stand_in_with_hidden(max(masked, key=_length))] if short and masked else masked,
                lambda input, query: self._values([replace(query, input=input)])[0],
                runner.inputs.is_text,
            )
            if any(query.input.seen is not None and not query.input.seen[-1] for query in queries):
                runner.counter.note(LAST_IS_READ)
            together = [query for query in queries if runner.batches.most(query.length) > 1]
            if short and len(together) > 1:
                together = stand_ins(max(together, key=_length))
            runs = (runner.batches, runner.counter, _length, self._values)
            BatchTrial(runner.model, ("causal", kind), *runs, unit="log-probabilities", experts=False)(together)

    def _try_ahead(self, longest: Score, kind: frozenset[str]) -> None:
        known = finding(self.runner.model, ("ahead", kind), Longest)
        if longest.length > known.length:
            self._check_ahead(longest)
            known.length = longest.length

    def _values(self, queries: Sequence[Score]) -> Float[Tensor, "b t"]:
        """Log-probabilities of the tokens of answers, in one plain forward."""
        width = max(len(query.target) for query in queries)
        logits = self._logits(queries, [range(len(query.input.ids) - 1, len(query.input.ids) - 1 + width) for query in queries])
        targets = pad([query.target for query in queries]).to(logits.device)
        chosen = logits.gather(-1, targets[..., None])[..., 0]
        return (chosen - logits.logsumexp(-1)).cpu()

    def _logits(self, queries: Sequence[Score], places: Sequence[range]) -> Float[Tensor, "b t v"]:
        """Logits at some positions of each row, in one plain forward."""
        ids = pad([[*query.input.ids.tolist(), *query.continuation] for query in queries])
        at = torch.tensor([list(place) for place in places]).clamp_max(ids.shape[1] - 1)
        kept = at.unique()
        logits = self.runner.forward(queries, ids, [None] * len(queries), kept, keep_cache=False).logits
        where = torch.searchsorted(kept, at) if self.runner.keeps_logits else at + logits.shape[1] - ids.shape[1]
        rows = torch.arange(len(queries), device=logits.device)[:, None]
        return logits[rows, where.to(logits.device)].float()

    def _check_ahead(self, query: Score) -> None:
        def predicted(rows: Sequence[Score]) -> Float[Tensor, "b t v"]:
            return self._logits(rows, [range(len(row.input.ids) - 1, len(row.input.ids) + 1) for row in rows]).log_softmax(-1)

        check_reads_on(self.runner.model, reads_ahead(self.runner.model, self._tails(query), predicted), len(query.input.ids))

    def _tails(self, query: Score) -> list[Score]:
        """The row with different tokens after the answer's first; as long as before where the prompt's beginning can be cut."""
        input = query.input
        text = input.ids[self.runner.inputs.is_text(input)]
        known = list(dict.fromkeys([*text.tolist(), *query.target]))
        if len(known) == 1:
            known.append((known[0] + 1) % (vocabulary_size(self.runner.model) or known[0] + 2))
        cut = 0 if input.media else min(TAIL + 1, len(input.ids) - 1)
        input = replace(input.after(cut), seen=None)
        after = np.arange(len(query.target) - 1 + TAIL)
        shifts = dict.fromkeys(shift % len(known) for shift in (0, 1, 2, 3, 5))
        fillers = [[known[place] for place in ((after + shift) % len(known)).tolist()] for shift in shifts]
        return [Score(input, (query.target[0], *filler, query.target[0])) for filler in fillers]


def _length(query: Score) -> int:
    return query.length
