"""Rules that end sampling once the question is settled."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor

from interpreto_mllm.aggregators.aggregate import aggregate
from interpreto_mllm.aggregators.aggregator import Aggregator, Estimate
from interpreto_mllm.aggregators.set_interactions import set_interactions
from interpreto_mllm.core.evaluations import Evaluations
from interpreto_mllm.core.indices import INDICES
from interpreto_mllm.core.numbers import is_number, is_whole
from interpreto_mllm.core.shown import shown


class Rule(ABC):
    """Decides from scores and their standard errors whether to stop. It must hold for every target.

    An answer of several tokens is one target, worth what `explanation.span()` gives it.

    Attributes:
        each_token: whether each token of an answer is a target of its own, so that the rule must hold for all of them.

    Example:
        >>> class Small(Rule):
        ...     def settled(self, scores, errors):
        ...         return bool((errors < 0.1).all())
    """

    each_token: bool = False

    def estimate(self, evaluations: Evaluations, aggregator: Aggregator) -> Estimate:
        """What is judged after each round: the method's scores of the features, unless a rule is about something else."""
        return aggregate(evaluations, aggregator)

    @abstractmethod
    def settled(self, scores: Float[Tensor, "t n"], errors: Float[Tensor, "t n"]) -> bool:
        """Whether the question is settled."""

    def _shown(self, *arguments: object) -> str:
        """The rule with these arguments, as Python writes it."""
        given = (*map(str, arguments), *(["each_token=True"] if self.each_token else []))
        return f"{type(self).__name__}({', '.join(given)})"


class Tolerance(Rule):
    """Stop once the relative error is small: the norm of a target's errors over the norm of its scores.

    The squared norm of normal errors, with these standard errors, is taken to follow a χ² distribution of the same mean and
    variance (Satterthwaite 1946), and must be small enough with this confidence.

    Args:
        error: the relative error, such as 0.05.
        confidence: that the error is no larger.
        each_token: see `Rule`.

    Raises:
        ValueError: for an error that is not positive or a confidence outside (0, 1).

    Example:
        >>> rule, scores = Tolerance(0.05), torch.tensor([[3.0, 4.0]])
        >>> rule.settled(scores, torch.tensor([[0.1, 0.1]])), rule.settled(scores, torch.tensor([[0.1, 0.2]]))
        (True, False)
    """

    def __init__(self, error: float = 0.05, confidence: float = 0.95, each_token: bool = False):
        if not is_number(error) or not error > 0:
            raise ValueError(f"Tolerance takes a positive relative error, such as 0.05; got {shown(error)}.")
        self.error, self.confidence, self.each_token = float(error), _checked(confidence), each_token

    def settled(self, scores: Float[Tensor, "t n"], errors: Float[Tensor, "t n"]) -> bool:
        variances = errors.double().square()
        total, allowed = variances.sum(1), (self.error * scores.double().norm(dim=1)).square()
        freedom = total.square() / variances.square().sum(1)
        exceeded = torch.special.gammaincc(freedom / 2, freedom / 2 * allowed / total)
        return bool((torch.where(total == 0, 0.0, exceeded) <= 1 - self.confidence).all())

    def __repr__(self) -> str:
        return self._shown(self.error, *([] if self.confidence == 0.95 else [f"confidence={self.confidence}"]))


class TopK(Rule):
    """Stop once the k features with the largest absolute scores are distinguished from all others.

    The probabilities that a feature outside overtakes one inside, each from normal errors, must sum to at most
    1 − confidence.

    Args:
        k: how many features.
        confidence: that all k are the right ones, in any order.
        each_token: see `Rule`.

    Raises:
        ValueError: for a k below 1 or a confidence outside (0, 1).

    Example:
        >>> rule, errors = TopK(1), torch.full((1, 3), 0.1)
        >>> rule.settled(torch.tensor([[1.0, 0.1, 0.0]]), errors), rule.settled(torch.tensor([[1.0, 0.9, 0.0]]), errors)
        (True, False)
    """

    def __init__(self, k: int, confidence: float = 0.95, each_token: bool = False):
        if not is_whole(k) or k < 1:
            raise ValueError(f"TopK takes a number of features of at least 1; got {shown(k)}.")
        self.k, self.confidence, self.each_token = int(k), _checked(confidence), each_token

    def settled(self, scores: Float[Tensor, "t n"], errors: Float[Tensor, "t n"]) -> bool:
        order = scores.abs().argsort(1, descending=True)
        size, spread = scores.abs().gather(1, order), errors.gather(1, order).square()
        gaps = size[:, : self.k, None] - size[:, None, self.k :]
        return _sure(gaps, (spread[:, : self.k, None] + spread[:, None, self.k :]).sqrt(), self.confidence)

    def __repr__(self) -> str:
        return self._shown(self.k, f"confidence={self.confidence}")


class TopPairs(TopK):
    """Stop once the k pairs of features with the largest absolute interactions are distinguished from all others.

    Interactions are read as `explanation.interactions()` reads them, whatever the method estimates.

    Args:
        k: how many pairs.
        confidence: that all k are the right ones, in any order.
        index: "SII" or another of `explanation.interactions(index=...)`.
        each_token: see `Rule`.

    Raises:
        ValueError: for a k below 1, a confidence outside (0, 1), or an unknown index.

    Example:
        >>> from interpreto_mllm import KernelShap, testbed
        >>> explainer = KernelShap(*testbed.load_recall(), pinned=[".", "the", "is"], budget=60, until=TopPairs(1))
        >>> [explanation] = explainer("the apple is red . what is the apple ?", " red")
        >>> print(explanation.interactions().top(1)[0], explanation.notes[0])
        apple × red  +... Stopped after ... of 32 evaluations...
    """

    def __init__(self, k: int, confidence: float = 0.95, index: str = "SII", each_token: bool = False):
        if not is_whole(k) or k < 1:
            raise ValueError(f"TopPairs takes a number of pairs of at least 1; got {shown(k)}.")
        if index not in INDICES:
            raise ValueError(f"index must be one of {', '.join(map(repr, INDICES))}; got {shown(index)}.")
        super().__init__(k, confidence, each_token)
        self.index = index

    def estimate(self, evaluations: Evaluations, aggregator: Aggregator) -> Estimate:
        if evaluations.n < 2:  # no pairs, so nothing is open
            none = torch.zeros(evaluations.values.shape[1], 0, dtype=torch.float64)
            return Estimate(none, none)
        pairs = set_interactions(evaluations, 2, self.index)
        return Estimate(pairs.values, pairs.standard_errors)

    def __repr__(self) -> str:
        return self._shown(self.k, f"confidence={self.confidence}", *([] if self.index == "SII" else [f"index={self.index!r}"]))


class Sign(Rule):
    """Stop once it is known whether each of these features pushes towards the target or against it.

    Args:
        features: their indices; every feature when none is given, which takes long where some have no effect.
        confidence: that all of these signs are right.
        each_token: see `Rule`.

    Raises:
        ValueError: for features that are not indices or a confidence outside (0, 1).

    Example:
        >>> Sign(0).settled(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.1, 0.1]]))
        True
    """

    def __init__(self, *features: int, confidence: float = 0.95, each_token: bool = False):
        if not all(map(is_whole, features)):
            raise ValueError(f"Sign takes indices of features; got {', '.join(map(repr, features))}.")
        self.features, self.confidence, self.each_token = features, _checked(confidence), each_token

    def settled(self, scores: Float[Tensor, "t n"], errors: Float[Tensor, "t n"]) -> bool:
        wrong = [feature for feature in self.features if not -scores.shape[1] <= feature < scores.shape[1]]
        if wrong:
            raise ValueError(f"Sign is about feature {wrong[0]}, but there are only {scores.shape[1]} features, from 0.")
        columns = list(self.features or range(scores.shape[1]))
        return _sure(scores[:, columns, None].abs(), errors[:, columns, None], self.confidence)

    def __repr__(self) -> str:
        return self._shown(*self.features, f"confidence={self.confidence}")


def check_rule(rule: object) -> Rule | None:
    """The rule as given, None for none.

    Raises:
        TypeError: for anything else.
    """
    if rule is None or isinstance(rule, Rule):
        return rule
    raise TypeError(f"until must be a rule, such as Tolerance(0.05), TopK(3) or Sign(0); got {shown(rule)}.")


def _checked(confidence: float) -> float:
    if not is_number(confidence) or not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, such as 0.95; got {shown(confidence)}.")
    return float(confidence)


def _sure(gaps: Float[Tensor, "t inside outside"], spread: Float[Tensor, "t inside outside"], confidence: float) -> bool:
    """Whether, for each target, the probabilities that a gap is really below zero sum to at most 1 − confidence.

    A target whose errors are not known (NaN) is never sure.
    """
    probabilities = torch.where(spread == 0, 0.0, torch.special.ndtr(-gaps / spread.clamp_min(1e-300)))
    return bool((probabilities.sum((1, 2)) <= 1 - confidence).all())


def check_trials(trials: object, until: Rule | None) -> None:
    """Raise a ValueError for a number of trials that cannot be."""
    if isinstance(trials, bool) or not isinstance(trials, int) or trials < 1:
        raise ValueError(f"num_trials must be a positive int; got {trials!r}.")
    if trials > 1 and until is not None:
        raise ValueError(
            "num_trials repeats the sampling a number of times, and until goes on until standard errors are small: give one of "
            "them."
        )
