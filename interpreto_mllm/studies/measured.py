"""The metrics of one explanation in a run."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from interpreto_mllm.aggregators.shapley import ShapleyAggregator
from interpreto_mllm.attribution import Attribution
from interpreto_mllm.explainers.play import play
from interpreto_mllm.metrics.evaluated_game import EvaluatedGame
from interpreto_mllm.metrics.metric import Metric
from interpreto_mllm.metrics.rows import NotApplicable, mean_over
from interpreto_mllm.metrics.truth_mask import Truth
from interpreto_mllm.perturbators.exact import ExactPerturbator
from interpreto_mllm.studies.baselines import baseline_numbers
from interpreto_mllm.studies.kept_game import KeptGame

logger = logging.getLogger(__name__)

MOST_FEATURES_FOR_EXACT_VALUES = 14
"""With which 2 ** 14 coalitions are evaluated for each sample."""


@dataclass
class Measured:
    """What metrics say of an explanation.

    Args:
        metrics: their numbers by name; None for one that is not a number.
        not_applicable: why a metric says nothing of this explanation.
        errors: why a metric failed.
        paid: coalitions that were evaluated for them.
        baselines: numbers of trivial rankings of the features, by name.
    """

    metrics: dict[str, float | None]
    not_applicable: dict[str, str]
    errors: dict[str, str]
    paid: int = 0
    baselines: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)

    def take(self, name: str, compute: Callable[[], dict[str, float]]) -> None:
        """Add the numbers of a metric, or why there are none."""
        try:
            found = compute()
        except NotApplicable as error:
            self.not_applicable[name] = str(error)
        except Exception as error:
            logger.warning("The metric %s failed.", name, exc_info=True)
            self.errors[name] = f"{type(error).__name__}: {error}"
        else:
            self.metrics.update((key, value if math.isfinite(value) else None) for key, value in found.items())

    def content(self) -> dict[str, Any]:
        """As the file of a sample holds it."""
        said: dict[str, Any] = {"metrics": self.metrics}
        said |= {"baselines": self.baselines} if self.baselines else {}
        said |= {"not_applicable": self.not_applicable} if self.not_applicable else {}
        return said | ({"metric_errors": self.errors} if self.errors else {})


def measured(
    explanation: Attribution,
    metrics: Sequence[Metric],
    truth: Truth | None,
    seed: int,
    make_game: Callable[[], KeptGame],
) -> Measured:
    """The metrics of an explanation. All that cost calls are evaluated together, equal coalitions once.

    Args:
        explanation: it.
        metrics: what is measured.
        truth: which features caused the answer, where that is known.
        seed: of coalitions that are drawn.
        make_game: its game; it is made only for metrics that evaluate something.
    """
    found = Measured({}, {}, {})
    calls, exact = ([one for one in metrics if one.cost == cost] for cost in ("calls", "exact"))
    for metric in metrics:
        if metric not in calls and metric not in exact:
            found.take(metric.name, lambda metric=metric: metric.compute(explanation, truth=truth, seed=seed))
    ranked = [one for one in metrics if one.cost == "calls" or (one.cost == "truth" and truth is not None)]
    if calls or exact or ranked:
        game = make_game()
        try:
            evaluated = with_stored(game, explanation)
            _of_calls(found, calls, explanation, seed, evaluated)
            if exact:
                _against_exact(found, exact, explanation, evaluated)
            _beside(found, ranked, explanation, truth, seed, evaluated)
        finally:
            found.paid = game.paid
            game.close()
    return found


def with_stored(game: KeptGame, explanation: Attribution) -> EvaluatedGame:
    """The game with the evaluations of an explanation of it."""
    unnamed = replace(explanation, evaluations=replace(explanation.evaluations, fingerprint=None))
    return EvaluatedGame.of(game, [unnamed], same_game=True)


def _of_calls(found: Measured, metrics: Sequence[Metric], explanation: Attribution, seed: int, game: EvaluatedGame) -> None:
    asking = {metric.name: metric.asking(explanation, seed) for metric in metrics}
    try:
        answers = iter(game.answered([one for each in asking.values() for one in each]))
        of_metrics = {name: [next(answers) for _ in each] for name, each in asking.items()}
    except Exception:  # of one metric among them: each is asked for by itself, from what is known by now
        for metric in metrics:
            found.take(metric.name, lambda metric=metric: metric.compute(explanation, game, seed=seed))
        return
    for name, numbers in of_metrics.items():
        found.take(name, lambda numbers=numbers: mean_over(numbers))


def _beside(
    found: Measured, metrics: Sequence[Metric], explanation: Attribution, truth: Truth | None, seed: int, game: EvaluatedGame
) -> None:
    """The same metrics of trivial rankings; what fails for these does not fail the sample."""
    try:
        found.baselines = baseline_numbers(explanation, metrics, truth, game, seed)
    except Exception as error:
        logger.warning("The baselines failed.", exc_info=True)
        found.errors["baselines"] = f"{type(error).__name__}: {error}"


def _against_exact(found: Measured, metrics: Sequence[Metric], explanation: Attribution, game: EvaluatedGame) -> None:
    if explanation.n > MOST_FEATURES_FOR_EXACT_VALUES:
        reason = f"Exact values need at most {MOST_FEATURES_FOR_EXACT_VALUES} features; this sample has {explanation.n}."
        found.not_applicable.update((metric.name, reason) for metric in metrics)
        return
    played = play(game, ExactPerturbator(), ShapleyAggregator(), n_features=explanation.n, progress=False)
    exact = replace(
        explanation,
        attributions=played.attributions,
        standard_errors=None,
        estimand=played.estimand,
        evaluations=played.evaluations,
    )
    for metric in metrics:
        found.take(metric.name, lambda metric=metric: metric.compute(explanation, exact=exact))
