"""Results with given scores, and games without a model to judge them by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from support.games import Game
from support.results import run
from torch import Tensor

from interpreto_mllm import Attribution
from interpreto_mllm.perturbators import ExactPerturbator


def additive(weights: Sequence[float], base: float = 0.5) -> Game:
    """A game whose value is a sum."""
    line = torch.tensor(weights).double()
    return lambda coalitions: base + coalitions.double() @ line


def scored(scores: Any, game: Game | None = None, **fields: Any) -> Attribution:
    """A result of all coalitions of a game, with these scores of its features; one row each for a list of lists."""
    given = torch.as_tensor(scores).double()
    given = given[None] if given.ndim == 1 else given
    n = given.shape[1]
    result = run(game or additive([1.0] * n), ExactPerturbator(), n=n)
    return replace(result, attributions=given, **fields)


def value_without(game: Game, n: int, absent: Sequence[int]) -> float:
    """v(N∖absent), one coalition at a time."""
    present: Tensor = torch.tensor([[i not in absent for i in range(n)]])
    return float(torch.as_tensor(game(present)).reshape(-1)[0])
