"""What an aggregator needs of the way coalitions were drawn."""

from __future__ import annotations

from interpreto_mllm.core.design import Design
from interpreto_mllm.core.evaluations import Evaluations

REASONS = {
    Design.FIXED: "these were chosen by a fixed rule: aggregate with LeaveOneOutAggregator",
    Design.HIERARCHY: "these follow a hierarchy of groups: aggregate with OwenAggregator over the same groups",
    Design.BLOCKS: "these are Saltelli blocks: aggregate with SobolAggregator",
    Design.PAIRS: "these are pairs without weights: aggregate with ComplementaryAggregator or KernelAggregator",
    Design.CHOSEN: "these were chosen by a Gaussian process: aggregate with GaussianProcessAggregator or KernelAggregator",
    Design.SCREENED: "these screen many features for a few: aggregate with ScreenedAggregator",
    Design.ORDERS: "these are those of random orders: aggregate with MarginalAggregator or KernelAggregator",
    Design.SAMPLE: "these are a random sample: aggregate with KernelAggregator or ShapleyAggregator",
    Design.UNKNOWN: "how these were drawn is not known: yield a Draw with weights, or aggregate with KernelAggregator",
}


def require(holds: bool, evaluations: Evaluations, aggregator: object, needed: str, perturbators: str) -> None:
    """Check that the coalitions are those an aggregator needs, which all coalitions together always are.

    Args:
        holds: whether they are.
        evaluations: what was drawn.
        aggregator: the one that asks.
        needed: what it needs, as a phrase.
        perturbators: those that draw it.

    Raises:
        ValueError: naming what fits.
    """
    if holds or evaluations.complete:
        return
    name = type(aggregator).__name__
    raise ValueError(f"{name} needs {needed}, and {REASONS[evaluations.design]}, or draw with {perturbators}.")


def require_alike(evaluations: Evaluations, aggregator: object, perturbators: str) -> None:
    """Check that nothing is known against all coalitions of a size having been drawn alike.

    Raises:
        ValueError: naming what fits.
    """
    needed = "coalitions of which all of one size are drawn alike"
    require(evaluations.design.alike, evaluations, aggregator, needed, perturbators)
