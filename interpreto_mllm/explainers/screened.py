"""Shapley values of the few features of a long prompt that matter."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Unpack

from interpreto_mllm.aggregators import Aggregator, ScreenedAggregator
from interpreto_mllm.explainers.method import Method
from interpreto_mllm.explainers.options import Options
from interpreto_mllm.perturbators import Perturbator, ScreeningPerturbator
from interpreto_mllm.prompts.prompt import Hierarchy, Prompt


class ScreenedShapley(Method):
    """Shapley values of the few among hundreds or thousands of features that matter, from about s · log n evaluations.

    Turns, sources, paragraphs, sentences, features and groups of neighbours join the prompt one after the other; those that
    change the value are opened, down to single features. Those found are kept, and their Shapley values are estimated with all
    other features present; exactly if their coalitions are few. All others score zero, unless the budget was too small to open
    their group. The notes say how many were kept, and how much of v(N) − v(∅) was screened out. See `ScreeningPerturbator` for
    the search, and `ScreenedAggregator` for what intervals hold.

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
        perturbator = ScreeningPerturbator(groups(prompt)) if self.hierarchy is None else self.perturbator
        return perturbator, self.aggregator


def groups(prompt: Prompt) -> Hierarchy:
    """The features of a prompt as a tree: turns, then sources and paragraphs of each, then sentences, then features."""
    return [_divided(branch, prompt) for branch in prompt.hierarchy()]


def _divided(branch: int | Hierarchy, prompt: Prompt) -> int | Hierarchy:
    """A turn's sentences or features, in a group for each of its sources and paragraphs if there are several."""
    if isinstance(branch, int):
        return branch
    parts: Hierarchy = [[branch[0]]]
    for one, following in pairwise(branch):
        part = parts[-1]
        if _apart(_leaf(one, -1), _leaf(following, 0), prompt) or not isinstance(part, list):
            parts.append([following])
        else:
            part.append(following)
    return branch if len(parts) == 1 else [part[0] if isinstance(part, list) and len(part) == 1 else part for part in parts]


def _apart(one: int, following: int, prompt: Prompt) -> bool:
    """Whether two neighbours are of different sources, or with a blank line between them."""
    before, after = prompt.features[one], prompt.features[following]
    if before.source != after.source or not before.spans or not after.spans:
        return before.source != after.source
    between = prompt.text[before.spans[-1][1] : after.spans[0][0]]
    return "\n\n" in before.text[-2:] + between + after.text[:2]


def _leaf(branch: int | Hierarchy, end: int) -> int:
    while not isinstance(branch, int):
        branch = branch[end]
    return branch
