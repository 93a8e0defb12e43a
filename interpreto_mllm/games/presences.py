"""The game on a model whose features are present in part, and the gradients of its values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from interpreto_mllm.core.evaluations import Evaluations
from interpreto_mllm.core.points import Fold, Gradients, Points
from interpreto_mllm.engine.differentiation import Asked, Differentiator
from interpreto_mllm.engine.turns import in_turns, turn
from interpreto_mllm.games.game import ModelGame, evaluate


@dataclass(frozen=True, eq=False)
class PresenceGame(ModelGame):
    """A prompt between a baseline and itself: v(z) for presences z of its features in [0, 1].

    Args:
        asked: the question about the prompt, and what of it moves.
        differentiator: gives values and gradients.
        fold: the sums over points that are wanted of the gradients.
    """

    asked: Asked = field(kw_only=True)
    differentiator: Differentiator = field(kw_only=True)
    fold: Fold | None = None

    def __call__(self, coalitions: Bool[Tensor, "p n"] | Float[Tensor, "p n"]) -> Float[Tensor, "p t"]:
        """The values of presences, or of coalitions: presences of 0 and 1."""
        with turn(self.differentiator.model), self.preserved_state():
            return self.differentiator.values(self.asked, Points(coalitions.double()))

    def gradients(self, points: Points) -> Iterator[tuple[list[int], Gradients]]:
        """Values at points of no weight; values and gradients at the others. With the indices of these points."""
        plain = (points.shares == 0).nonzero()[:, 0].tolist()
        if plain:
            some = points[plain]
            values = self.differentiator.values(self.asked, some)
            p, t = values.shape
            yield plain, Gradients(some, values, torch.zeros(p, t, self.n).double(), torch.zeros(p, t).double())
        rest = [row for row in range(len(points)) if row not in set(plain)]
        for rows, found in self.differentiator.gradients(self.asked, points[rest], self.fold):
            yield [rest[row] for row in rows], found

    def completed(self, evaluations: Evaluations) -> Evaluations:
        return replace(evaluations, fingerprint=self.fingerprint)


def evaluated(games: Sequence[Any], asked: Sequence[Any]) -> Iterator[tuple[int, list[int], Any]]:
    """Evaluate games side by side: coalitions together, points of games of presences one game after the other."""
    if not isinstance(games[0], PresenceGame):
        yield from evaluate(games, asked)
        return
    for place, (game, points) in enumerate(zip(games, asked, strict=True)):
        for rows, found in in_turns(game.differentiator.model, game.gradients(points)):
            yield place, rows, found
