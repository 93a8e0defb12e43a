"""How scores settle with the number of evaluations, from the stored ones alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from interpreto_mllm.aggregators.aggregate import aggregate
from interpreto_mllm.core.design import Design
from interpreto_mllm.core.evaluations import Evaluations
from interpreto_mllm.results.record import Record

STAGES = 14
"""Budgets that are looked at, evenly on a logarithmic scale."""


@dataclass(frozen=True)
class Stage:
    """The estimate of a part of the evaluations.

    Args:
        evaluations: distinct coalitions in it.
        error: root mean square of its standard errors; NaN where it has none.
        distance: root mean square of the differences between its scores and the final ones.
    """

    evaluations: int
    error: float
    distance: float


def convergence(record: Record) -> list[Stage]:
    """The estimates that parts of the draws give, from few of them to all.

    Where all draws of a size are alike, a part is those that were certain and some of the others at random, each of which then
    stands for more coalitions; elsewhere it is the first ones. Draws that belong together (a permutation) stay together.

    Raises:
        ValueError: for a result that was not drawn, so that there are no parts, or that no part of its draws can serve.

    Example:
        >>> from interpreto_mllm import KernelShap, testbed
        >>> [explanation] = KernelShap(*testbed.load_recall(), budget=64)("the apple is red . what is the apple ?", " red")
        >>> stages = convergence(explanation)
        >>> stages[-1].evaluations, stages[-1].distance, stages[0].evaluations < 40
        (64, 0.0, True)
    """
    whole = record.evaluations
    drawn = len(whole.draws) and whole.design not in (Design.FIXED, Design.HIERARCHY)
    if record.gradients is not None or record.exact or whole.trials is not None or not drawn:
        raise ValueError(
            "Scores settle where coalitions are drawn one after the other: these are exact, of gradients, of a fixed design, "
            "or of several trials."
        )
    final, found, (certain, chains) = aggregate(whole, record.aggregator), [], _chains(whole)
    for count in torch.logspace(0, 1, STAGES, base=max(len(chains), 2)).round().long().unique().tolist():
        part = whole if count >= len(chains) else _part(whole, certain, chains[:count], len(chains) / count)
        try:
            estimate = final if part is whole else aggregate(part, record.aggregator)
        except ValueError:  # too few draws for this aggregator
            continue
        errors = estimate.standard_errors
        distance = (estimate.attributions - final.attributions).double().square().mean().sqrt()
        error = torch.tensor(torch.nan) if errors is None else errors.double().square().nanmean().sqrt()
        found.append(Stage(len(part.coalitions), float(error), float(distance)))
    if len(found) < 2:
        raise ValueError(f"{len(whole.draws)} draws are too few to see how the scores settled: no part of them gives scores.")
    return found


def _chains(evaluations: Evaluations) -> tuple[list[int], list[list[int]]]:
    """The draws that were certain; of the others those that belong together, in the order in which parts take them."""
    independent = evaluations.design.independent
    sure = (evaluations.weights <= 1) & (evaluations.design is Design.SAMPLE)
    chains: dict[tuple[str, int], list[int]] = {}
    for place, chain in enumerate(evaluations.chains.tolist()):
        if not sure[place]:
            chains.setdefault(("chain", chain) if chain >= 0 else ("alone", place), []).append(place)
    kept = list(chains.values())
    if independent:
        kept = [kept[place] for place in torch.randperm(len(kept), generator=torch.Generator().manual_seed(0)).tolist()]
    return sure.nonzero().flatten().tolist(), kept


def _part(evaluations: Evaluations, certain: list[int], chains: Sequence[list[int]], scale: float) -> Evaluations:
    """Some of the draws, of which the uncertain ones count so many times more, without the coalitions of others."""
    kept = torch.tensor([*certain, *(place for chain in chains for place in chain)]).sort().values
    more = torch.full((len(evaluations.draws),), scale, dtype=torch.float64).index_fill(0, torch.tensor(certain).long(), 1.0)
    logs, weights = evaluations.log_weights, more * evaluations.weights
    parts = {"draws": evaluations.draws[kept], "weights": weights[kept], "chains": evaluations.chains[kept]}
    return replace(evaluations, **parts, log_weights=None if logs is None else (logs + more.log())[kept]).drawn
