"""Rules that end a play once its question is settled, and the rounds after which they are asked."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor

from interpreto_mllm.aggregators.aggregate import aggregate
from interpreto_mllm.aggregators.aggregator import Aggregator, Estimate
from interpreto_mllm.core.coalitions import coalition_keys
from interpreto_mllm.core.evaluations import Draw, Evaluations
from interpreto_mllm.perturbators.perturbator import Drawing, Perturbator

FIRST, GROWTH = 8, 1.4


class Rule(ABC):
    """Says from scores and their standard errors whether more evaluations are needed. It must hold for every target.

    Example:
        >>> class Small(Rule):
        ...     def settled(self, scores, errors):
        ...         return bool((errors < 0.1).all())
    """

    @abstractmethod
    def settled(self, scores: Float[Tensor, "t n"], errors: Float[Tensor, "t n"]) -> bool:
        """Whether the question is settled."""


class Tolerance(Rule):
    """Until the standard errors of a target's scores, as one vector, are at most this part of the scores' own length.

    Args:
        error: the relative standard error, such as 0.05.

    Raises:
        ValueError: when it is not positive.

    Example:
        >>> Tolerance(0.05).settled(torch.tensor([[3.0, 4.0]]), torch.tensor([[0.1, 0.1]]))
        True
    """

    def __init__(self, error: float = 0.05):
        if isinstance(error, bool) or not error > 0:
            raise ValueError(f"Tolerance takes a positive relative error, such as 0.05; got {error!r}.")
        self.error = error

    def settled(self, scores: Float[Tensor, "t n"], errors: Float[Tensor, "t n"]) -> bool:
        return bool((errors.norm(dim=1) <= self.error * scores.norm(dim=1)).all())

    def __repr__(self) -> str:
        return f"Tolerance({self.error})"


class TopK(Rule):
    """Until the k features with the largest absolute scores are told from all others.

    The chances that some feature outside overtakes some inside, each from normal errors, must sum to at most 1 − confidence.

    Args:
        k: how many features.
        confidence: that all k are the right ones, in no particular order.

    Raises:
        ValueError: for a k below 1 or a confidence outside (0, 1).

    Example:
        >>> rule, errors = TopK(1), torch.full((1, 3), 0.1)
        >>> rule.settled(torch.tensor([[1.0, 0.1, 0.0]]), errors), rule.settled(torch.tensor([[1.0, 0.9, 0.0]]), errors)
        (True, False)
    """

    def __init__(self, k: int, confidence: float = 0.95):
        if isinstance(k, bool) or not isinstance(k, int) or k < 1:
            raise ValueError(f"TopK takes a number of features of at least 1; got {k!r}.")
        self.k, self.confidence = k, _checked(confidence)

    def settled(self, scores: Float[Tensor, "t n"], errors: Float[Tensor, "t n"]) -> bool:
        order = scores.abs().argsort(1, descending=True)
        size, spread = scores.abs().gather(1, order), errors.gather(1, order).square()
        gaps = size[:, : self.k, None] - size[:, None, self.k :]
        return _sure(gaps, (spread[:, : self.k, None] + spread[:, None, self.k :]).sqrt(), self.confidence)

    def __repr__(self) -> str:
        return f"TopK({self.k}, confidence={self.confidence})"


class Sign(Rule):
    """Until it is known whether each of these features pushes towards the target or against it.

    Args:
        features: their indices; every feature when none is given, which takes long where some do nothing.
        confidence: that all these signs are right.

    Raises:
        ValueError: for features that are not indices or a confidence outside (0, 1).

    Example:
        >>> Sign(0).settled(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.1, 0.1]]))
        True
    """

    def __init__(self, *features: int, confidence: float = 0.95):
        if not all(isinstance(feature, int) and not isinstance(feature, bool) for feature in features):
            raise ValueError(f"Sign takes indices of features; got {', '.join(map(repr, features))}.")
        self.features, self.confidence = features, _checked(confidence)

    def settled(self, scores: Float[Tensor, "t n"], errors: Float[Tensor, "t n"]) -> bool:
        wrong = [feature for feature in self.features if not -scores.shape[1] <= feature < scores.shape[1]]
        if wrong:
            raise ValueError(f"Sign asks for feature {wrong[0]}, and there are {scores.shape[1]}.")
        columns = list(self.features or range(scores.shape[1]))
        return _sure(scores[:, columns, None].abs(), errors[:, columns, None], self.confidence)

    def __repr__(self) -> str:
        return f"Sign({', '.join(map(str, (*self.features, f'confidence={self.confidence}')))})"


class StoppingMonitor:
    """Asks a rule after every round of a play, and remembers what it said.

    Args:
        rule: when to stop.
        aggregator: gives the scores and standard errors that the rule judges.

    Raises:
        TypeError: for something else than a rule.
    """

    def __init__(self, rule: object, aggregator: Aggregator):
        if not isinstance(rule, Rule):
            raise TypeError(f"until must be a rule, such as Tolerance(0.05), TopK(3) or Sign(0); got {rule!r}.")
        self.rule, self.aggregator = rule, aggregator
        self.met = self.checked = False

    def draw(self, perturbator: Perturbator, n: int, budget: int, seed: int) -> Drawing:
        """The perturbator's own rounds if it adapts; otherwise its draws under growing budgets.

        Raises:
            ValueError: for a perturbator that can be stopped nowhere.
        """
        if perturbator.adaptive:
            return perturbator.draw(n, budget, torch.Generator().manual_seed(seed))
        if perturbator.nested:
            return growing(perturbator, n, budget, seed)
        raise ValueError(
            f"{type(perturbator).__name__} plans all of its coalitions for the whole budget and cannot be stopped early: leave "
            "until=None, or use KernelPerturbator, MonteCarloPerturbator, PermutationPerturbator, BernoulliPerturbator or "
            "NeymanPerturbator. (One of your own says that it can by setting `nested` or `adaptive`.)"
        )

    def settled(self, evaluations: Evaluations) -> bool:
        """Whether the rule is met by what was evaluated so far."""
        estimate: Estimate = aggregate(evaluations, self.aggregator)
        if estimate.standard_errors is not None:
            self.checked = True
            self.met = self.rule.settled(estimate.attributions, estimate.standard_errors)
        return self.met

    def note(self, evaluated: int, budget: int) -> str:
        """Why the play ended, for the reader of its result."""
        if self.met:
            saved = f", {budget - evaluated:,} saved" if evaluated < budget else ""
            return f"Stopped after {evaluated:,} of {budget:,} evaluations{saved}: {self.rule} was met."
        if self.checked:
            return f"{self.rule} was not met within the budget: {evaluated:,} of {budget:,} evaluations spent."
        return (
            f"{self.rule} could not be checked: {type(self.aggregator).__name__} gave no standard errors from "
            f"{evaluated:,} of {budget:,} evaluations."
        )


def growing(perturbator: Perturbator, n: int, budget: int, seed: int) -> Drawing:
    """What the perturbator draws under budgets that grow to this one, each time the whole of it, from the same seed.

    Every round is thus the sample it would have drawn at that budget, with the right weights; what rounds have in common is
    evaluated once, and what a later one drops stays paid and is left out. Together they keep within the budget.

    Example:
        >>> from interpreto_mllm.perturbators import KernelPerturbator
        >>> [len(draw.coalitions) for draw in growing(KernelPerturbator(), 8, 100, seed=0)]
        [64, 90, 98]
    """
    paid = {bytes(n), bytes([1] * n)}
    size, last = min(budget, max(perturbator.minimum_budget(n), FIRST * n + 2)), 0
    while size > last:
        drawn = next(perturbator.draw(n, size, torch.Generator().manual_seed(seed)))
        draw = drawn if isinstance(drawn, Draw) else Draw(drawn)
        excess = len(paid.union(coalition_keys(draw.coalitions))) - budget
        if excess > 0:
            size -= excess
            continue
        yield Draw(draw.coalitions, draw.weights, draw.chains, whole=True)
        paid.update(coalition_keys(draw.coalitions))
        last, size = size, min(budget, int(size * GROWTH))


def _checked(confidence: float) -> float:
    if isinstance(confidence, bool) or not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, such as 0.95; got {confidence!r}.")
    return confidence


def _sure(gaps: Float[Tensor, "t a b"], spread: Float[Tensor, "t a b"], confidence: float) -> bool:
    """Whether, for each target, the chances that a gap is really below zero sum to little enough."""
    chances = torch.where(spread > 0, torch.special.ndtr(-gaps / spread.clamp_min(1e-300)), 0.0)
    return bool((chances.sum((1, 2)) <= 1 - confidence).all())
