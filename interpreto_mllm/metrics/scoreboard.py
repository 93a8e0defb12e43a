"""What metrics said of methods and baselines, and whether methods are better than chance."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from interpreto_mllm.attribution import Attribution
from interpreto_mllm.core.files import replace_file
from interpreto_mllm.core.optional import optional
from interpreto_mllm.metrics.baselines import RANDOM
from interpreto_mllm.metrics.comparison import Cliques, MethodComparison, bootstrap_interval, compare_methods
from interpreto_mllm.metrics.metric import Metric

if TYPE_CHECKING:
    import pandas

LEVEL = 0.95


@dataclass(frozen=True)
class Entry:
    """One number.

    Args:
        prompt: the index of the prompt.
        occlusion: of the game by which it was judged.
        method: an explainer or a baseline.
        draw: which of the random scores; 0 for all others.
        metric: what was measured.
        number: which of its numbers, such as "top_k_drop@3".
        value: NaN where the prompt says nothing.
    """

    prompt: int
    occlusion: str
    method: str
    draw: int
    metric: str
    number: str
    value: float


@dataclass(frozen=True)
class Standing:
    """How one method or baseline did by one number.

    Args:
        method: its name.
        baseline: whether it is one of the trivial ones.
        mean: over the prompts.
        low, high: the ends of its bootstrap interval over prompts.
        p_value: of being no better than random scores; NaN for the random ones, and numbers without a better side.
    """

    method: str
    baseline: bool
    mean: float
    low: float
    high: float
    p_value: float

    @property
    def beats_random(self) -> bool:
        """Whether it is better than random scores at 95 %."""
        return self.p_value <= 1 - LEVEL + 1e-12


@dataclass(frozen=True, eq=False)
class Faithfulness:
    """Every number of every metric, method, prompt and occlusion.

    The test of being better than random is a Monte Carlo test over random orders, exact for any number of prompts (Dwass 1957):
    p = (1 + the number of random scores whose mean over the prompts is at least as good) / (1 + the number of random scores).

    Args:
        entries: all numbers.
        methods: names of the explainers.
        metrics: what was measured, by name.
        random_orders: how many random scores there were.
        results: the explanations of each method.
    """

    entries: tuple[Entry, ...]
    methods: tuple[str, ...]
    metrics: Mapping[str, Metric]
    random_orders: int
    results: Mapping[str, Sequence[Attribution]] = field(default_factory=dict)

    @cached_property
    def occlusions(self) -> list[str]:
        """How absent features disappeared in the games, the explainers' own first."""
        return list(dict.fromkeys(entry.occlusion for entry in self.entries))

    @cached_property
    def numbers(self) -> list[str]:
        """The names of all numbers."""
        return list(dict.fromkeys(entry.number for entry in self.entries))

    def values(self, number: str, occlusion: str | None = None) -> dict[str, np.ndarray]:
        """By method a row for each prompt and a column for each draw, one but for random scores; NaN where there is none.

        Raises:
            ValueError: for a number or an occlusion that there is not; the message lists those that there are.
        """
        occlusion = self.occlusions[0] if occlusion is None else occlusion
        if number not in self.numbers or occlusion not in self.occlusions:
            raise ValueError(
                f"There is no {number!r} under {occlusion!r}: the numbers are {', '.join(self.numbers)}, the occlusions "
                f"{', '.join(self.occlusions)}."
            )
        return self._tables.get((number, occlusion), {})

    def standings(self, number: str, occlusion: str | None = None) -> list[Standing]:
        """Each method, then each baseline, by one number."""
        found = []
        for name, values in self.values(number, occlusion).items():
            each = values[np.isfinite(values).all(1)].mean(1)
            low, high = bootstrap_interval(each) if len(each) else (math.nan, math.nan)
            mean = float(each.mean()) if len(each) else math.nan
            p_value = self.p_value(number, name, occlusion)
            found.append(Standing(name, name not in self.methods, mean, low, high, p_value))
        return sorted(found, key=lambda standing: standing.baseline)

    def p_value(self, number: str, method: str, occlusion: str | None = None) -> float:
        """That of a method being no better than random scores; NaN without random scores or a better side."""
        table = self.values(number, occlusion)
        sign = {"higher": 1, "lower": -1, "none": 0}[self.metric_of(number).direction]
        if RANDOM not in table or method == RANDOM or method not in table or not sign:
            return math.nan
        values, chance = table[method], table[RANDOM]
        kept = np.isfinite(values).all(1) & np.isfinite(chance).all(1)
        if not kept.any():
            return math.nan
        as_good = sign * chance[kept].mean(0) >= sign * values[kept].mean() - 1e-12
        return float(1 + as_good.sum()) / (1 + self.random_orders)

    def beats_random(self, number: str, method: str, occlusion: str | None = None) -> bool:
        """Whether a method is better than random scores at 95 %."""
        return self.p_value(number, method, occlusion) <= 1 - LEVEL + 1e-12

    def flips(self) -> list[tuple[str, str]]:
        """The (number, method) of which one occlusion says that the method is better than random, and the other does not."""
        return [
            (number, method)
            for number in self.numbers
            for method in self.methods
            if len({self.beats_random(number, method, one) for one in self.occlusions}) > 1
        ]

    def comparison(self, number: str, occlusion: str | None = None, baselines: bool = True) -> MethodComparison:
        """Paired differences, ranks and cliques of the methods by one number, the random scores by their mean.

        Raises:
            ValueError: for a number of which neither side is better, or fewer than two methods.
        """
        table = {
            name: values.mean(1).tolist()
            for name, values in self.values(number, occlusion).items()
            if baselines or name in self.methods
        }
        return compare_methods(table, self.metric_of(number).direction)

    def plot(self, path: Any = None, number: str | None = None, by: Cliques = "wilcoxon") -> Any:
        """The critical-difference picture of one number, the first by default.

        Raises:
            ImportError: without matplotlib.
        """
        number = self.numbers[0] if number is None else number
        return self.comparison(number).plot(path, by, number)

    def to_frame(self) -> pandas.DataFrame:
        """A pandas frame with one line for each number.

        Raises:
            ImportError: without pandas.
        """
        return optional("pandas", "to_frame()", "frame").DataFrame([vars(entry) for entry in self.entries])

    def table(self, occlusion: str | None = None, numbers: Sequence[str] | None = None) -> Any:
        """A rich table: a line for each method and baseline, a column for each metric."""
        from interpreto_mllm.metrics.scoreboard_page import rich_table

        return rich_table(self, occlusion, numbers)

    def show(self) -> None:
        """Print a table for each occlusion, and where they disagree."""
        from interpreto_mllm.metrics.scoreboard_page import show

        show(self)

    def to_html(self, path: str | PathLike[str]) -> None:
        """Write a self-contained page: the tables, and the critical-difference pictures where there is matplotlib."""
        from interpreto_mllm.metrics.scoreboard_page import page

        replace_file(path, page(self).encode())

    @cached_property
    def _tables(self) -> dict[tuple[str, str], dict[str, np.ndarray]]:
        """The values of each number and occlusion, by method."""
        prompts = 1 + max(entry.prompt for entry in self.entries)
        found: dict[tuple[str, str], dict[str, np.ndarray]] = {}
        for entry in self.entries:
            table = found.setdefault((entry.number, entry.occlusion), {})
            if entry.method not in table:
                table[entry.method] = np.full((prompts, self.random_orders if entry.method == RANDOM else 1), np.nan)
            table[entry.method][entry.prompt, entry.draw] = entry.value
        return found

    def metric_of(self, number: str) -> Metric:
        """The metric that a number is of."""
        return self.metrics[self._metric_names[number]]

    @cached_property
    def _metric_names(self) -> dict[str, str]:
        return {entry.number: entry.metric for entry in self.entries}

    def __repr__(self) -> str:
        from interpreto_mllm.metrics.scoreboard_page import plain

        return plain(self)

    def _repr_html_(self) -> str:
        from interpreto_mllm.metrics.scoreboard_page import body

        return body(self)
