"""A game of which every coalition is evaluated once, whatever metrics and methods ask for it."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from interpreto_mllm.core.coalitions import coalition_keys
from interpreto_mllm.explainers.play import CallableGame
from interpreto_mllm.games.game import ModelGame
from interpreto_mllm.metrics.rows import column_of
from interpreto_mllm.results.record import Record

Questions = Generator[Bool[Tensor, "p n"], Float[Tensor, "p"], dict[str, float]]
"""Yields coalitions, is sent their values, and returns numbers."""


@dataclass(frozen=True)
class Asking:
    """What asks for the values of coalitions, for one row of a result.

    Args:
        record: the result.
        row: the index of the row among `rows_of(record)`.
        questions: yields coalitions, is sent their values, and returns numbers.
    """

    record: Record
    row: int
    questions: Questions


class EvaluatedGame:
    """The values of the coalitions of one game, each evaluated once.

    Args:
        game: a callable from coalitions `Bool[p n]` to values `Float[p t]` or `Float[p]`.
        n: number of features.

    Attributes:
        paid: how many coalitions were evaluated.
        reused: how many were asked for and known already, from a result or an earlier question.

    Example:
        >>> game = EvaluatedGame(lambda s: s.double().sum(1), n=2)
        >>> game(torch.tensor([[True, True], [True, True], [False, True]])).tolist(), game.paid
        ([[2.0], [2.0], [1.0]], 2)
    """

    def __init__(self, game: Any, n: int):
        self.game, self.n = CallableGame(game, n), n
        self.paid = self.reused = 0
        self._values: dict[bytes, Tensor] = {}

    @classmethod
    def of(cls, game: Any, records: Sequence[Record], same_game: bool = False) -> EvaluatedGame:
        """The game with what results have stored of it.

        Args:
            game: a game, or one that is evaluated already, which is taken as it is.
            records: results over the same features.
            same_game: whether results that do not say what they are of are known to be of this game.

        Raises:
            ValueError: for a game of other features than a result.
        """
        n = game.n if isinstance(game, (ModelGame, EvaluatedGame)) else records[0].n
        evaluated = game if isinstance(game, EvaluatedGame) else cls(game, n)
        for record in records:
            if record.n != n:
                raise ValueError(f"The game has {n} features, and the result of {record.method} has {record.n}.")
            if evaluated._is_of(record, same_game):
                known = zip(coalition_keys(record.coalitions), record.evaluations.of_tokens.values.double(), strict=True)
                evaluated._values = {**dict(known), **evaluated._values}
        return evaluated

    def _is_of(self, record: Record, same_game: bool) -> bool:
        """Whether a result has stored values of this game, and all of its columns."""
        game = self.game.values
        if record.gradients is not None:
            return False
        if not isinstance(game, ModelGame):
            return same_game and record.fingerprint is None
        return record.fingerprint == game.fingerprint and record.evaluations.of_tokens.values.shape[1] == len(
            game.question.labels
        )

    def __call__(self, coalitions: Bool[Tensor, "p n"]) -> Float[Tensor, "p t"]:
        """The values of coalitions; those that are not known are evaluated together."""
        keys = coalition_keys(coalitions)
        missing = {key: row for row, key in enumerate(keys) if key not in self._values}
        if missing:
            found = self.game(coalitions[list(missing.values())])
            self._values.update(zip(missing, found, strict=True))
        self.paid += len(missing)
        self.reused += len(keys) - len(missing)
        return torch.stack([self._values[key] for key in keys])

    def answered(self, asking: Sequence[Asking]) -> list[dict[str, float]]:
        """What each returns. The coalitions that all of them want next are evaluated together, equal ones once."""
        found: dict[int, dict[str, float]] = {}
        wanted = {place: next(one.questions) for place, one in enumerate(asking)}
        while wanted:
            values = self(torch.cat([*wanted.values()])).split([len(rows) for rows in wanted.values()])
            further = {}
            for (place, _), own in zip(wanted.items(), values, strict=True):
                one = asking[place]
                try:
                    further[place] = one.questions.send(column_of(one.record, one.row, own))
                except StopIteration as end:
                    found[place] = end.value
            wanted = further
        return [found[place] for place in range(len(asking))]
