"""What one prompt is explained with."""

from __future__ import annotations

from dataclasses import dataclass

from interpreto_mllm.aggregators.aggregator import Aggregator
from interpreto_mllm.evaluation.stopping import Rule
from interpreto_mllm.perturbators.perturbator import Perturbator


@dataclass(frozen=True)
class Choice:
    """The perturbator and the aggregator for one prompt, the method that they make up, and notes on why it was chosen.

    Args:
        until: a rule that ends the sampling where the user gives none.
    """

    perturbator: Perturbator
    aggregator: Aggregator
    method: str
    notes: tuple[str, ...] = ()
    until: Rule | None = None
