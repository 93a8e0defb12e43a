"""Attributions of any game: the loop of the explainers on a plain callable instead of a model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from interpreto_mllm.aggregators.aggregator import Aggregator
from interpreto_mllm.aggregators.gradient import GradientAggregator
from interpreto_mllm.attribution import Attribution
from interpreto_mllm.core.callbacks import Callback, check_callbacks
from interpreto_mllm.core.counts import Spent, Stopwatch
from interpreto_mllm.core.evaluations import Evaluations
from interpreto_mllm.core.feature import Feature
from interpreto_mllm.core.points import Fold, Gradients, Points
from interpreto_mllm.engine.moving import Moving
from interpreto_mllm.engine.sums import Sums
from interpreto_mllm.evaluation.budget import resolve_budget
from interpreto_mllm.evaluation.loop import run_sessions
from interpreto_mllm.evaluation.reporter import Reporter
from interpreto_mllm.evaluation.run import Run
from interpreto_mllm.evaluation.stopping import Rule, check_rule
from interpreto_mllm.explainers.checks import check_parts
from interpreto_mllm.explainers.timing import timed
from interpreto_mllm.perturbators.perturbator import Perturbator


def play(
    game: Callable[[Any], Any],
    perturbator: Perturbator,
    aggregator: Aggregator,
    *,
    n_features: int,
    budget: int | float | None = None,
    seed: int = 0,
    evaluations: Evaluations | None = None,
    until: Rule | None = None,
    extra: Bool[Tensor, "extra n"] | None = None,
    num_trials: int = 1,
    progress: bool = True,
    callbacks: Sequence[Callback] = (),
) -> Attribution:
    """Attributions of the features of any game.

    Args:
        game: callable from coalitions `Bool[p n]` to values `Float[p t]` or `Float[p]`, torch or numpy. With a gradient
            perturbator, from presences `Float[p n]` in float64 to values in torch, of which gradients are taken.
        perturbator: draws the coalitions, or the points.
        aggregator: turns their values into attributions.
        n_features: number of features.
        budget: distinct evaluations allowed, as an int or a fraction of 2^n; the perturbator's default when None.
        seed: of all randomness.
        evaluations: earlier ones of the same game; none of them is repeated.
        until: a rule that ends the sampling early, such as `TopK(3)`; the budget is then the upper limit.
        extra: coalitions evaluated besides those drawn, within the same budget if it suffices; the aggregator never sees them.
        num_trials: how often the sampling of coalitions is repeated, from the seeds that follow; the scores are the mean.
        progress: show a progress bar when the call takes longer than a second.
        callbacks: objects derived from `Callback`, told of each round, each batch and the end.

    Returns:
        An `Attribution` of shape `(t, n)`.

    Raises:
        ValueError: for a budget that the perturbator cannot work with, a perturbator that no rule can stop, or values that are
            not finite or of the wrong shape.

    Example:
        >>> from interpreto_mllm.perturbators import ExactPerturbator
        >>> from interpreto_mllm.aggregators import ShapleyAggregator
        >>> glove = lambda s: (s[:, 0] & (s[:, 1] | s[:, 2])).double()
        >>> play(glove, ExactPerturbator(), ShapleyAggregator(), n_features=3).attributions.round(decimals=3).tolist()
        [[0.667, 0.167, 0.167]]
    """
    watch = Stopwatch()
    check_callbacks(callbacks)
    check_parts(perturbator, aggregator)
    fold = aggregator.fold if isinstance(aggregator, GradientAggregator) else None
    run = Run.prepared(
        CallableGame(game, n_features, fold),
        perturbator,
        aggregator,
        budget=resolve_budget(perturbator, n_features, budget),
        seed=seed,
        known=evaluations,
        until=check_rule(until),
        extra=extra,
        trials=num_trials,
    )
    with Reporter(callbacks, watch, run.session.budget, progress=progress, unit=run.session.unit) as reporter:
        run_sessions([run], evaluate, reporter=reporter)
        result = Attribution.from_evaluations(
            run.evaluations(),
            aggregator,
            counts=run.session.counted(Spent(run.paid, 0, 0), run.paid),
            method=type(perturbator).__name__,
            notes=run.session.notes,
        )
    return timed([result], watch.stages)[0]


@dataclass(frozen=True)
class CallableGame:
    """A game given as a callable.

    Args:
        values: from coalitions `Bool[p n]` to values `Float[p t]` or `Float[p]`, torch or numpy.
        n: number of features.
        fold: the sums over points that are wanted of gradients.
    """

    values: Callable[[Any], Any]
    n: int
    fold: Fold | None = None

    @property
    def features(self) -> list[Feature]:
        """The features, named by their numbers."""
        return [Feature(str(index)) for index in range(self.n)]

    def completed(self, evaluations: Evaluations) -> Evaluations:
        """The evaluations themselves: nothing else is known of them."""
        return evaluations

    def of_answers(self, evaluations: Evaluations) -> Evaluations:
        """The evaluations themselves: every value is a target of its own."""
        return evaluations

    def __call__(self, coalitions: Bool[Tensor, "p n"]) -> Float[Tensor, "p t"]:
        """The values, checked.

        Raises:
            ValueError: when they are not finite or of the wrong shape.
        """
        return self._checked(self.values(coalitions.clone()), len(coalitions)).detach().cpu().clone()

    def gradients(self, points: Points) -> Gradients:
        """Values and gradients at points whose input is the presences themselves, and whose baseline is zero.

        Raises:
            ValueError: when values are not finite, of the wrong shape, or no functions of the presences to torch.
        """
        numbers = Moving(None, torch.arange(self.n), torch.ones(self.n, 1).double(), torch.zeros(1, self.n, 1).double())
        starts = numbers.starts(torch.zeros(len(points), dtype=torch.int64))
        presences = numbers.at(points, starts)[..., 0].detach().requires_grad_()
        with torch.enable_grad():
            values = self._checked(self.values(presences), len(points))
            if not values.requires_grad:
                raise ValueError("Gradients need a game of torch operations on the presences, without detach() or numpy.")
            sums = Sums([numbers], points, [starts], self.fold, values.shape[1])
            for target, column in enumerate(values.sum(0)):
                [slopes] = torch.autograd.grad(column, presences, retain_graph=True)
                sums.add(target, [presences[..., None]], [slopes[..., None]], [])
        return sums.result(values.detach())

    @staticmethod
    def _checked(returned: Any, p: int) -> Float[Tensor, "p t"]:
        if returned is None:
            raise ValueError(f"The game must return one row of values per coalition, {p} here; it returned None.")
        values = torch.from_numpy(returned) if isinstance(returned, np.ndarray) else torch.as_tensor(returned)
        values = (values[:, None] if values.ndim == 1 else values).double()
        if values.ndim != 2 or len(values) != p:
            raise ValueError(
                f"The game must return one row of values per coalition, {p} here; got shape {tuple(values.shape)}."
            )
        if not values.isfinite().all():
            raise ValueError(
                "The game returned values that are not finite (NaN or infinite); an attribution of them has no meaning."
            )
        return values


def evaluate(
    games: Sequence[CallableGame], asked: Sequence[Bool[Tensor, "_ _"] | Points]
) -> Iterator[tuple[int, list[int], Any]]:
    """Evaluate coalitions or points of several games, one game after the other; see `run_sessions`."""
    for index, (game, rows) in enumerate(zip(games, asked, strict=True)):
        yield index, list(range(len(rows))), game.gradients(rows) if isinstance(rows, Points) else game(rows)
