"""Games for the tests, and what their attributions are, computed slowly from the definitions."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from math import comb

import torch
from torch import Tensor

Game = Callable[[Tensor], Tensor]


def dense_game(n: int, seed: int = 0, targets: int = 2) -> Game:
    """Every coalition has a value of its own: a random wide network of the features, plus something of the size."""
    generator = torch.Generator().manual_seed(seed)
    inner = torch.randn(n, 40, generator=generator).double()
    outer = torch.randn(40, targets, generator=generator).double()
    return lambda coalitions: (
        torch.tanh(coalitions.double() @ inner - 0.3) @ outer + 0.2 * coalitions.sum(1, keepdim=True).double() ** 2 / n
    )


def counted(game: Game) -> tuple[Game, list[tuple[bool, ...]]]:
    """The same game, and the list of the coalitions that it gets asked for."""
    asked: list[tuple[bool, ...]] = []

    def counting(coalitions: Tensor) -> Tensor:
        asked.extend(tuple(row) for row in coalitions.tolist())
        return game(coalitions)

    return counting, asked


def value(game: Game, n: int, members: tuple[int, ...]) -> Tensor:
    """v(S), one coalition at a time."""
    return game(torch.tensor([[i in members for i in range(n)]]))[0]


def semivalue(game: Game, n: int, weight: Callable[[int], float]) -> Tensor:
    """Σ over S without i of weight(|S|) · (v(S ∪ i) − v(S)), of shape (t, n)."""
    columns = []
    for i in range(n):
        others = [j for j in range(n) if j != i]
        gains = [
            weight(size) * (value(game, n, (*members, i)) - value(game, n, members))
            for size in range(n)
            for members in combinations(others, size)
        ]
        columns.append(torch.stack(gains).sum(0))
    return torch.stack(columns, 1)


def exact_shapley(game: Game, n: int) -> Tensor:
    """Shapley values from the definition."""
    return semivalue(game, n, lambda size: 1 / (n * comb(n - 1, size)))


def exact_banzhaf(game: Game, n: int) -> Tensor:
    """Banzhaf values from the definition."""
    return semivalue(game, n, lambda size: 0.5 ** (n - 1))


def everything(n: int) -> Tensor:
    """All coalitions, one by one."""
    return torch.tensor([[i in members for i in range(n)] for size in range(n + 1) for members in combinations(range(n), size)])
