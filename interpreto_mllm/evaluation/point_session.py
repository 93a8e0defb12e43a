"""The sampling of points of one game: those that a perturbator draws, and the gradients there."""

from __future__ import annotations

from dataclasses import replace

import torch

from interpreto_mllm.core.counts import Counts, Spent
from interpreto_mllm.core.evaluations import Evaluations
from interpreto_mllm.core.points import Gradients, Points, joined
from interpreto_mllm.evaluation.monitor import StoppingMonitor
from interpreto_mllm.perturbators.gradient import GradientPerturbator


class PointSession:
    """The state of sampling the points of one game; see `SamplingSession`.

    The values of the baseline and of the prompt are asked for first and are no part of the budget.

    Args:
        perturbator: draws the points.
        n: number of features.
        budget: ceiling on points.
        seed: of the generator passed to the perturbator.
        monitor: decides after every round whether to stop.

    Raises:
        ValueError: for a rule that would stop a perturbator which plans all its points at once.
    """

    unit = "point"

    def __init__(
        self, perturbator: GradientPerturbator, n: int, budget: int, seed: int, monitor: StoppingMonitor | None = None
    ):
        if monitor is not None and not perturbator.adaptive:
            raise ValueError(
                f"{type(perturbator).__name__} plans all of its points at once and cannot be stopped early: leave until=None, "
                "or use a method with points drawn at random, such as GradientShap."
            )
        self.n, self.budget = n, budget
        self._monitor = monitor
        self._drawing = perturbator.draw(n, budget, torch.Generator().manual_seed(seed))
        self._ends: dict[bool, torch.Tensor] = {}
        self._parts: Gradients | None = None
        self._asked: Points | None = None
        self._done, self._begun = 0, False

    @property
    def evaluated(self) -> int:
        """Points whose gradients are known."""
        return 0 if self._parts is None else len(self._parts)

    @property
    def notes(self) -> tuple[str, ...]:
        """Why a monitored session ended."""
        return () if self._monitor is None else (self._monitor.note(self.evaluated, self.budget),)

    @property
    def saved(self) -> int:
        """Points of the budget that a stopping rule saved."""
        return self.budget - self.evaluated if self._monitor is not None and self._monitor.stopped else 0

    def counted(self, spent: Spent, paid: int) -> Counts:
        """The costs of this session, of which so many points were evaluated in a call that cost `spent`."""
        return replace(spent.share(paid, 0, self.saved), paid=0, points=self.evaluated)

    def missing(self) -> Points | None:
        """The points to evaluate next; None when the session is over."""
        if len(self._ends) < 2:
            return Points.ends(self.n)
        if self._monitor is not None and self._begun and self._monitor.should_stop(self.evaluations()):
            return None
        try:
            drawn = self._drawing.send(self._parts) if self._begun else next(self._drawing)  # type: ignore[arg-type]
        except StopIteration:
            return None
        self._begun = True
        return self._checked(drawn)

    def record(self, points: Points, found: Gradients) -> None:
        """Remember what was found at some of the points."""
        for presences, share, value in zip(points.presences, points.shares, found.values, strict=True):
            if not share:
                self._ends[bool(presences[0])] = value
        kept = [row for row, share in enumerate(points.shares.tolist()) if share]
        if kept:
            self._parts = found if self._parts is None else joined([self._parts, found])

    def evaluations(self) -> Evaluations:
        """What is known so far: the baseline and the prompt as the two coalitions, and the gradients."""
        known = [present for present in (False, True) if present in self._ends]
        empty = torch.zeros(0, dtype=torch.int64)
        return Evaluations(
            torch.tensor(known, dtype=torch.bool)[:, None].expand(-1, self.n).contiguous(),
            torch.stack([self._ends[present] for present in known]) if known else torch.zeros(0, 0).double(),
            empty,
            torch.zeros(0, dtype=torch.float64),
            empty,
            gradients=self._parts,
        )

    def _checked(self, drawn: object) -> Points:
        """What a perturbator yielded, if it is what it should be."""
        if not isinstance(drawn, Points) or drawn.presences.shape[1] != self.n or not len(drawn):
            shape = tuple(drawn.presences.shape) if isinstance(drawn, Points) else ""
            raise ValueError(
                f"A gradient perturbator must yield Points with presences of shape (p, {self.n}); got "
                f"{type(drawn).__name__} {shape}."
            )
        if bool((drawn.shares == 0).any()):
            raise ValueError("A point with a weight of zero counts for nothing: leave it out.")
        left = self.budget - self._done
        if len(drawn) > left:
            raise ValueError(
                f"The perturbator yields {len(drawn)} points and {left} are left of the budget of {self.budget}: return that "
                "many from default_budget, or give a larger budget."
            )
        self._done += len(drawn)
        return drawn
