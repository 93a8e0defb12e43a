"""Owen values over a tree of features."""

from __future__ import annotations

from typing import Any, Unpack

from interpreto_mllm.aggregators import Aggregator, OwenAggregator
from interpreto_mllm.explainers.method import Method
from interpreto_mllm.explainers.options import Options
from interpreto_mllm.perturbators import HierarchicalPerturbator, Perturbator
from interpreto_mllm.prompts.prompt import Hierarchy, Prompt


class HierarchicalShapley(Method):
    """Owen values: Shapley values in which the features of a group enter together; groups with large values get more budget.

    The grouping of a prompt is derived from it (chat turn, sentence, feature) unless given. The values sum to v(N) − v(∅).
    Owen: Values of games with a priori unions, 1977; more than two levels after Winter, 1989.

    Args:
        model, tokenizer, options: see `AttributionExplainer`.
        hierarchy: the grouping, as nested lists of feature indices such as `[[0, 1], [[2, 3], 4]]`.

    Example:
        >>> from interpreto_mllm.testbed import load_recall
        >>> [explanation] = HierarchicalShapley(*load_recall())("the apple is red . what is the apple ?", " red")
        >>> explanation.estimand
        'Owen value'
    """

    def __init__(self, model: Any, tokenizer: Any = None, *, hierarchy: Hierarchy | None = None, **options: Unpack[Options]):
        self.hierarchy = hierarchy
        self.perturbator, self.aggregator = _parts([0] if hierarchy is None else hierarchy)
        super().__init__(model, tokenizer, **options)

    def parts(self, prompt: Prompt) -> tuple[Perturbator, Aggregator]:
        """Those of the given grouping, or of the prompt's own."""
        return _parts(prompt.hierarchy()) if self.hierarchy is None else (self.perturbator, self.aggregator)


def _parts(hierarchy: Hierarchy) -> tuple[Perturbator, Aggregator]:
    return HierarchicalPerturbator(hierarchy), OwenAggregator(hierarchy)
