"""Attributions from gradients at points: their means, squares and variances, reduced to one number per feature."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, Literal

import torch
from einops import einsum
from jaxtyping import Float, Int
from torch import Tensor

from interpreto_mllm.aggregators.aggregator import Aggregator, Estimate
from interpreto_mllm.core.evaluations import Evaluations
from interpreto_mllm.core.points import Fold, Gradients, Moments

Hidden = Literal["sum", "l1", "l2"]
Tokens = Literal["sum", "mean", "max", "signed_max"]
HIDDEN, TOKENS = ("sum", "l1", "l2"), ("sum", "mean", "max", "signed_max")


class GradientAggregator(Aggregator):
    """Turns gradients at points into attributions; it goes with a `GradientPerturbator`.

    `fold` says which sums over the points it wants of the gradients themselves, number by number of the input. One that does
    with `Gradients.slopes`, how the value changes with the presence of each feature, needs none.

    Attributes:
        fold: the sums that it wants.
        keeps_rest: whether `Gradients.rest` is wanted to hold all of the input that belongs to no feature, the tokens of the
            answer that the model reads included; else it holds that of the prompt, where some of it moves.
        complete: whether the attributions are meant to add up to the value of the prompt minus that of the baseline.
        conserves: whether they are, with `Gradients.rest`, to be compared with the value of the prompt itself.

    Example:
        >>> class MedianSlope(GradientAggregator):
        ...     estimand = "median slope"
        ...     def fold_points(self, gradients):
        ...         return Estimate(gradients.slopes.median(0).values)
    """

    fold: Fold | None = None
    keeps_rest: bool = False
    complete: bool = False
    conserves: bool = False

    @abstractmethod
    def fold_points(self, gradients: Gradients) -> Estimate:
        """Attributions of the `n` features for each of the `t` targets.

        Raises:
            ValueError: when these gradients cannot serve this aggregator.
        """

    def aggregate(self, evaluations: Evaluations) -> Estimate:
        if evaluations.gradients is None:
            name = type(self).__name__
            raise ValueError(
                f"{name} folds gradients, and these are values of coalitions: explain again with a gradient perturbator such "
                "as PathPerturbator, or aggregate with KernelAggregator or another one for coalitions."
            )
        return self.fold_points(evaluations.gradients)


class ReducingAggregator(GradientAggregator):
    """One number per feature from numbers for every position and hidden dimension of the input.

    Args:
        hidden: from the hidden dimension of a token to one number: "sum", signed; "l1", the sum of absolute values; "l2", the
            root of the sum of squares.
        tokens: from the tokens of a feature to one number: "sum", "mean", "max", or "signed_max", the one that is largest in
            absolute value.

    Raises:
        ValueError: for another reduction.
    """

    fold = Fold()

    def __init__(self, hidden: Hidden = "sum", tokens: Tokens = "sum"):
        for name, given, accepted in (("hidden", hidden, HIDDEN), ("tokens", tokens, TOKENS)):
            if given not in accepted:
                raise ValueError(f"{name} must be one of {', '.join(map(repr, accepted))}; got {given!r}.")
        self.hidden: Hidden = hidden
        self.tokens: Tokens = tokens

    @property
    def linear(self) -> bool:
        """Whether attributions of several targets add up to those of their sum."""
        return self.hidden == "sum" and self.tokens in ("sum", "mean")

    def fold_points(self, gradients: Gradients) -> Estimate:
        if not gradients.moments:
            raise ValueError(
                "Results keep the points and the slopes, not the gradients of every number of the input, which "
                f"{type(self).__name__} needs: explain again with the reduction or the aggregator that you want."
            )
        total, n = float(gradients.points.shares.sum()), gradients.slopes.shape[2]
        numbers = [(moments.owner, self._reduced(moments, total)) for moments in gradients.moments]
        owner = torch.cat([owner for owner, _ in numbers])
        return Estimate(pooled(torch.cat([each for _, each in numbers], dim=1).double(), owner, n, self.tokens))

    def elements(self, moments: Moments, total: float) -> Float[Tensor, "t l d"]:
        """A number for each number of the input, from sums over points whose weights are `total` together: their mean."""
        return moments.total / total

    def _reduced(self, moments: Moments, total: float) -> Float[Tensor, "t l"]:
        elements = self.elements(moments, total)
        if self.hidden == "sum":
            return elements.sum(-1)
        return elements.abs().sum(-1) if self.hidden == "l1" else elements.norm(dim=-1)


class MeanGradientAggregator(ReducingAggregator):
    """The mean gradient over all points.

    Args:
        hidden, tokens: see `ReducingAggregator`.
        estimand: what it is called on results.
    """

    def __init__(self, hidden: Hidden = "sum", tokens: Tokens = "sum", estimand: str = "gradient"):
        super().__init__(hidden, tokens)
        self.estimand = estimand


class SquaredGradientAggregator(ReducingAggregator):
    """The mean of the squared gradients over all points.

    Args:
        hidden, tokens: see `ReducingAggregator`.
    """

    estimand = "squared gradient"
    fold = Fold(squares=True)
    linear: ClassVar[bool] = False  # type: ignore[misc]

    def elements(self, moments: Moments, total: float) -> Float[Tensor, "t l d"]:
        assert moments.squares is not None
        return moments.squares / total


class GradientVarianceAggregator(ReducingAggregator):
    """The variance of the gradients over all points.

    Args:
        hidden, tokens: see `ReducingAggregator`.
    """

    estimand = "variance of the gradient"
    fold = Fold(squares=True)
    linear: ClassVar[bool] = False  # type: ignore[misc]

    def elements(self, moments: Moments, total: float) -> Float[Tensor, "t l d"]:
        assert moments.squares is not None
        return moments.squares / total - (moments.total / total).square()


class PathAggregator(ReducingAggregator):
    """The weighted mean over points of the gradient times the input minus its baseline.

    Along a path this is the integrated gradient, at the prompt itself the input times its gradient. With the sums over hidden
    dimensions and tokens it has standard errors where its points were drawn at random and weigh alike.

    Args:
        hidden, tokens: see `ReducingAggregator`.
        estimand: what it is called on results.
    """

    fold = Fold(difference=True)

    def __init__(self, hidden: Hidden = "sum", tokens: Tokens = "sum", estimand: str = "integrated gradient"):
        super().__init__(hidden, tokens)
        self.estimand = estimand

    @property
    def complete(self) -> bool:  # type: ignore[override]
        """Only plain sums add up to a difference of values."""
        return self.hidden == self.tokens == "sum"

    def fold_points(self, gradients: Gradients) -> Estimate:
        if not self.complete:
            return super().fold_points(gradients)
        scores = einsum(gradients.weights, gradients.slopes, "p, p t n -> t n")
        if gradients.points.chances is None or len(gradients) < 2:
            return Estimate(scores)
        slopes = gradients.slopes
        return Estimate(
            scores,
            (slopes.var(0) / len(gradients)).sqrt(),
            sums=lambda members: ((slopes @ members.to(slopes.dtype)).var(0) / len(slopes)).sqrt(),
        )


class RelevanceAggregator(ReducingAggregator):
    """The input times its gradient, under backward rules that make it relevance.

    Args:
        tokens: see `ReducingAggregator`.
    """

    estimand = "relevance"
    fold = Fold(difference=True, from_zero=True)
    keeps_rest = True

    def __init__(self, tokens: Tokens = "sum"):
        super().__init__("sum", tokens)

    @property
    def conserves(self) -> bool:  # type: ignore[override]
        """Only sums are shares of the value."""
        return self.tokens == "sum"

    def fold_points(self, gradients: Gradients) -> Estimate:
        if not self.conserves:
            return super().fold_points(gradients)
        return Estimate(einsum(gradients.weights, gradients.slopes, "p, p t n -> t n"))


def pooled(numbers: Float[Tensor, "t l"], owner: Int[Tensor, "l"], n: int, tokens: Tokens) -> Float[Tensor, "t n"]:
    """From one number per position to one per feature.

    Example:
        >>> pooled(torch.tensor([[1.0, -3.0, 2.0, 9.0]]), torch.tensor([0, 0, 1, -1]), 2, "signed_max").tolist()
        [[-3.0, 2.0]]
    """
    kept = owner >= 0
    numbers, owner = numbers[:, kept], owner[kept]
    empty = torch.zeros(len(numbers), n, dtype=numbers.dtype)
    index = owner.expand(len(numbers), -1)
    if tokens in ("sum", "mean"):
        return empty.scatter_reduce(1, index, numbers, tokens, include_self=False)
    highest = empty.scatter_reduce(1, index, numbers, "amax", include_self=False)
    if tokens == "max":
        return highest
    lowest = empty.scatter_reduce(1, index, numbers, "amin", include_self=False)
    return torch.where(highest >= -lowest, highest, lowest)
