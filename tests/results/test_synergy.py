"""What modalities are worth together, and the coalitions it takes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from support.games import dense_game, value
from support.results import FEATURES, run, several

from interpreto_mllm import Feature
from interpreto_mllm.aggregators import KernelAggregator, LeaveOneOutAggregator, ShapleyAggregator
from interpreto_mllm.core.modalities import modality_coalitions
from interpreto_mllm.perturbators import ExactPerturbator, KernelPerturbator, MonteCarloPerturbator, OcclusionPerturbator


def test_synergy_is_what_modalities_are_worth_together():
    game = dense_game(6)
    result = several()
    text, image, audio = (0, 1), (2, 3, 4), (5,)
    v = lambda *members: value(game, 6, members)  # noqa: E731
    torch.testing.assert_close(result.synergy("text", "image"), v(*text, *image) - v(*text) - v(*image) + v())
    apart = v(*text) + v(*image) + v(*audio)
    torch.testing.assert_close(result.synergy(), v(*range(6)) - apart + 2 * v())
    both = run(lambda s: (s[:, 0] & s[:, 2]).double())
    assert replace(both, features=FEATURES).synergy("text", "image").item() == 1.0


def test_synergy_says_what_is_missing():
    with pytest.raises(ValueError, match="3 of the 3 coalitions this takes were not evaluated"):
        several(budget=14).synergy("text", "image")
    with pytest.raises(ValueError, match="different modalities"):
        several().synergy("text", "video")
    with pytest.raises(ValueError, match="different modalities"):
        several().synergy("text", "text")
    with pytest.raises(ValueError, match="across modalities"):
        several(features=[*FEATURES[:5], Feature("5", modality="mixed")]).synergy("text", "image")
    with pytest.raises(ValueError, match="which has text features"):
        run(dense_game(6)).synergy()


@pytest.mark.parametrize(
    "perturbator, aggregator",
    [(KernelPerturbator(), KernelAggregator()), (MonteCarloPerturbator(), ShapleyAggregator())],
    ids=lambda part: type(part).__name__,
)
def test_extra_coalitions_are_evaluated_within_the_budget_and_kept_from_the_sample(perturbator, aggregator):
    game, extra = dense_game(6), modality_coalitions(FEATURES)
    result = run(game, perturbator, aggregator, budget=30, extra=extra)
    assert len(extra) == 6 and 24 < result.counts.evaluations <= 30
    assert replace(result, features=FEATURES).synergy().isfinite().all()
    without = run(game, perturbator, aggregator, budget=24)
    torch.testing.assert_close(result.attributions, without.attributions)
    torch.testing.assert_close(result.standard_errors, without.standard_errors)
    torch.testing.assert_close(result.reaggregate(aggregator).attributions, without.attributions)


def test_extra_coalitions_give_way_to_a_tight_budget():
    extra = modality_coalitions(FEATURES)
    assert run(dense_game(6), OcclusionPerturbator(), LeaveOneOutAggregator(), extra=extra).counts.evaluations == 8
    assert run(dense_game(6), ExactPerturbator(), ShapleyAggregator(), extra=extra).counts.evaluations == 64


def test_prompts_of_one_modality_have_no_extra_coalitions():
    assert modality_coalitions(FEATURES[:2]).shape == (0, 2)
    assert modality_coalitions([*FEATURES, Feature("m", modality="mixed")]).shape == (0, 7)
