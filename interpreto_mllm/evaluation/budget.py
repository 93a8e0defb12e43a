"""How many evaluations a budget allows."""

from __future__ import annotations

from fractions import Fraction

from interpreto_mllm.core.numbers import is_number, is_whole
from interpreto_mllm.core.shown import shown
from interpreto_mllm.perturbators.gradient import GradientPerturbator
from interpreto_mllm.perturbators.perturbator import Perturbator


def covers_all_coalitions(budget: int, n: int) -> bool:
    """Whether a budget suffices to evaluate every coalition of `n` features.

    Example:
        >>> covers_all_coalitions(8, n=3), covers_all_coalitions(8, n=4)
        (True, False)
    """
    return budget >= 2**n


MOST_BY_FRACTION = 1 << 25
"""Evaluations up to which a budget may be given as a fraction of 2^n; more would fill the memory, and no model makes them."""


def resolve_budget(perturbator: Perturbator, n: int, budget: int | float | None) -> int:
    """The number of distinct evaluations allowed: `budget` as an int, or as a fraction of 2^n, or the perturbator's default.

    It is never more than 2^n.

    Raises:
        ValueError: when the budget is not a positive number, below what the perturbator needs for `n` features, or a fraction
            that means more evaluations than can be made.
    """
    if n < 1:
        raise ValueError("There is nothing to explain: the game has no features.")
    if budget is None:
        return perturbator.default_budget(n)
    if isinstance(perturbator, GradientPerturbator):
        return _points(perturbator, n, budget)
    if not is_number(budget) or not budget > 0:
        raise ValueError(f"budget must be a positive int, or a fraction of 2^n in (0, 1]; got {shown(budget)}.")
    if not is_whole(budget):
        if budget > 1:
            raise ValueError(f"A float budget is a fraction of 2^n and lies in (0, 1]; got {budget}. Give an int for a count.")
        budget = _count(float(budget), n)
    budget = int(budget)
    minimum = perturbator.minimum_budget(n)
    if budget < minimum:
        raise ValueError(
            f"{type(perturbator).__name__} needs a budget of at least {minimum} evaluations for {n} features; got {budget}."
        )
    return 2**n if covers_all_coalitions(budget, n) else budget


def _points(perturbator: GradientPerturbator, n: int, budget: int | float) -> int:
    """The number of points of a gradient method.

    Raises:
        ValueError: when it is no int, or below what the perturbator needs.
    """
    minimum = perturbator.minimum_budget(n)
    if not is_whole(budget) or budget < minimum:
        raise ValueError(
            f"The budget of a gradient method is its number of points, an int of at least {minimum} for "
            f"{type(perturbator).__name__}; got {shown(budget)}."
        )
    return int(budget)


def _count(fraction: float, n: int) -> int:
    """The fraction of 2^n as a number of evaluations.

    Raises:
        ValueError: when that is more than can be made.
    """
    count = int(Fraction(fraction) * 2**n)
    if count > MOST_BY_FRACTION:
        size = f"{count:,}" if count < 10**18 else f"about 10^{len(str(count)) - 1}"
        raise ValueError(
            f"budget={fraction} is a fraction of the 2^{n} coalitions of {n} features and means {size} evaluations. Give the "
            f"number of evaluations as an int, such as {64 + 16 * n}, or None for the method's default."
        )
    return count


def budget_of_trials(budget: int, n: int, trials: int) -> int:
    """The most distinct evaluations that so many trials, each with this budget, can need.

    Example:
        >>> budget_of_trials(100, 8, 2), budget_of_trials(100, 8, 3)
        (200, 256)
    """
    return min(budget * trials, 2**n) if trials > 1 else budget
