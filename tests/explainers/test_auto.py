"""The shortest call chooses what suits the prompt and the budget, and says so."""

from __future__ import annotations

import pytest
import torch

from interpreto_mllm import (
    AutoShapley,
    ExactShapley,
    GaussianProcessShapley,
    KernelShap,
    PermutationShapley,
    TopK,
    explain,
)

SHORT, LONG = "the apple is red .", "the apple is red . the sky is blue . what is the apple ?"


def test_exact_where_the_budget_covers_all_coalitions(recall):
    [found] = explain(*recall, SHORT, " red", progress=False)
    [exact] = ExactShapley(*recall, progress=False)(SHORT, " red")
    torch.testing.assert_close(found.attributions, exact.attributions)
    assert found.method == "ExactShapley" and not found.standard_errors.any()
    assert found.notes == (
        f"Chosen for {found.n} features and {2**found.n} evaluations: ExactShapley, as these are all 2^{found.n} coalitions.",
    )


def test_sampled_where_it_does_not(recall):
    [found] = explain(*recall, LONG, " red", budget=60, progress=False)
    [process] = GaussianProcessShapley(*recall, budget=60, progress=False)(LONG, " red")
    torch.testing.assert_close(found.attributions, process.attributions)
    assert found.method == "GaussianProcessShapley" and "2^15 coalitions are too many" in found.notes[0]


def test_the_regression_where_evaluations_are_plenty(recall, monkeypatch):
    monkeypatch.setattr("interpreto_mllm.explainers.auto.MOST_EVALUATIONS_OF_A_GAUSSIAN_PROCESS", 100)
    [found] = explain(*recall, LONG, " red", budget=150, progress=False)
    [kernel] = KernelShap(*recall, budget=150, progress=False)(LONG, " red")
    torch.testing.assert_close(found.attributions, kernel.attributions)
    assert found.method == "KernelShap" and "KernelShap, as there are more than 100 evaluations." in found.notes[0]


def test_screened_above_many_features(recall, monkeypatch):
    monkeypatch.setattr(
        "interpreto_mllm.explainers.auto.MOST_UNSCREENED_FEATURES", 40
    )  # the shipped model does not read as many as 256
    prompt = "the apple is red . " * 9
    [found] = explain(*recall, prompt, " red", budget=60, progress=False)
    assert found.n == 45 and found.method == "ScreenedShapley"
    assert found.estimand == "Shapley value of the kept features, all others present"
    assert "for 45 features and 60 evaluations: ScreenedShapley, as there are more than 40 features." in found.notes[0]
    for options, method in (({"budget": 45 * 16}, "GaussianProcessShapley"), ({"until": TopK(1)}, "ScreenedShapley")):
        explainer = AutoShapley(*recall, **options)
        assert explainer.choose(explainer.game(prompt, " red").prompt).method == method


def test_balanced_below_a_pair_for_each_feature(recall):
    [found] = explain(*recall, LONG, " red", budget=31, progress=False)
    assert found.n == 15 and found.method == "GaussianProcessShapley" and found.standard_errors is not None
    assert found.notes[0] == (
        "Chosen for 15 features and 31 evaluations: GaussianProcessShapley over balanced coalitions, as pairs of them need 32 "
        "evaluations."
    )
    present = found.evaluations.coalitions[2:].double().mean(0)
    assert len(found.evaluations.coalitions) == 31 and float((present - 0.5).abs().max()) < 0.1
    for options in ({"budget": 32}, {"budget": 31, "until": TopK(1)}):
        explainer = AutoShapley(*recall, **options)
        assert "balanced" not in explainer.choose(explainer.game(LONG, " red").prompt).notes[0]


def test_screened_below_a_pair_for_each_of_many_features(recall):
    prompt = "the apple is red . " * 14
    for budget, method in ((60, "ScreenedShapley"), (142, "GaussianProcessShapley"), (None, "GaussianProcessShapley")):
        explainer = AutoShapley(*recall, budget=budget)
        choice = explainer.choose(explainer.game(prompt, " red").prompt)
        assert choice.method == method and (method != "ScreenedShapley" or "as pairs of coalitions need 142" in choice.notes[0])
    explainer = AutoShapley(*recall, budget=20)  # which screening could not find anything with
    assert "balanced" in explainer.choose(explainer.game(prompt, " red").prompt).notes[0]


def test_each_prompt_gets_its_own_method(recall):
    first, second = explain(*recall, [SHORT, LONG], " red", budget=100, progress=False)
    assert (first.method, second.method) == ("ExactShapley", "GaussianProcessShapley")


def test_a_rule_calls_for_a_method_that_can_stop(recall):
    [found] = explain(*recall, SHORT, " red", until=TopK(1), progress=False)
    assert found.method == "GaussianProcessShapley" and len(found.notes) == 2 and "TopK(1, confidence=0.95)" in found.notes[1]


def test_a_method_can_be_named(recall):
    [found] = explain(*recall, SHORT, " red", method=PermutationShapley, budget=30, progress=False)
    assert found.method == "PermutationShapley" and not found.notes
    with pytest.raises(TypeError, match="method must be 'auto'"):
        explain(*recall, SHORT, method="best")  # type: ignore[arg-type]


def test_earlier_evaluations_are_reused(recall):
    explainer = AutoShapley(*recall, progress=False)
    [first] = explainer(SHORT, " red")
    [again] = explainer(SHORT, " red", evaluations=[first])
    assert again.counts.paid == 0 and again.attributions.equal(first.attributions)
