"""The sampling of one game, repeated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from interpreto_mllm.core.coalitions import coalition_keys
from interpreto_mllm.core.counts import Counts, Spent
from interpreto_mllm.core.design import Design
from interpreto_mllm.core.evaluations import Evaluations
from interpreto_mllm.evaluation.budget import budget_of_trials
from interpreto_mllm.evaluation.session import SamplingSession


class RepeatedSession:
    """Trials one after the other, each a sampling session with its own seed and the whole budget; nothing is evaluated twice.

    Args:
        start: the session of a trial, by its number, which does not ask for what is known.
        trials: how many there are.
        known: evaluations of the game from before.
    """

    unit = "evaluation"

    def __init__(
        self, start: Callable[[int, Evaluations | None], SamplingSession], trials: int, known: Evaluations | None = None
    ):
        self._start, self._trials, self._known = start, trials, known
        self._ended: list[Evaluations] = []
        self._current = start(0, known)
        self.budget = budget_of_trials(self._current.budget, self._current.n, trials)

    @property
    def evaluated(self) -> int:
        """Distinct coalitions whose values are known."""
        return len(self.evaluations().coalitions)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the reader must know of the trials."""
        return (f"The mean of {self._trials} trials with seeds of their own; their spread is part of the standard errors.",)

    def counted(self, spent: Spent, paid: int) -> Counts:
        """The costs of this session, of which so many evaluations were made in a call that cost `spent`."""
        return spent.share(paid, self.evaluated, 0)

    def missing(self) -> Bool[Tensor, "p n"] | None:
        """The coalitions to evaluate next, all distinct and new; None when all trials are over."""
        while (rows := self._current.missing()) is None and len(self._ended) + 1 < self._trials:
            self._ended.append(self._current.evaluations())
            self._current = self._start(len(self._ended), self._all_known())
        return rows

    def record(self, coalitions: Bool[Tensor, "p n"], values: Float[Tensor, "p t"]) -> None:
        """Remember the values of some of the missing coalitions."""
        self._current.record(coalitions, values)

    def evaluations(self) -> Evaluations:
        """What is known so far, and which trial drew what."""
        return joined([*self._ended, self._current.evaluations()])

    def _all_known(self) -> Evaluations:
        parts = [*([] if self._known is None else [self._known]), *self._ended]
        nothing = torch.zeros(0, dtype=torch.int64)
        coalitions, values = torch.cat([part.coalitions for part in parts]), torch.cat([part.values for part in parts])
        return Evaluations(coalitions, values, nothing, nothing.double(), nothing)


def joined(trials: Sequence[Evaluations]) -> Evaluations:
    """Evaluations of one game by several trials, each coalition once.

    Example:
        >>> draws = torch.tensor([0, 1]), torch.ones(2).double(), torch.tensor([0, 0])
        >>> trial = Evaluations(torch.tensor([[False], [True]]), torch.tensor([[0.0], [1.0]]).double(), *draws)
        >>> both = joined([trial, trial])
        >>> both.values[:, 0].tolist(), both.draws.tolist(), both.chains.tolist(), both.trials.tolist()
        ([0.0, 1.0], [0, 1, 0, 1], [0, 0, 1, 1], [0, 0, 1, 1])
    """
    first, row = trials[0], {}
    for trial in trials:
        for key, coalition, value in zip(coalition_keys(trial.coalitions), trial.coalitions, trial.values, strict=True):
            row.setdefault(key, (len(row), coalition, value))
    draws, chains, offset = [], [], 0
    for trial in trials:
        places = torch.tensor([row[key][0] for key in coalition_keys(trial.coalitions)], dtype=torch.int64)
        draws.append(places[trial.draws])
        chains.append(torch.where(trial.chains < 0, trial.chains, trial.chains + offset))
        offset = max(offset, int(chains[-1].max()) + 1) if len(chains[-1]) else offset
    designs = {trial.design for trial in trials if len(trial.draws)}
    logs = [trial.weights.log() if trial.log_weights is None else trial.log_weights for trial in trials]
    return replace(
        first,
        coalitions=torch.stack([coalition for _, coalition, _ in row.values()]) if row else first.coalitions,
        values=torch.stack([value for _, _, value in row.values()]) if row else first.values,
        draws=torch.cat(draws),
        weights=torch.cat([trial.weights for trial in trials]),
        chains=torch.cat(chains),
        design=designs.pop() if len(designs) == 1 else Design.UNKNOWN,
        log_weights=torch.cat(logs) if any(trial.log_weights is not None for trial in trials) else None,
        trials=torch.cat([torch.full_like(trial.draws, number) for number, trial in enumerate(trials)]),
    )
