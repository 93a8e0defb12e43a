"""Coalitions in blocks of fixed content, so that neither an interruption nor where they are evaluated changes a digit.

A value depends on its batch in the last digits. A round cut into blocks that its coalitions alone decide, each evaluated and
kept as a whole, gives the same digits whichever blocks are known already and whichever process evaluates one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from interpreto_mllm.core.coalitions import coalition_keys
from interpreto_mllm.core.evaluations import Evaluations
from interpreto_mllm.core.fingerprint import differences
from interpreto_mllm.engine.call import new_block
from interpreto_mllm.games.game import ModelGame
from interpreto_mllm.games.presences import PresenceGame, evaluated

Elsewhere = Callable[[Sequence[Bool[Tensor, "_ _"]]], Iterator[Evaluations]]
"""Evaluates blocks of a game, and gives each as it is there, in any order."""


@dataclass(frozen=True)
class Blocks:
    """Evaluates games block by block.

    Args:
        size: coalitions in a block.
        elsewhere: evaluates the blocks; here, one after the other, unless given. It is for calls with one input.
    """

    size: int
    elsewhere: Elsewhere | None = None

    def __call__(self, games: Sequence[Any], asked: Sequence[Any]) -> Iterator[tuple[int, list[int], Any]]:
        """As `games.presences.evaluated`; the points of gradient methods are evaluated as they are."""
        if isinstance(games[0], PresenceGame):
            yield from evaluated(games, asked)
            return
        for place, (game, coalitions) in enumerate(zip(games, asked, strict=True)):
            for rows, values in self._values(game, coalitions):
                yield place, rows, values

    def _values(self, game: ModelGame, coalitions: Bool[Tensor, "p n"]) -> Iterator[tuple[list[int], Float[Tensor, "_ _"]]]:
        blocks = self.of(coalitions)
        if self.elsewhere is None:
            for rows in blocks:
                yield rows, evaluate_block(game, coalitions[rows])
            return
        row = {key: index for index, key in enumerate(coalition_keys(coalitions))}
        for found in self.elsewhere([coalitions[rows] for rows in blocks]):
            differing = differences(found.fingerprint or {}, game.fingerprint, game.reconciled)
            if differing:
                raise ValueError(f"A worker evaluated another game than this process asked for: {'; '.join(differing[:3])}.")
            yield [row[key] for key in coalition_keys(found.coalitions)], game.known(found).values

    def of(self, coalitions: Bool[Tensor, "p n"]) -> list[list[int]]:
        """The rows of each block: coalitions of similar sizes together, so that little of a batch is padding.

        Without some of the blocks, all others are the same.

        Example:
            >>> Blocks(2).of(torch.tensor([[True, True], [False, False], [True, False]]))
            [[1, 2], [0]]
        """
        rows = torch.sort(coalitions.sum(1), stable=True).indices.tolist()
        return [rows[start : start + self.size] for start in range(0, len(rows), self.size)]


def evaluate_block(game: ModelGame, coalitions: Bool[Tensor, "p n"]) -> Float[Tensor, "p t"]:
    """The values of a block, all at once, in the turns of the model that a call takes."""
    if isinstance(game, PresenceGame):
        return game(coalitions)
    values: dict[int, Tensor] = {}
    with new_block():
        for _, rows, some in evaluated([game], [coalitions]):
            values.update(zip(rows, some, strict=True))
    return torch.stack([values[row] for row in range(len(coalitions))])


def known_of(game: ModelGame, coalitions: Bool[Tensor, "p n"]) -> Evaluations:
    """A block evaluated, with all that the game knows of it, for the process that asked for it."""
    with game.preserved_state():
        values = evaluate_block(game, coalitions).double()
    nothing = torch.zeros(0, dtype=torch.int64)
    found = game.completed(Evaluations(coalitions, values, nothing, nothing.double(), nothing))
    return replace(found, fingerprint=game.fingerprint)


_CURRENT: ContextVar[Blocks | None] = ContextVar("blocks", default=None)


def current_blocks() -> Blocks | None:
    """Those of the calls in this thread, None where they evaluate whole rounds."""
    return _CURRENT.get()


@contextmanager
def in_blocks(blocks: Blocks) -> Iterator[None]:
    """Within, in this thread, explainers evaluate block by block, and checkpoints keep each as a whole or not at all."""
    token = _CURRENT.set(blocks)
    try:
        yield
    finally:
        _CURRENT.reset(token)
