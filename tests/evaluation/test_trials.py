"""Repeated sampling: the mean of trials that could each be made alone, with errors that hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from support.games import counted, dense_game

from interpreto_mllm import Attribution, IntegratedGradients, KernelShap, Lime, MonteCarloShapley, Occlusion, TopK, play
from interpreto_mllm.aggregators import KernelAggregator, LimeAggregator, MarginalAggregator, ShapleyAggregator, SobolAggregator
from interpreto_mllm.perturbators import (
    BernoulliPerturbator,
    ExactPerturbator,
    KernelPerturbator,
    MonteCarloPerturbator,
    PermutationPerturbator,
    SobolPerturbator,
)

N, BUDGET = 10, 40
PAIRS = [
    (KernelPerturbator(), KernelAggregator()),
    (MonteCarloPerturbator(), ShapleyAggregator()),
    (PermutationPerturbator(), MarginalAggregator()),
    (BernoulliPerturbator(), LimeAggregator()),
    (SobolPerturbator(), SobolAggregator("total")),
]


@pytest.mark.parametrize(("perturbator", "aggregator"), PAIRS, ids=[type(pair[1]).__name__ for pair in PAIRS])
def test_scores_are_the_mean_of_trials_made_alone(perturbator: Any, aggregator: Any, tmp_path: Path) -> None:
    game, asked = counted(dense_game(N))
    options: dict[str, Any] = {"n_features": N, "budget": BUDGET, "progress": False}
    together = play(game, perturbator, aggregator, seed=5, num_trials=3, **options)
    assert len(asked) == len(set(asked)) == together.counts.paid == together.counts.evaluations
    alone = [play(dense_game(N), perturbator, aggregator, seed=5 + trial, **options) for trial in range(3)]
    mean = torch.stack([one.attributions for one in alone]).mean(0)
    torch.testing.assert_close(together.attributions, mean)
    assert together.standard_errors is not None and bool((together.standard_errors > 0).all())
    together.save(tmp_path / "result.json")
    loaded = Attribution.load(tmp_path / "result.json")
    assert torch.equal(loaded.evaluations.trials, together.evaluations.trials)
    torch.testing.assert_close(loaded.span().attributions, together.span().attributions)


@pytest.mark.parametrize(("perturbator", "aggregator"), [PAIRS[0], PAIRS[3]], ids=["with own errors", "without"])
def test_standard_errors_are_those_seen_over_seeds(perturbator: Any, aggregator: Any) -> None:
    options: dict[str, Any] = {"n_features": N, "budget": BUDGET, "progress": False, "num_trials": 5}
    runs = [play(dense_game(N), perturbator, aggregator, seed=100 * seed, **options) for seed in range(25)]
    seen = torch.stack([run.attributions for run in runs]).std(0).square().mean().sqrt()
    told = torch.stack([run.standard_errors for run in runs]).square().mean().sqrt()
    assert 0.7 < float(told / seen) < 1.5


def test_what_is_exact_or_deterministic_costs_one_trial(recall: Any) -> None:
    prompt, target = "the apple is red . what is it ?", " red ."
    for num_trials in (1, 4):
        [result] = Occlusion(*recall, num_trials=num_trials, progress=False)(prompt, target)
        assert (result.counts.paid, result.exact) == (result.n + 2, True)
    whole = play(dense_game(5), ExactPerturbator(), ShapleyAggregator(), n_features=5, num_trials=3, progress=False)
    assert (whole.counts.paid, whole.exact) == (32, True)
    both = [
        play(dense_game(5), KernelPerturbator(), KernelAggregator(), n_features=5, num_trials=trials, budget=31, progress=False)
        for trials in (8, 1)
    ]
    assert both[0].counts.evaluations <= 32
    if both[0].evaluations.complete:
        torch.testing.assert_close(both[0].attributions, whole.attributions)


def test_on_a_model_plans_settings_and_earlier_evaluations_know_of_trials(recall: Any) -> None:
    prompt, target = "the apple is red . the sky is blue . what is it ?", " red"
    explainer = MonteCarloShapley(*recall, budget=24, num_trials=3, progress=False)
    [result] = explainer(prompt, target)
    assert result.counts.paid <= explainer.plan(prompt).evaluations == 72
    assert result.settings is not None and result.settings.options["num_trials"] == 3
    assert "The mean of 3 trials" in " ".join(result.notes)
    [again] = MonteCarloShapley.from_settings(*recall, result.settings)(prompt, target, evaluations=[result])
    assert again.counts.paid == 0 and torch.equal(again.attributions, result.attributions)
    assert result.interactions().values.isfinite().all()


def test_what_cannot_be_repeated_is_refused(recall: Any) -> None:
    for wrong in (0, 1.5, True):
        with pytest.raises(ValueError, match="num_trials must be a positive int"):
            KernelShap(*recall, num_trials=wrong)
    with pytest.raises(ValueError, match="give one of them"):
        KernelShap(*recall, num_trials=2, until=TopK(2))
    with pytest.raises(
        ValueError, match="num_trials repeats the sampling of coalitions, of which IntegratedGradients has none"
    ):
        IntegratedGradients(*recall, num_trials=2)
    [lime] = Lime(*recall, num_trials=2, budget=20, progress=False)("the apple is red . what is it ?", " red")
    assert lime.standard_errors is not None
