"""Play any game: the loop of the explainer, on a plain callable instead of a model."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from interpreto_mllm.aggregators.aggregator import Aggregator
from interpreto_mllm.attribution import Attribution, Counts
from interpreto_mllm.core.evaluations import Evaluations
from interpreto_mllm.core.progress import progress_bar
from interpreto_mllm.evaluation.budget import resolve_budget
from interpreto_mllm.evaluation.session import SamplingSession
from interpreto_mllm.evaluation.stopping import Rule, StoppingMonitor
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
    extra: Bool[Tensor, "e n"] | None = None,
    progress: bool = True,
) -> Attribution:
    """Attributions of the players of any game.

    Args:
        game: callable from coalitions `Bool[p n]` to values `Float[p t]` or `Float[p]`, torch or numpy.
        perturbator: draws the coalitions.
        aggregator: turns their values into attributions.
        n_features: number of players.
        budget: distinct evaluations allowed, as an int or a fraction of 2^n; the perturbator's default when None.
        seed: of all randomness.
        evaluations: of an earlier play of the same game; nothing in it is evaluated again.
        until: a rule that ends the play early, such as `TopK(3)`; the budget is then the ceiling.
        extra: coalitions evaluated besides those drawn, out of the same budget if it suffices; the aggregator never sees them.
        progress: show a progress bar when it takes longer than a moment.

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
    started = time.perf_counter()
    budget = resolve_budget(perturbator, n_features, budget)
    watch = None if until is None else StoppingMonitor(until, aggregator)
    hand = SamplingSession(perturbator, n_features, budget, seed, evaluations, watch, extra)
    paid = 0
    with progress_bar(hand.budget, progress) as advance:
        while (coalitions := hand.missing()) is not None:
            hand.record(coalitions, _values(game(coalitions), len(coalitions)))
            paid += len(coalitions)
            advance(len(coalitions))
    counts = Counts(evaluations=hand.evaluated, paid=paid, seconds=time.perf_counter() - started, saved=hand.saved)
    method = type(perturbator).__name__
    return Attribution.from_evaluations(hand.evaluations(), aggregator, counts=counts, method=method, notes=hand.notes)


def _values(returned: Any, p: int) -> Tensor:
    values = torch.from_numpy(returned) if isinstance(returned, np.ndarray) else torch.as_tensor(returned)
    values = values.double()
    values = values[:, None] if values.ndim == 1 else values
    if values.ndim != 2 or len(values) != p:
        raise ValueError(f"The game must return one row of values per coalition, {p} here; got shape {tuple(values.shape)}.")
    if not values.isfinite().all():
        raise ValueError(
            "The game returned values that are not finite (NaN or infinite); an attribution of them has no meaning."
        )
    return values
