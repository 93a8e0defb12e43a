"""The shortest call of the library, which chooses the method itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from os import PathLike
from typing import Any, Unpack

from interpreto_mllm.aggregators import (
    Aggregator,
    GaussianProcessAggregator,
    KernelAggregator,
    OwenAggregator,
    ShapleyAggregator,
)
from interpreto_mllm.attribution import Attribution
from interpreto_mllm.core.evaluations import Evaluations
from interpreto_mllm.evaluation.budget import resolve_budget
from interpreto_mllm.explainers.base import AttributionExplainer
from interpreto_mllm.explainers.options import Options
from interpreto_mllm.perturbators import (
    ActivePerturbator,
    ExactPerturbator,
    HierarchicalPerturbator,
    KernelPerturbator,
    Perturbator,
)
from interpreto_mllm.prompts.prompt import Prompt

MANY = 256
PLENTY = 4096


def explain(
    model: Any,
    tokenizer: Any,
    inputs: Any,
    targets: Any = None,
    *,
    method: Any = "auto",
    **options: Unpack[Options],
) -> list[Attribution]:
    """One attribution per input, in one call.

    Args:
        model, tokenizer, inputs, targets, options: see `AttributionExplainer`.
        method: a method such as `PermutationShapley`, or "auto": see `AutoShapley`.

    Raises:
        TypeError: for a method that is none.
        TypeError, ValueError: as the explainer does.

    Example:
        >>> from interpreto_mllm.testbed import load_recall
        >>> [explanation] = explain(*load_recall(), "the apple is red . what is the apple ?", " red")
        >>> explanation.notes
        ('Chosen for 10 features and 224 evaluations: GaussianProcessShapley, as 2^10 coalitions are too many to play all.',)
    """
    if method == "auto":
        method = AutoShapley
    if not (isinstance(method, type) and issubclass(method, AttributionExplainer)):
        raise TypeError(f"method must be 'auto' or one of the methods, such as PermutationShapley; got {method!r}.")
    return method(model, tokenizer, **options)(inputs, targets)  # pyright: ignore[reportCallIssue]


class AutoShapley(AttributionExplainer):
    """Shapley values by whatever suits the number of features and the budget; the choice is written in the result's notes.

    Exact when the budget covers all coalitions; Owen values over turns and sentences above 256 features, where coalitions of
    single words say too little each; otherwise the estimator with the least error in `benchmarks/accuracy.py`, the Gaussian
    process. It thinks for some milliseconds an evaluation, so that above 4096 evaluations, which are cheap then, the
    regression takes over. For models that answer in microseconds name `KernelShap` yourself.

    Args:
        model, tokenizer: see `AttributionExplainer`, which also explains all options.

    Example:
        >>> from interpreto_mllm.testbed import load_recall
        >>> [explanation] = AutoShapley(*load_recall(), budget=1024)("the apple is red . what is the apple ?", " red")
        >>> explanation.method, float(explanation.efficiency_gap.abs().max()) < 1e-9
        ('ExactShapley', True)
    """

    def __init__(self, model: Any, tokenizer: Any, **options: Unpack[Options]):
        super().__init__(model, tokenizer, perturbator=ActivePerturbator(), aggregator=GaussianProcessAggregator(), **options)

    def parts(self, prompt: Prompt) -> tuple[Perturbator, Aggregator]:
        """What suits this prompt."""
        name = self._choice(len(prompt.features))[0]
        if name == "ExactShapley":
            return ExactPerturbator(), ShapleyAggregator()
        if name == "HierarchicalShapley":
            return HierarchicalPerturbator(prompt.hierarchy()), OwenAggregator(prompt.hierarchy())
        if name == "KernelShap":
            return KernelPerturbator(), KernelAggregator()
        return self.perturbator, self.aggregator

    def explain(
        self,
        inputs: Any,
        targets: Any = None,
        *,
        evaluations: Sequence[Attribution | Evaluations] | None = None,
        checkpoint: str | PathLike[str] | None = None,
    ) -> list[Attribution]:
        """One attribution per input, as `AttributionExplainer.explain`, with the choice in its method and notes."""
        told = []
        for explanation in super().explain(inputs, targets, evaluations=evaluations, checkpoint=checkpoint):
            name, reason = self._choice(explanation.n)
            told.append(replace(explanation, method=name, notes=(reason, *explanation.notes)))
        return told

    def _choice(self, n: int) -> tuple[str, str]:
        """The method for `n` features, and why."""
        budget = resolve_budget(self.perturbator, n, self.budget)
        chosen = f"Chosen for {n} features and {budget:,} evaluations: "
        if self.until is None and n < 63 and budget >= 2**n:
            return "ExactShapley", f"{chosen}ExactShapley, as these are all 2^{n} coalitions."
        if n > MANY and self.until is None:
            return "HierarchicalShapley", f"{chosen}HierarchicalShapley (Owen values), as {n} features are many."
        if budget > PLENTY:
            return "KernelShap", f"{chosen}KernelShap, as so many are plenty for it."
        many = f"2^{n} coalitions are too many to play all" if self.until is None else f"{self.until} can stop it"
        return "GaussianProcessShapley", f"{chosen}GaussianProcessShapley, as {many}."
