"""Queries that are out, and the coalitions that wait for them."""

from __future__ import annotations

import numpy as np
import torch

from interpreto_mllm.engine.queries import Score
from interpreto_mllm.games.pending import Pending
from interpreto_mllm.prompts.model_input import ModelInput


def query(token: int, target: int = 9) -> Score:
    return Score(ModelInput(np.asarray([token])), (target,))


def test_equal_queries_are_asked_once_and_coalitions_complete_with_their_last_one() -> None:
    pending = Pending()
    pending.add(0, [[query(1), query(2)], [query(2), query(2)]])
    pending.add(1, [[query(1)], [query(1, target=8)]])
    assert pending.queries == [query(1), query(2), query(1, target=8)]
    assert [(game, rows) for game, rows, _ in pending.received([1], torch.tensor([[2.0]]))] == [(0, [1])]
    complete = list(pending.received([0, 2], torch.tensor([[1.0], [3.0]])))
    assert [(game, rows) for game, rows, _ in complete] == [(0, [0]), (1, [0, 1])]
    values = [[[float(value) for value in row] for row in scored] for _, _, scored in complete]
    assert values == [[[1.0, 2.0]], [[1.0], [3.0]]]
