"""One game being explained: what is sampled of it, and how its values are aggregated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from interpreto_mllm.aggregators.aggregator import Aggregator
from interpreto_mllm.core.evaluations import Evaluations
from interpreto_mllm.core.points import Gradients, Points
from interpreto_mllm.evaluation.game import Game
from interpreto_mllm.evaluation.monitor import StoppingMonitor
from interpreto_mllm.evaluation.point_session import PointSession
from interpreto_mllm.evaluation.repeated_session import RepeatedSession
from interpreto_mllm.evaluation.session import SamplingSession
from interpreto_mllm.evaluation.stopping import Rule, check_trials
from interpreto_mllm.perturbators.gradient import GradientPerturbator
from interpreto_mllm.perturbators.perturbator import Perturbator

G = TypeVar("G", bound=Game)


@dataclass(eq=False)
class Run(Generic[G]):
    """A game, the session that samples it, and the aggregator of its values.

    Attributes:
        paid: evaluations made in this run; those known beforehand do not count.
    """

    game: G
    aggregator: Aggregator
    session: SamplingSession | RepeatedSession | PointSession
    paid: int = 0

    @classmethod
    def prepared(
        cls: type[Run[G]],
        game: G,
        perturbator: Perturbator,
        aggregator: Aggregator,
        *,
        budget: int,
        seed: int,
        known: Evaluations | None = None,
        until: Rule | None = None,
        extra: Bool[Tensor, "extra n"] | None = None,
        trials: int = 1,
    ) -> Run[G]:
        """A run that has evaluated nothing yet; see `SamplingSession` for the arguments.

        With several `trials`, the sampling is repeated from the seeds that follow.

        Raises:
            ValueError: when the known evaluations do not fit the game, or the perturbator cannot be stopped early.
        """
        check_trials(trials, until)
        unit = "points" if isinstance(perturbator, GradientPerturbator) else "evaluations"
        monitor = None if until is None else StoppingMonitor(until, aggregator, game, unit)
        if isinstance(perturbator, GradientPerturbator):
            return cls(game, aggregator, PointSession(perturbator, game.n, budget, seed, monitor))

        def start(trial: int, known: Evaluations | None) -> SamplingSession:
            return SamplingSession(perturbator, game.n, budget, seed + trial, known, monitor, extra)

        return cls(game, aggregator, start(0, known) if trials == 1 else RepeatedSession(start, trials, known))

    def record(self, asked: Bool[Tensor, "p n"] | Points, found: Float[Tensor, "p t"] | Gradients) -> None:
        """Add the values of some missing coalitions, or what was found at some missing points."""
        self.session.record(asked, found)  # type: ignore[arg-type]
        self.paid += len(found)

    def completed(self, coalitions: Bool[Tensor, "p n"], values: Float[Tensor, "p t"]) -> Evaluations:
        """These values with everything else that the game knows of them, without saying how they were drawn."""
        nothing = torch.zeros(0, dtype=torch.int64)
        return self.game.completed(Evaluations(coalitions, values.double(), nothing, nothing.double(), nothing))

    def evaluations(self) -> Evaluations:
        """Everything known of the game so far."""
        return self.game.completed(self.session.evaluations())
