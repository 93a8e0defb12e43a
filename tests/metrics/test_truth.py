"""Metrics against known causes, and against exact values."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from support.games import dense_game, exact_shapley
from support.results import FEATURES, run
from support.scored import scored

from interpreto_mllm import ExactShapley, Feature
from interpreto_mllm.metrics import METRICS, NotApplicable


def computed(name, *given, **more):
    return METRICS[name].compute(*given, **more)


SCORES = [0.1, -4.0, 3.0, 0.2, 2.0, -1.0]
TRUTH = [False, True, False, False, True, True]


def test_precision_and_recall_are_the_shares_of_the_top():
    order = sorted(range(6), key=lambda i: -abs(SCORES[i]))
    hits = {k: sum(TRUTH[i] for i in order[:k]) for k in (1, 3, 5)}
    found, recalled = (computed(name, scored(SCORES), truth=TRUTH) for name in ("precision", "recall"))
    assert found == {"precision": pytest.approx(2 / 3), **{f"precision@{k}": hits[k] / k for k in hits}}
    assert recalled == {"recall": pytest.approx(2 / 3), **{f"recall@{k}": hits[k] / 3 for k in hits}}
    assert list(computed("precision", scored([1.0, 2.0]), truth=[True, False])) == ["precision", "precision@1"]


def test_ties_are_drawn_among():
    assert computed("pointing", scored([1.0, -1.0, 1.0, 0.0]), truth=[True, False, False, True])["pointing"] == pytest.approx(
        1 / 3
    )
    assert computed("precision", scored([0.0, 0.0, 0.0, 0.0]), truth=[True, True, False, False])["precision"] == 0.5


def test_the_pointing_game_is_played_in_each_modality():
    result = scored([1.0, 5.0, 3.0, 4.0, 2.0, 9.0], features=FEATURES)
    found = computed("pointing", result, truth=[False, True, True, False, False, False])
    assert found == {"pointing": 0.0, "pointing@text": 1.0, "pointing@image": 0.0}


def test_rank_auc_is_how_often_a_true_feature_is_ahead():
    strengths = [abs(score) for score in [*SCORES, 4.0]]
    truth = [*TRUTH, False]
    true, others = ([strengths[i] for i in range(7) if truth[i] is side] for side in (True, False))
    pairs = [(a > b) + 0.5 * (a == b) for a in true for b in others]
    assert computed("rank_auc", scored([*SCORES, 4.0]), truth=truth)["rank_auc"] == pytest.approx(sum(pairs) / len(pairs))


def test_mass_on_truth():
    assert computed("mass_on_truth", scored([1.0, -3.0]), truth=[False, True])["mass_on_truth"] == 0.75


def test_truth_is_bools_or_a_function():
    result = scored([3.0, 1.0], features=[Feature("red"), Feature("the")])
    assert computed("pointing", result, truth=lambda feature: feature.text == "red")["pointing"] == 1
    assert computed("pointing", result, truth=torch.tensor([0, 1]))["pointing"] == 0
    with pytest.raises(ValueError, match="one bool for each of the 2 features"):
        computed("pointing", result, truth=[True])
    with pytest.raises(ValueError, match="one bool for each of the 2 features"):
        computed("pointing", result, truth=[0, 2])
    with pytest.raises(NotApplicable, match="No feature is true"):
        computed("recall", result, truth=[False, False])
    with pytest.raises(NotApplicable, match="Every feature is true"):
        computed("rank_auc", result, truth=[True, True])
    with pytest.raises(NotApplicable, match="pointing needs truth"):
        computed("pointing", result)


def test_errors_against_exact_values():
    exact = exact_shapley(dense_game(6, targets=1), 6)
    result = run(dense_game(6, targets=1), n=6, budget=30)
    scores, true = result.attributions[0], exact[0]
    expected = sum((float(a) - float(b)) ** 2 for a, b in zip(scores, true, strict=True)) / sum(float(b) ** 2 for b in true)
    assert computed("squared_error", result, exact=true)["squared_error"] == pytest.approx(expected)
    assert math.isnan(computed("squared_error", scored([1.0, 2.0]), exact=[0.0, 0.0])["squared_error"])


def test_kendall_is_scipys():
    stats = pytest.importorskip("scipy.stats")
    generator = torch.Generator().manual_seed(0)
    one, two = (torch.randint(5, (12,), generator=generator).double() for _ in range(2))
    expected = stats.kendalltau(one, two).statistic
    assert computed("kendall_tau", scored(one), exact=two)["kendall_tau"] == pytest.approx(expected)


def test_top_k_overlap():
    found = computed("top_k_overlap", scored([5.0, -4.0, 3.0, 0.0]), exact=[1.0, 9.0, 0.0, 8.0])
    assert found == {"top_k_overlap@1": 0.0, "top_k_overlap@3": pytest.approx(2 / 3)}


def test_interval_coverage_counts_the_exact_values_within():
    result = scored([1.0, 2.0, 3.0, 4.0], standard_errors=torch.tensor([[0.1, 0.1, 0.1, math.nan]]).double())
    assert computed("interval_coverage", result, exact=[1.1, 2.5, 2.85, 0.0])["interval_coverage"] == pytest.approx(2 / 3)
    with pytest.raises(NotApplicable, match="no standard errors"):
        computed("interval_coverage", replace(result, standard_errors=None), exact=[1.0] * 4)


def test_exact_values_may_be_a_result(recall):
    [exact] = ExactShapley(*recall, granularity=[(0, 9), (10, 12), (13, 18)], progress=False)("the apple is red .", " red .")
    assert computed("squared_error", exact, exact=exact) == {"squared_error": 0.0}
    assert computed("interval_coverage", exact, exact=exact) == {"interval_coverage": 1.0}
    with pytest.raises(NotApplicable, match="Banzhaf value"):
        computed("kendall_tau", replace(exact, estimand="Banzhaf value"), exact=exact)
    with pytest.raises(ValueError, match="exact has 1 rows of 2 values"):
        computed("kendall_tau", exact, exact=[1.0, 2.0])
