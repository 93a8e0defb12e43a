"""Owen values over a tree of features."""

from __future__ import annotations

from typing import Any, Unpack

from interpreto_mllm.aggregators import Aggregator, OwenAggregator
from interpreto_mllm.explainers.base import AttributionExplainer
from interpreto_mllm.explainers.options import Options
from interpreto_mllm.perturbators import HierarchicalPerturbator, Perturbator
from interpreto_mllm.prompts.prompt import Hierarchy, Prompt


class HierarchicalShapley(AttributionExplainer):
    """Owen values: Shapley values in which the parts of a group stand together, the budget going where the mass is.

    The grouping of a prompt is derived from it (chat turn, sentence, feature) unless given. The values sum to v(N) − v(∅).
    Owen: Values of games with a priori unions, 1977; more than two levels after Winter, 1989.

    Args:
        model, tokenizer: see `AttributionExplainer`, which also explains all options.
        hierarchy: the grouping as nested lists of feature indices, such as `[[0, 1], [[2, 3], 4]]`.

    Example:
        >>> from interpreto_mllm.testbed import load_recall
        >>> [explanation] = HierarchicalShapley(*load_recall())("the apple is red . what is the apple ?", " red")
        >>> explanation.estimand
        'Owen value'
    """

    def __init__(self, model: Any, tokenizer: Any = None, *, hierarchy: Hierarchy | None = None, **options: Unpack[Options]):
        placeholder = [0] if hierarchy is None else hierarchy
        perturbator, aggregator = HierarchicalPerturbator(placeholder), OwenAggregator(placeholder)
        super().__init__(model, tokenizer, perturbator=perturbator, aggregator=aggregator, **options)
        self._given = hierarchy is not None

    def parts(self, prompt: Prompt) -> tuple[Perturbator, Aggregator]:
        """The given grouping, or the prompt's own."""
        if self._given:
            return self.perturbator, self.aggregator
        return HierarchicalPerturbator(prompt.hierarchy()), OwenAggregator(prompt.hierarchy())
