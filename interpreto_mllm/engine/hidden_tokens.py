"""Prompts without the tokens that attention may not see: fewer are read, and the others stand where they stood."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from jaxtyping import Float
from torch import Tensor

from interpreto_mllm.engine.causal import CausalScorer
from interpreto_mllm.engine.findings import finding
from interpreto_mllm.engine.queries import Score, kind_of
from interpreto_mllm.engine.rounding import log_probabilities
from interpreto_mllm.engine.runner import CausalRunner
from interpreto_mllm.engine.stand_ins import goes_the_same_way, stand_in_with_hidden


class _Known:
    """Whether a model reads prompts without their hidden tokens as it reads them with these, and up to which length."""

    def __init__(self) -> None:
        self.exact, self.length = True, 0


class HiddenTokens:
    """Leaves out hidden tokens where that changes no number.

    No other token attends to a hidden one, so that nothing depends on it where positions are given. Models that see further or
    less far then, because their windows or biases count what is between, are found out: the query that hides most is compared
    with its plain forward, and again when prompts are longer.

    Args:
        runner: runs the model.
        reach: how long a prompt may be for every layer to see all of it.
    """

    def __init__(self, runner: CausalRunner, reach: float):
        self.runner, self.reach = runner, reach
        self._trial = CausalScorer(runner, log_probabilities)

    def left_out(self, queries: Sequence[Score]) -> Sequence[Score]:
        """The queries without hidden tokens, or as they are."""
        runner = self.runner
        masked = [query for query in queries if query.input.seen is not None]
        if not masked or not (runner.takes_positions and runner.shares_prefixes and runner.may_share):
            return queries
        longest = max(query.length for query in queries)
        if longest > self.reach:
            return queries
        known = finding(runner.model, ("without hidden tokens", kind_of(masked)), _Known)
        if known.exact and longest > known.length:
            with runner.counter.trying(), runner.inputs.trial():
                known.exact, known.length = self._exact(masked), longest
        return [without_hidden(query) for query in queries] if known.exact else queries

    def _exact(self, masked: Sequence[Score]) -> bool:
        if goes_the_same_way(self.runner.model, [query.input for query in masked]):
            masked = [stand_in_with_hidden(max(masked, key=lambda query: query.length))]
        query = max(masked, key=lambda query: (~query.input.seen).sum() if query.input.seen is not None else 0)
        return self.runner.agrees(
            self._values(without_hidden(query)), self._values(query), "reads prompts without hidden tokens"
        )

    def _values(self, query: Score) -> Float[Tensor, "1 t"]:
        return self._trial.score_batch([(0, None)], [query])


def without_hidden(query: Score) -> Score:
    """The query with the tokens alone that attention may see, which keep their positions.

    A prompt whose last token is hidden stays as it is, since that token is read to predict the answer.

    Example:
        >>> import numpy as np
        >>> from interpreto_mllm.prompts.model_input import ModelInput
        >>> short = without_hidden(Score(ModelInput(np.array([5, 6, 7]), np.array([True, False, True])), (8,)))
        >>> short.input.ids.tolist(), short.input.places(1).tolist()
        ([5, 7], [0, 2, 3])
    """
    input = query.input
    seen = input.seen
    if seen is None or not seen[-1]:
        return query
    segments = None if input.segments is None else input.segments[seen]
    short = replace(input, ids=input.ids[seen], seen=None, segments=segments, positions=input.places()[seen])
    return replace(query, input=short)
