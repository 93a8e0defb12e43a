"""What a metric is: a function of a result, with what it needs, what it says, and where it comes from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from interpreto_mllm.metrics.evaluated_game import Asking, EvaluatedGame
from interpreto_mllm.metrics.exactness import exact_rows
from interpreto_mllm.metrics.rows import NotApplicable, mean_over, rows_of
from interpreto_mllm.metrics.truth_mask import Truth, truth_mask
from interpreto_mllm.results.record import Record

Direction = Literal["higher", "lower", "none"]

ARROWS: dict[Direction, str] = {"higher": "↑", "lower": "↓", "none": ""}
"""To the better side, after a metric's name."""
Cost = Literal["stored", "calls", "truth", "exact", "repeats"]
Numbers = dict[str, float]

NEEDS = {
    "calls": "game, such as explainer.game(prompt, target), because it evaluates coalitions",
    "truth": "truth, which features truly caused the answer: one bool for each, or a function from a feature to a bool",
    "exact": "exact, the exact values: the result of ExactShapley, or a tensor of one row for each target",
    "repeats": "repeated, the results of the same prompt with other seeds, or of its paraphrases",
}


OF_VALUES = ("efficiency_gap", "held_out_r2", "infidelity", "squared_error", "interval_coverage")
"""Metrics that compare scores with values of the game, and say nothing of scores on another scale."""


@dataclass(frozen=True)
class Metric:
    """A number, or several, that say how good an explanation is.

    Args:
        name: by which it is found.
        function: what computes it from a result of one row. Of a metric that costs calls, a generator function: it yields the
            coalitions whose values it wants, is sent these values, and returns its numbers.
        direction: whether a "higher" or a "lower" number is better; "none" for a description.
        cost: what it needs besides the result: nothing but what is "stored" in it, "calls" of the game, the "truth", "exact"
            values, or "repeats" of the explanation.
        formula: in symbols.
        paper: where it comes from.

    Example:
        >>> from interpreto_mllm import KernelShap
        >>> from interpreto_mllm.metrics import METRICS
        >>> from interpreto_mllm.testbed import load_recall
        >>> explainer = KernelShap(*load_recall(), budget=64)
        >>> [explanation] = explainer("the apple is red . what is the apple ?", " red")
        >>> METRICS["features_for_90"].compute(explanation)
        {'features_for_90': 8.0}
        >>> game = explainer.game("the apple is red . what is the apple ?", " red")
        >>> METRICS["top_k_drop"].compute(explanation, game)["top_k_drop@1"] > 1
        True
    """

    name: str
    function: Callable[..., Any]
    direction: Direction
    cost: Cost
    formula: str
    paper: str

    def compute(
        self,
        explanation: Record,
        game: Any = None,
        truth: Truth | None = None,
        exact: Any = None,
        seed: int = 0,
        repeated: Sequence[Record] = (),
    ) -> Numbers:
        """Its numbers, by name; of several classes or answers the mean. The tokens of an answer count as one.

        Args:
            explanation: the result.
            game: a callable from coalitions `Bool[p n]` to values `Float[p t]`, such as `explainer.game(...)`. What the result
                has stored is not evaluated again, if its fingerprint is that of the game.
            truth: which features caused the answer: a bool for each, or a function from a feature to a bool.
            exact: the exact values: a result, or a tensor `t n`.
            seed: of the coalitions that are drawn.
            repeated: results of the same prompt with other seeds, or of its paraphrases.

        Raises:
            NotApplicable: a ValueError, where something is missing, or the metric says nothing of such a result.
        """
        self._check_scale(explanation)
        if self.cost == "calls":
            self._require(game is not None)
            evaluated = EvaluatedGame.of(game, [explanation])
            return mean_over(evaluated.answered(self.asking(explanation, seed)))
        return mean_over([self.function(row, *given) for row, given in self._given(explanation, truth, exact, repeated)])

    def asking(self, explanation: Record, seed: int = 0) -> list[Asking]:
        """For each row what asks for coalitions, of a metric that costs calls."""
        self._check_scale(explanation)
        return [Asking(explanation, index, self.function(row, seed)) for index, row in enumerate(rows_of(explanation))]

    def _given(
        self, explanation: Record, truth: Truth | None, exact: Any, repeated: Sequence[Record]
    ) -> list[tuple[Record, tuple[Any, ...]]]:
        """Each row with what else the function takes."""
        rows = rows_of(explanation)
        if self.cost == "truth":
            self._require(truth is not None)
            return [(row, (truth_mask(truth, explanation),)) for row in rows]
        if self.cost == "exact":
            self._require(exact is not None)
            return [(row, (values,)) for row, values in zip(rows, exact_rows(exact, explanation), strict=True)]
        if self.cost == "repeats":
            self._require(len(repeated) > 0)
            others = [rows_of(one) for one in repeated]
            return [(row, ([rows[index] for rows in others],)) for index, row in enumerate(rows)]
        return [(row, ()) for row in rows]

    def _check_scale(self, explanation: Record) -> None:
        if self.name in OF_VALUES and explanation.normalisation not in ("", "identity"):
            raise NotApplicable(
                f"The metric {self.name} compares scores with values of the model, and these scores are on the scale "
                f"{explanation.normalisation!r}: give the result before normalized()."
            )

    def _require(self, given: bool) -> None:
        if not given:
            raise NotApplicable(f"The metric {self.name} needs {NEEDS[self.cost]}.")
