"""Metrics of what a result has stored."""

from __future__ import annotations

import math

import pytest
import torch
from support.games import dense_game
from support.results import run
from support.scored import additive, scored

from interpreto_mllm import KernelShap, Lime, Saliency
from interpreto_mllm.aggregators import BanzhafAggregator, LeaveOneOutAggregator
from interpreto_mllm.metrics import METRICS, NotApplicable
from interpreto_mllm.perturbators import BernoulliPerturbator, ExactPerturbator, OcclusionPerturbator


def computed(name, *given, **more):
    return METRICS[name].compute(*given, **more)


def test_the_efficiency_gap_is_what_the_scores_do_not_add_up_to():
    found = computed("efficiency_gap", scored([2.0, 1.0, -1.0], additive([1.0, 1.0, 2.0])))
    assert found == {"efficiency_gap": 2.0, "relative_efficiency_gap": 0.5}
    flat = computed("efficiency_gap", scored([0.0, 0.0], additive([1.0, -1.0])))
    assert flat["efficiency_gap"] == 0 and math.isnan(flat["relative_efficiency_gap"])


def test_scores_on_another_scale_are_not_compared_with_values():
    result = scored([2.0, 1.0, -1.0], additive([2.0, 1.0, -1.0]))
    assert computed("efficiency_gap", result.normalized("identity")) == computed("efficiency_gap", result)
    assert computed("gini", result.normalized("abs_sum"))["gini"] == pytest.approx(computed("gini", result)["gini"])
    for name in ("efficiency_gap", "held_out_r2"):
        with pytest.raises(NotApplicable, match=f"{name} compares scores with values of the model"):
            computed(name, result.normalized("abs_sum"))
    with pytest.raises(NotApplicable, match="these scores are on the scale 'max_abs'"):
        METRICS["infidelity"].asking(result.normalized("max_abs"))


def test_gini_is_the_mean_difference_of_all_pairs():
    scores = [3.0, -1.0, 0.5, 0.0, -2.5]
    strengths = [abs(score) for score in scores]
    differences = sum(abs(one - two) for one in strengths for two in strengths)
    assert computed("gini", scored(scores))["gini"] == pytest.approx(differences / (2 * 5 * sum(strengths)))
    assert computed("gini", scored([1.0, -1.0, 1.0]))["gini"] == pytest.approx(0)
    assert computed("gini", scored([0.0, 0.0, 4.0, 0.0]))["gini"] == pytest.approx(3 / 4)


def test_entropy_and_features_for_90():
    shares = [0.5, 0.25, 0.15, 0.1]
    found = computed("entropy", scored([-5.0, 2.5, 1.5, -1.0]))["entropy"]
    assert found == pytest.approx(-sum(share * math.log(share) for share in shares))
    assert computed("entropy", scored([2.0, 0.0]))["entropy"] == 0
    assert computed("features_for_90", scored([-5.0, 2.5, 1.5, -1.0]))["features_for_90"] == 3
    assert computed("features_for_90", scored([0.1] * 10))["features_for_90"] == 9
    assert computed("features_for_90", scored([0.0, 7.0]))["features_for_90"] == 1


def test_nothing_is_said_of_how_scores_of_zero_are_distributed():
    for name in ("gini", "entropy", "features_for_90"):
        with pytest.raises(NotApplicable, match="Every score is zero"):
            computed(name, scored([0.0, 0.0]))


def test_the_mean_is_taken_over_several_classes():
    both = scored([[1.0, 1.0], [2.0, 0.0]], dense_game(2))
    assert computed("gini", both)["gini"] == pytest.approx((0 + 1 / 2) / 2)


def test_held_out_r2_is_that_of_fidelity():
    result = run(dense_game(8, targets=1), n=8, budget=80)
    assert computed("held_out_r2", result)["held_out_r2"] == float(result.fidelity().additive)
    with pytest.raises(NotApplicable, match="too few"):
        computed("held_out_r2", run(dense_game(6), OcclusionPerturbator(), LeaveOneOutAggregator()))


def test_stored_lds_is_spearmans_of_sums_that_leave_the_coalition_out():
    stats = pytest.importorskip("scipy.stats")
    game, n = dense_game(7, targets=1), 7
    result = run(game, BernoulliPerturbator(paired=False), BanzhafAggregator(), n=n, budget=60)
    found = computed("stored_lds", result)["stored_lds"]
    assert 0.3 < found < 1
    everything = run(game, ExactPerturbator(), BanzhafAggregator(), n=n)
    sums = everything.coalitions[2:].double() @ everything.attributions[0]
    expected = stats.spearmanr(sums, everything.values[2:, 0]).statistic
    assert computed("stored_lds", everything)["stored_lds"] == pytest.approx(expected)
    assert computed("stored_lds", run(additive([2.0**i for i in range(8)]), n=8, budget=80))["stored_lds"] == pytest.approx(1)


def test_stored_lds_needs_random_coalitions():
    with pytest.raises(NotApplicable, match="use lds, which draws its own"):
        computed("stored_lds", run(dense_game(6), OcclusionPerturbator(), LeaveOneOutAggregator()))
    with pytest.raises(NotApplicable, match="too few"):
        computed("stored_lds", run(dense_game(8), n=8, budget=10))


def test_the_tokens_of_an_answer_are_one(recall):
    prompt = "the apple is red . what is the apple ?"
    [explanation] = Lime(*recall, budget=60, progress=False)(prompt, " red .")
    assert explanation.t == 2
    for name in ("gini", "efficiency_gap", "stored_lds"):
        assert computed(name, explanation) == computed(name, explanation.span())
    [gradients] = Saliency(*recall, progress=False)(prompt, " red")
    assert computed("gini", gradients)["gini"] > 0
    with pytest.raises(NotApplicable):
        computed("stored_lds", gradients)
    with pytest.raises(NotApplicable):
        computed("held_out_r2", gradients)


def test_an_estimate_of_few_evaluations_is_less_sure_of_its_ranks(recall):
    result = KernelShap(*recall, budget=40, progress=False)("the apple is red . what is the apple ?", " red")[0]
    assert -1 <= computed("stored_lds", result)["stored_lds"] <= 1
    assert torch.isfinite(torch.tensor(list(computed("efficiency_gap", result).values()))).all()
