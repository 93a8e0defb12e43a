"""Sampling that may end early: rounds after which a rule is applied, and the monitor that applies it."""

from __future__ import annotations

from dataclasses import replace

import torch

from interpreto_mllm.aggregators.aggregator import Aggregator
from interpreto_mllm.core.coalitions import coalition_keys
from interpreto_mllm.core.evaluations import Draw, Evaluations
from interpreto_mllm.evaluation.game import Game
from interpreto_mllm.evaluation.stopping import Rule
from interpreto_mllm.perturbators.perturbator import Drawing, Perturbator

FIRST_EVALUATIONS_PER_FEATURE = 8
BUDGET_GROWTH = 1.4


class StoppingMonitor:
    """Applies a rule after every round, to scores and standard errors that include the spread of repeated answers.

    Args:
        rule: when to stop.
        aggregator: gives the scores and standard errors that the rule judges.
        game: adds to the evaluations what it knows of them, such as the values of each repeat.
        unit: what the budget counts, in the plural.

    Attributes:
        stopped: whether the rule was met.
    """

    def __init__(self, rule: Rule, aggregator: Aggregator, game: Game, unit: str = "evaluations"):
        self.rule, self.aggregator, self.game, self.unit = rule, aggregator, game, unit
        self.stopped = self._checked = self._joined = False

    def should_stop(self, evaluations: Evaluations) -> bool:
        """Whether the evaluations so far meet the rule."""
        known = self.game.completed(evaluations)
        judged = known if self.rule.each_token else self.game.of_answers(known)
        self._joined = judged.values.shape[1] < known.values.shape[1]
        estimate = self.rule.estimate(judged, self.aggregator)
        if estimate.standard_errors is not None:
            self._checked = True
            self.stopped = self.rule.settled(estimate.attributions, estimate.standard_errors)
        return self.stopped

    def note(self, evaluated: int, budget: int) -> str:
        """Why the session ended, for the reader of its result."""
        if self.stopped:
            saved = f", {budget - evaluated:,} saved" if evaluated < budget else ""
            of_what = " for the whole answer, not for each token of it" if self._joined else ""
            return f"Stopped after {evaluated:,} of {budget:,} {self.unit}{saved}: {self.rule} was met{of_what}."
        if self._checked:
            return f"{self.rule} was not met within the budget: {evaluated:,} of {budget:,} {self.unit} spent."
        return (
            f"{self.rule} could not be checked: {type(self.aggregator).__name__} gave no standard errors from "
            f"{evaluated:,} of {budget:,} {self.unit}."
        )


def stoppable_drawing(perturbator: Perturbator, n: int, budget: int, seed: int) -> Drawing:
    """Rounds after any of which one may stop: the perturbator's own if it adapts, else its draws under growing budgets.

    Raises:
        ValueError: for a perturbator that must spend its whole budget.
    """
    if perturbator.adaptive:
        return perturbator.draw(n, budget, torch.Generator().manual_seed(seed))
    if perturbator.nested:
        return growing(perturbator, n, budget, seed)
    raise ValueError(
        f"{type(perturbator).__name__} plans all of its coalitions for the whole budget and cannot be stopped early: leave "
        "until=None, or use KernelPerturbator, MonteCarloPerturbator, PermutationPerturbator, BernoulliPerturbator or "
        "NeymanPerturbator. (A perturbator of your own declares that it can be stopped by setting `nested` or `adaptive`.)"
    )


def growing(perturbator: Perturbator, n: int, budget: int, seed: int) -> Drawing:
    """What the perturbator draws under growing budgets up to this one, each round a whole sample, from the same seed.

    Every round is the sample of its budget, with the right weights. Coalitions that rounds share are evaluated once; those
    that a later round drops have been paid for but are left out. Together the rounds stay within the budget.

    Example:
        >>> from interpreto_mllm.perturbators import KernelPerturbator
        >>> [len(draw.coalitions) for draw in growing(KernelPerturbator(), 8, 100, seed=0)]
        [64, 90, 98]
    """
    evaluated = {bytes(n), bytes([1] * n)}
    size, last = min(budget, max(perturbator.minimum_budget(n), FIRST_EVALUATIONS_PER_FEATURE * n + 2)), 0
    while size > last:
        drawn = next(perturbator.draw(n, size, torch.Generator().manual_seed(seed)))
        draw = drawn if isinstance(drawn, Draw) else Draw(drawn)
        excess = len(evaluated.union(coalition_keys(draw.coalitions))) - budget
        if excess > 0:
            size -= excess
            continue
        yield replace(draw, whole=True)
        evaluated.update(coalition_keys(draw.coalitions))
        last, size = size, min(budget, int(size * BUDGET_GROWTH))
