"""Shapley values of the few features of a long prompt that matter."""

from __future__ import annotations

from typing import Any, Unpack

from interpreto_mllm.aggregators import Aggregator, ScreenedAggregator
from interpreto_mllm.explainers.method import Method
from interpreto_mllm.explainers.options import Options
from interpreto_mllm.perturbators import Perturbator, ScreeningPerturbator
from interpreto_mllm.prompts.prompt import Hierarchy, Prompt


class ScreenedShapley(Method):
    """Shapley values of the few among hundreds or thousands of features that matter, from about s · log n evaluations.

    Turns, sentences, features and groups of their neighbours join the prompt one after the other; those that change the value
    are opened, down to single features. Those found are kept, and their Shapley values are estimated with all other features
    present; exactly if their coalitions are few. All others score zero, unless the budget was too small to open their group.
    The notes say how many were kept, and how much of v(N) − v(∅) was screened out. See `ScreeningPerturbator` for the search,
    and `ScreenedAggregator` for what intervals hold.

    Args:
        model, tokenizer, options: see `AttributionExplainer`.
        hierarchy: the grouping, as nested lists of feature indices such as `[[0, 1], [[2, 3], 4]]`; the prompt's own if None.

    Example:
        >>> from interpreto_mllm.testbed import load_recall
        >>> [explanation] = ScreenedShapley(*load_recall())("the apple is red . what is the apple ?", " red")
        >>> explanation.features[int(explanation.attributions[0].argmax())].text in "the apple is red"
        True
    """

    aggregator = ScreenedAggregator()

    def __init__(self, model: Any, tokenizer: Any = None, *, hierarchy: Hierarchy | None = None, **options: Unpack[Options]):
        self.hierarchy = hierarchy
        self.perturbator = ScreeningPerturbator(hierarchy)
        super().__init__(model, tokenizer, **options)

    def parts(self, prompt: Prompt) -> tuple[Perturbator, Aggregator]:
        """Those of the given grouping, or of the prompt's own."""
        perturbator = ScreeningPerturbator(prompt.hierarchy()) if self.hierarchy is None else self.perturbator
        return perturbator, self.aggregator
