"""Confidence intervals."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from support.games import dense_game
from support.results import run

from interpreto_mllm.perturbators import ExactPerturbator


def test_intervals_are_normal_ones():
    result = run(dense_game(8), n=8, budget=60)
    low, high = result.interval(0.95)
    torch.testing.assert_close(high - result.attributions, 1.959963985 * result.standard_errors)
    torch.testing.assert_close(result.attributions - low, 1.959963985 * result.standard_errors)


def test_intervals_hold_the_truth_as_often_as_they_say():
    game = dense_game(9)
    truth = run(game, ExactPerturbator(), n=9).attributions
    inside = []
    for seed in range(40):
        low, high = run(game, n=9, budget=120, seed=seed).interval(0.9)
        inside.append(((low <= truth) & (truth <= high)).double().mean())
    assert 0.84 < float(torch.stack(inside).mean()) < 0.97


def test_no_errors_no_intervals():
    with pytest.raises(ValueError, match="no standard errors"):
        replace(run(dense_game(6)), standard_errors=None).interval()
    with pytest.raises(ValueError, match="between 0 and 1"):
        run(dense_game(6)).interval(95.0)
