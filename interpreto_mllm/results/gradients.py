"""What is special about the results of gradient methods."""

from __future__ import annotations

from einops import einsum
from jaxtyping import Float
from torch import Tensor

from interpreto_mllm.aggregators.gradient import GradientAggregator
from interpreto_mllm.results.record import Record


def completeness_gap(record: Record) -> Float[Tensor, "t"] | None:
    """Of gradient methods whose scores are meant to add up, such as IntegratedGradients, Σφ − (v(N) − v(∅)); else None.

    v(∅) is the value of the baseline. The gap shrinks with the number of points.
    """
    aggregator = record.aggregator
    return record.efficiency_gap if isinstance(aggregator, GradientAggregator) and aggregator.complete else None


def conservation_gap(record: Record) -> Float[Tensor, "t"] | None:
    """Of `Relevance`, that of everything the model read, pinned and answered tokens included, minus v(N); else None.

    With a minus sign it is what biases, positions and the softmax of attention keep.
    """
    aggregator, gradients = record.aggregator, record.gradients
    if gradients is None or record.normalisation or not (isinstance(aggregator, GradientAggregator) and aggregator.conserves):
        return None
    rest = einsum(gradients.weights, gradients.rest, "p, p t -> t")
    return record.attributions.sum(1) + (rest - record.full).to(record.attributions.dtype)


def check_coalitions(record: Record, what: str) -> None:
    """Raise a ValueError for a gradient method's result, where something needs values of coalitions."""
    if record.gradients is not None:
        raise ValueError(
            f"{what} needs values of coalitions, and this result is of {record.method or 'a gradient method'}, which takes "
            "gradients at points: explain with a method that evaluates coalitions, such as KernelShap."
        )
