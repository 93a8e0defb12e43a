"""The one way from evaluations to an estimate, for results, rescoring and stop rules."""

from __future__ import annotations

from dataclasses import replace

import torch

from interpreto_mllm.aggregators.aggregator import Aggregator, Estimate
from interpreto_mllm.core.evaluations import Evaluations


def aggregate(evaluations: Evaluations, aggregator: Aggregator) -> Estimate:
    """What the aggregator makes of the drawn coalitions, the spread of repeated draws included in its standard errors.

    Coalitions that were evaluated but are not part of the sample are left out.

    An aggregator is linear in the values, so each repeat is a game of its own whose estimates average to the one of the means,
    and their spread over √r is the error that the draws leave. It is added to the aggregator's own error as if the two were
    independent. Where coalitions were sampled, the aggregator's error already contains part of that spread, so the sum is
    conservative. Where the aggregator has no standard errors, there are none here.

    Example:
        >>> from interpreto_mllm.aggregators import ShapleyAggregator
        >>> undrawn = torch.zeros(0, dtype=torch.int64), torch.zeros(0).double(), torch.zeros(0, dtype=torch.int64)
        >>> repeats = torch.tensor([[[0.0], [1.0]], [[0.0], [3.0]]]).double()
        >>> game = Evaluations(torch.tensor([[False], [True]]), repeats.mean(0), *undrawn, repeats=repeats)
        >>> [error] = aggregate(game, ShapleyAggregator()).standard_errors.flatten().tolist()
        >>> error
        1.0
    """
    evaluations = evaluations.drawn
    whole = aggregator.aggregate(evaluations)
    if evaluations.repeats is None or whole.standard_errors is None:
        return whole
    drawn = [aggregator.aggregate(evaluations.with_values(values)).attributions for values in evaluations.repeats]
    spread = torch.stack(drawn).var(0) / len(drawn)
    return replace(whole, standard_errors=(whole.standard_errors.square() + spread).sqrt())
