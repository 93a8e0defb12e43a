"""The sampling of one game: coalitions from a perturbator, every value remembered, the budget kept."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from interpreto_mllm.core.coalitions import coalition_keys
from interpreto_mllm.core.counts import Counts, Spent
from interpreto_mllm.core.design import Design
from interpreto_mllm.core.evaluations import Draw, Evaluations
from interpreto_mllm.evaluation.budget import covers_all_coalitions
from interpreto_mllm.evaluation.monitor import StoppingMonitor, stoppable_drawing
from interpreto_mllm.perturbators.perturbator import Perturbator


class SamplingSession:
    """The state of sampling one game. Evaluate the coalitions of `missing()` and `record(...)` their values until it is None.

    Args:
        perturbator: draws the coalitions.
        n: number of features.
        budget: ceiling on distinct evaluations, v(∅) and v(N) included.
        seed: of the generator passed to the perturbator.
        known: earlier evaluations of the same game, perhaps of an interrupted session; none of them is requested again.
        monitor: decides after every round whether to stop.
        extra: coalitions evaluated besides those that the perturbator draws, within the budget; skipped if it is too small.

    Raises:
        ValueError: when the known evaluations are of another number of features.
    """

    unit = "evaluation"

    def __init__(
        self,
        perturbator: Perturbator,
        n: int,
        budget: int,
        seed: int,
        known: Evaluations | None = None,
        monitor: StoppingMonitor | None = None,
        extra: Bool[Tensor, "extra n"] | None = None,
    ):
        self.n, self.budget = n, budget
        self._monitor = monitor
        self._known: dict[bytes, Tensor] = {}
        if known is not None:
            if known.n != n:
                raise ValueError(f"The earlier evaluations are of {known.n} features, this game has {n}.")
            self._known = dict(zip(coalition_keys(known.coalitions), known.values, strict=True))
        self._row: dict[bytes, int] = {}
        self._coalitions: list[Tensor] = []
        self._values: list[Tensor | None] = []
        self._draws: list[int] = []
        self._weights: list[Tensor] = []
        self._log_weights: list[Tensor] = []
        self._chains: list[Tensor] = []
        self._designs: set[Design] = set()
        self._add(torch.stack([torch.zeros(n, dtype=torch.bool), torch.ones(n, dtype=torch.bool)]))
        complete = covers_all_coalitions(budget, n)
        if extra is not None and (complete or budget - len(extra) >= perturbator.minimum_budget(n)):
            self._add(extra.cpu().clone())
            budget -= 0 if complete else len(extra)
        if monitor is None:
            self._drawing = perturbator.draw(n, budget, torch.Generator().manual_seed(seed))
        else:
            self._drawing = stoppable_drawing(perturbator, n, budget, seed)
        self._round: list[int] | None = None
        self._exhausted = False

    @property
    def evaluated(self) -> int:
        """Distinct coalitions whose values are known."""
        return sum(value is not None for value in self._values)

    @property
    def notes(self) -> tuple[str, ...]:
        """Why a monitored session ended."""
        return () if self._monitor is None else (self._monitor.note(self.evaluated, self.budget),)

    @property
    def saved(self) -> int:
        """Evaluations of the budget that a stopping rule saved."""
        return self.budget - self.evaluated if self._monitor is not None and self._monitor.stopped else 0

    def counted(self, spent: Spent, paid: int) -> Counts:
        """The costs of this session, of which so many evaluations were made in a call that cost `spent`."""
        return spent.share(paid, self.evaluated, self.saved)

    def missing(self) -> Bool[Tensor, "p n"] | None:
        """The coalitions to evaluate next, all distinct and new; None when the session is over."""
        while True:
            rows = [row for row, value in enumerate(self._values) if value is None]
            if rows:
                return torch.stack([self._coalitions[row] for row in rows])
            if self._exhausted or not self._next_round():
                return None

    def record(self, coalitions: Bool[Tensor, "p n"], values: Float[Tensor, "p t"]) -> None:
        """Remember the values of some of the missing coalitions."""
        for key, value in zip(coalition_keys(coalitions), values.detach().cpu().double(), strict=True):
            self._values[self._row[key]] = value.clone()

    def evaluations(self) -> Evaluations:
        """What is known so far, without the draws whose values are still missing."""
        known = [row for row, value in enumerate(self._values) if value is not None]
        new_row = {row: index for index, row in enumerate(known)}
        kept = torch.tensor([row in new_row for row in self._draws], dtype=torch.bool)
        weights = torch.cat(self._weights) if self._weights else torch.zeros(0, dtype=torch.float64)
        log_weights = torch.cat(self._log_weights)[kept] if self._log_weights and weights.isinf().any() else None
        chains = torch.cat(self._chains) if self._chains else torch.zeros(0, dtype=torch.int64)
        values = [value for value in self._values if value is not None]
        return Evaluations(
            torch.stack([self._coalitions[row] for row in known]) if known else torch.zeros(0, self.n, dtype=torch.bool),
            torch.stack(values) if values else torch.zeros(0, 0, dtype=torch.float64),
            torch.tensor([new_row[row] for row in self._draws if row in new_row], dtype=torch.int64),
            weights[kept],
            chains[kept],
            design=self._design(weights),
            log_weights=log_weights,
        )

    def _design(self, weights: Float[Tensor, "m"]) -> Design:
        """How all rounds were drawn; unknown where they differ, where the budget cut a sample, or where weights say nothing."""
        if len(self._designs) != 1:
            return Design.UNKNOWN
        [design] = self._designs
        says_nothing = bool((weights == 1).all()) or self._exhausted
        return Design.UNKNOWN if design is Design.SAMPLE and says_nothing else design

    def _value(self, row: int) -> Float[Tensor, "t"]:
        value = self._values[row]
        if value is None:
            raise RuntimeError("A round ended before all of its coalitions were recorded.")
        return value

    def _next_round(self) -> bool:
        """Draw the next round; False when the perturbator is done, the budget is spent or the monitor says stop."""
        if self._round is not None and self._monitor is not None and self._monitor.should_stop(self.evaluations()):
            return False
        try:
            if self._round is None:
                drawn = next(self._drawing)
            else:
                drawn = self._drawing.send(torch.stack([self._value(row) for row in [0, *self._round]])[1:])
        except StopIteration:
            return False
        draw = drawn if isinstance(drawn, Draw) else Draw(drawn)
        self._accept(draw)
        return True

    def _accept(self, draw: Draw) -> None:
        """Add a round to the sample, cut where the budget ends."""
        coalitions = draw.coalitions.cpu().clone()
        if coalitions.ndim != 2 or coalitions.shape[1] != self.n or coalitions.dtype != torch.bool:
            raise ValueError(
                f"A perturbator must yield boolean coalitions of shape (p, {self.n}); "
                f"got {coalitions.dtype} of shape {tuple(coalitions.shape)}."
            )
        _check_per_coalition(draw)
        rows = self._add(coalitions)
        p = len(rows)
        weights = draw.weights[:p].cpu().double() if draw.weights is not None else torch.ones(p, dtype=torch.float64)
        log_weights = draw.log_weights[:p].cpu().double() if draw.log_weights is not None else weights.log()
        chains = draw.chains[:p].cpu().long() if draw.chains is not None else torch.full((p,), -1)
        self._round = rows
        if draw.whole:
            self._draws, self._weights, self._log_weights, self._chains = [], [], [], []
            self._designs = set()
        self._draws += rows
        self._weights.append(weights.clone())
        self._log_weights.append(log_weights.clone())
        self._chains.append(chains.clone())
        self._designs.add(draw.stated_design)
        self._exhausted = p < len(coalitions)

    def _add(self, coalitions: Bool[Tensor, "p n"]) -> list[int]:
        """Rows of these coalitions, new ones appended; ends before the first one that exceeds the budget."""
        rows: list[int] = []
        for key, coalition in zip(coalition_keys(coalitions), coalitions, strict=True):
            if key not in self._row:
                if len(self._row) >= max(self.budget, 2):
                    break
                self._row[key] = len(self._coalitions)
                self._coalitions.append(coalition)
                self._values.append(self._known.get(key))
            rows.append(self._row[key])
        return rows


def _check_per_coalition(draw: Draw) -> None:
    """Raise a ValueError where weights or chains are not one for each coalition, or weights are no inverse probabilities."""
    p = len(draw.coalitions)
    for name, given in (("weights", draw.weights), ("log_weights", draw.log_weights), ("chains", draw.chains)):
        if given is not None and tuple(given.shape) != (p,):
            raise ValueError(f"A Draw has one of its {name} for each of its {p} coalitions; got shape {tuple(given.shape)}.")
    if draw.weights is not None and not bool((draw.weights > 0).all()):
        raise ValueError(
            "The weights of a Draw are how many coalitions each one stands for, the inverse of its inclusion probability, and "
            f"positive; got {float(draw.weights.min())}. Leave them out where they are not known."
        )
