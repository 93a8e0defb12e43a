"""The shortest call of the library, which chooses the method itself."""

from __future__ import annotations

from typing import Any, Unpack

from interpreto_mllm.aggregators import (
    Aggregator,
    GaussianProcessAggregator,
    KernelAggregator,
    ScreenedAggregator,
    ShapleyAggregator,
)
from interpreto_mllm.attribution import Attribution
from interpreto_mllm.core.shown import shown
from interpreto_mllm.evaluation.budget import covers_all_coalitions, resolve_budget
from interpreto_mllm.evaluation.stopping import Tolerance
from interpreto_mllm.explainers.base import AttributionExplainer
from interpreto_mllm.explainers.choice import Choice
from interpreto_mllm.explainers.method import Method
from interpreto_mllm.explainers.options import Options
from interpreto_mllm.explainers.screened import groups
from interpreto_mllm.perturbators import (
    ActivePerturbator,
    BalancedPerturbator,
    ExactPerturbator,
    KernelPerturbator,
    Perturbator,
    ScreeningPerturbator,
)
from interpreto_mllm.prompts.prompt import Prompt

MOST_UNSCREENED_FEATURES = 256
MANY_EVALUATIONS_PER_FEATURE = 16
"""From which on no feature needs to be screened out."""
MOST_UNSTOPPED_FEATURES = 64
"""Above which evaluations end once standard errors are small, unless a budget or a rule is given."""
MOST_BALANCED_FEATURES = 64
"""Above which fewer evaluations than pairs of coalitions need are spent on the features that matter."""
MOST_EVALUATIONS_OF_A_GAUSSIAN_PROCESS = 4096


def explain(
    model: Any,
    tokenizer: Any = None,
    inputs: Any = None,
    targets: Any = None,
    *,
    method: type[AttributionExplainer] | str = "auto",
    **options: Unpack[Options],
) -> list[Attribution]:
    """One attribution per input, in one call.

    Args:
        model, tokenizer, options: see `AttributionExplainer`.
        inputs, targets: see `AttributionExplainer.explain`.
        method: a method such as `PermutationShapley`, or "auto": see `AutoShapley`.

    Raises:
        TypeError: for anything else as a method.
        TypeError, ValueError: as the explainer does.

    Example:
        >>> from interpreto_mllm.testbed import load_recall
        >>> [explanation] = explain(*load_recall(), "the apple is red . what is the apple ?", " red")
        >>> explanation.notes
        ('Chosen for 10 features and 224 evaluations: GaussianProcessShapley, as 2^10 coalitions are too many to evaluate.',)
    """
    if method == "auto":
        method = AutoShapley
    if not (isinstance(method, type) and issubclass(method, AttributionExplainer)):
        raise TypeError(f"method must be 'auto' or one of the methods, such as PermutationShapley; got {shown(method)}.")
    return method(model, tokenizer, **options)(inputs, targets)  # pyright: ignore[reportCallIssue]


class AutoShapley(Method):
    """Shapley values by the method that suits the number of features and the budget; the choice is in the result's notes.

    Exact values when the budget covers all coalitions. Above 256 features, unless the budget has 16 evaluations for each, the
    few that matter are found first, by groups, and the others screened out; above 64 features, too, where the budget is less
    than 2n + 2, a pair of coalitions for each feature. Otherwise the estimator with the lowest error in
    `benchmarks/accuracy.py`, the Gaussian process: over pairs of coalitions, or over balanced ones (`BalancedPerturbator`)
    where a budget is less than 2n + 2. That takes a few milliseconds per evaluation, so that above 4096 evaluations
    the regression takes over. Either ends once errors are 5 % of the scores (`Tolerance()`), where there are over 64 features
    and neither a budget nor a rule is given. For models that answer in microseconds, choose `KernelShap` yourself.

    Args:
        model, tokenizer, options: see `AttributionExplainer`.

    Example:
        >>> from interpreto_mllm.testbed import load_recall
        >>> [explanation] = AutoShapley(*load_recall(), budget=1024)("the apple is red . what is the apple ?", " red")
        >>> explanation.method, float(explanation.efficiency_gap.abs().max()) < 1e-9
        ('ExactShapley', True)
    """

    perturbator = ActivePerturbator()
    aggregator = GaussianProcessAggregator()

    def choose(self, prompt: Prompt) -> Choice:
        """What suits this prompt, and why."""
        n, until = len(prompt.features), self.settings.until
        budget = resolve_budget(self.perturbator, n, self.settings.budget)
        reason = f"Chosen for {n} features and {budget:,} evaluations: "
        if until is None and covers_all_coalitions(budget, n):
            reason += f"ExactShapley, as these are all 2^{n} coalitions."
            return Choice(ExactPerturbator(), ShapleyAggregator(), "ExactShapley", (reason,))
        given = self.settings.budget
        few = given is not None and budget < 2 * n + 2
        if n > MOST_UNSCREENED_FEATURES and (given is None or budget < MANY_EVALUATIONS_PER_FEATURE * n):
            return self._screened(prompt, f"there are more than {MOST_UNSCREENED_FEATURES} features")
        if few and n > MOST_BALANCED_FEATURES and budget >= ScreeningPerturbator().minimum_budget(n):
            return self._screened(prompt, f"pairs of coalitions need {2 * n + 2}")
        if few and until is None:
            reason += f"GaussianProcessShapley over balanced coalitions, as pairs of them need {2 * n + 2} evaluations."
            return Choice(BalancedPerturbator(), self.aggregator, "GaussianProcessShapley", (reason,))
        stops = n > MOST_UNSTOPPED_FEATURES and given is None and until is None and self.settings.num_trials == 1
        rule = Tolerance() if stops else None
        if budget > MOST_EVALUATIONS_OF_A_GAUSSIAN_PROCESS:
            reason += f"KernelShap, as there are more than {MOST_EVALUATIONS_OF_A_GAUSSIAN_PROCESS:,} evaluations."
            return Choice(KernelPerturbator(), KernelAggregator(), "KernelShap", (reason,), rule)
        why = f"2^{n} coalitions are too many to evaluate" if until is None else f"{until} can stop it early"
        reason += f"GaussianProcessShapley, as {why}."
        return Choice(self.perturbator, self.aggregator, "GaussianProcessShapley", (reason,), rule)

    def _screened(self, prompt: Prompt, why: str) -> Choice:
        """Screening, with the reason."""
        n, screening = len(prompt.features), ScreeningPerturbator(groups(prompt))
        budget = resolve_budget(screening, n, self.settings.budget)
        reason = f"Chosen for {n} features and {budget:,} evaluations: ScreenedShapley, as {why}."
        return Choice(screening, ScreenedAggregator(), "ScreenedShapley", (reason,))

    def parts(self, prompt: Prompt) -> tuple[Perturbator, Aggregator]:
        """The perturbator and the aggregator that suit this prompt."""
        choice = self.choose(prompt)
        return choice.perturbator, choice.aggregator
