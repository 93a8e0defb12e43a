"""What metrics say of trivial rankings of the features of a sample, which are measured beside every method."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from zlib import crc32

from interpreto_mllm.attribution import Attribution
from interpreto_mllm.metrics.baselines import baseline_results
from interpreto_mllm.metrics.evaluated_game import EvaluatedGame
from interpreto_mllm.metrics.metric import Metric
from interpreto_mllm.metrics.rows import NotApplicable, rows_of
from interpreto_mllm.metrics.truth_mask import Truth

RANDOM_ORDERS, CALLED_ORDERS = 19, 3
"""Random scores that are measured, of metrics against the truth, and of those that cost calls; their mean is kept."""

Numbers = dict[str, float | None]


def baseline_numbers(
    explanation: Attribution, metrics: Sequence[Metric], truth: Truth | None, game: EvaluatedGame, seed: int = 0
) -> dict[str, Numbers]:
    """Numbers of random scores, length, position, distance from the centre of an image, and leave-one-out, by name.

    They depend on the sample alone, and not on the method that explains it. A result of several classes has none.

    Args:
        explanation: of the sample, by any method.
        metrics: what is measured; those that cost calls, or compare with the truth, say something of a ranking.
        truth: which features caused the answer, where that is known.
        game: of the sample.
        seed: of the coalitions that metrics draw.

    Example:
        >>> from interpreto_mllm import KernelShap
        >>> from interpreto_mllm.metrics import find_metric
        >>> from interpreto_mllm.testbed import load_recall
        >>> explainer = KernelShap(*load_recall(), budget=40)
        >>> [explanation] = explainer("the apple is red . what is the apple ?", " red")
        >>> game = EvaluatedGame.of(explainer.game("the apple is red . what is the apple ?", " red"), [explanation])
        >>> list(baseline_numbers(explanation, [find_metric("top_k_drop")], None, game))
        ['random', 'length', 'position', 'leave-one-out']
    """
    if len(rows_of(explanation)) != 1:
        return {}
    usable = [one for one in metrics if one.cost == "calls" or (one.cost == "truth" and truth is not None)]
    if not usable:
        return {}
    shuffled = crc32(repr([(one.text, one.spans, one.pieces) for one in explanation.features]).encode())
    trivial = baseline_results(explanation, game, RANDOM_ORDERS, shuffled)
    found = {name: Numbers() for name in trivial}
    for metric in usable:
        count = CALLED_ORDERS if metric.cost == "calls" else RANDOM_ORDERS
        try:
            for name, records in trivial.items():
                several = [metric.compute(one, game, truth=truth, seed=seed) for one in records[:count]]
                found[name].update(_means(several))
        except NotApplicable:
            continue
    return found


def _means(several: Sequence[Mapping[str, float]]) -> Numbers:
    """As JSON holds them: a mean that is not finite is missing."""
    names = dict.fromkeys(name for one in several for name in one)
    means = {name: fmean(one[name] for one in several if name in one) for name in names}
    return {name: value if math.isfinite(value) else None for name, value in means.items()}
