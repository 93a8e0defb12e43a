"""Games in the form of shapiq."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interpreto_mllm.core.optional import optional


class Remembered:
    """A game of one value that evaluates each coalition once.

    Args:
        values: from coalitions to values.
        column: from the values of all targets to the one.
    """

    def __init__(
        self, values: Callable[[Bool[Tensor, "p n"]], Float[Tensor, "p t"]], column: Callable[[Tensor], Float[Tensor, "p"]]
    ):
        self._values, self._column = values, column
        self._known: dict[bytes, float] = {}

    def __call__(self, coalitions: Bool[np.ndarray, "p n"] | Int[np.ndarray, "p n"]) -> Float[np.ndarray, "p"]:
        rows = {row.tobytes(): row for row in np.asarray(coalitions, dtype=bool)}
        missing = [row for key, row in rows.items() if key not in self._known]
        if missing:
            found = self._column(self._values(torch.from_numpy(np.stack(missing))).double())
            self._known |= {row.tobytes(): value for row, value in zip(missing, found.tolist(), strict=True)}
        return np.array([self._known[row.tobytes()] for row in np.asarray(coalitions, dtype=bool)])


def shapiq_game(remembered: Remembered, n: int, names: list[str]) -> Any:
    """A `shapiq.Game` of these values, which are not centred: v(∅) is what the model gives.

    Args:
        remembered: the values.
        n: number of players.
        names: one for each; equal ones get the number of the player.

    Raises:
        ImportError: without shapiq.
    """
    shapiq = optional("shapiq", "to_shapiq()", "interop")
    distinct = [name if names.count(name) == 1 else f"{name} ({place})" for place, name in enumerate(names)]

    class PromptGame(shapiq.Game):
        def value_function(self, coalitions: np.ndarray) -> np.ndarray:
            return remembered(coalitions)

    return PromptGame(n_players=n, normalize=False, player_names=distinct)
