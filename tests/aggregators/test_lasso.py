"""The lasso beside scikit-learn's."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from support.games import dense_game, exact_banzhaf
from support.results import run

from interpreto_mllm.aggregators import LassoAggregator
from interpreto_mllm.aggregators.lasso import coordinate_descent, nearly, tried, weights
from interpreto_mllm.aggregators.standardised import Standardised
from interpreto_mllm.perturbators import BernoulliPerturbator, ExactPerturbator, OcclusionPerturbator


def by_sklearn(result, penalty: float) -> np.ndarray:
    """ContextCite's recipe: standardise the masks, fit, take the scale out again; ∅ and N weigh what they are of 2^n."""
    from sklearn import linear_model, preprocessing

    present, values = result.coalitions.numpy().astype(float), result.values.numpy()
    weights = np.full(len(present), (2**result.n - 2) / (len(present) - 2))
    weights[:2] = 1
    scaler = preprocessing.StandardScaler().fit(present, sample_weight=weights)
    found = []
    for column in values.T:
        fit = linear_model.Lasso(alpha=penalty, tol=1e-12, max_iter=100_000)
        fit.fit(scaler.transform(present), column, sample_weight=weights)
        found.append(fit.coef_ / scaler.scale_)
    return np.stack(found)


@pytest.mark.parametrize("penalty", [0.01, 0.1, 0.5])
@pytest.mark.parametrize(("n", "budget"), [(8, 60), (14, 12)])
def test_weights_are_those_of_scikit_learn(penalty, n, budget):
    result = run(dense_game(n), BernoulliPerturbator(paired=False), LassoAggregator(penalty), n=n, budget=budget)
    np.testing.assert_allclose(result.attributions.numpy(), by_sklearn(result, penalty), atol=2e-6)
    if penalty == 0.5:
        assert int((result.attributions == 0).sum()) > 0
    assert result.estimand == "surrogate weights" and result.standard_errors is None


def test_contextcites_uniform_masks_weigh_alike():
    """With many features ∅ and N are next to nothing among 2^n, so that this is the fit to the drawn masks alone."""
    from sklearn import linear_model, preprocessing

    n = 30
    result = run(dense_game(n, targets=1), BernoulliPerturbator(paired=False), LassoAggregator(0.01), n=n, budget=66)
    present = preprocessing.StandardScaler().fit(result.coalitions[2:].numpy().astype(float))
    fit = linear_model.Lasso(alpha=0.01, tol=1e-12, max_iter=100_000)
    fit.fit(present.transform(result.coalitions[2:].numpy().astype(float)), result.values[2:, 0].numpy())
    np.testing.assert_allclose(result.attributions[0].numpy(), fit.coef_ / present.scale_, atol=1e-4)


def test_without_a_penalty_all_coalitions_give_banzhaf_values():
    result = run(dense_game(5), ExactPerturbator(), LassoAggregator(0.0), n=5)
    torch.testing.assert_close(result.attributions, exact_banzhaf(dense_game(5), 5), atol=1e-7, rtol=1e-7)


def test_cross_validation_takes_the_penalty_that_predicts_best():
    weights = torch.tensor([3.0, -2.0, *[0.0] * 10]).double()
    noise = dense_game(12, seed=3, targets=1)
    sparse = lambda s: (s.double() @ weights)[:, None] + 0.02 * noise(s)  # noqa: E731
    result = run(sparse, BernoulliPerturbator(paired=False), LassoAggregator(), n=12, budget=50)
    assert result.attributions[0, :2].tolist() == pytest.approx([3.0, -2.0], abs=0.15)
    best = (result.attributions[0] - weights).square().sum()
    for penalty in (1e-6, 0.5, 1.5):
        other = run(sparse, BernoulliPerturbator(paired=False), LassoAggregator(penalty), n=12, budget=50)
        assert best < (other.attributions[0] - weights).square().sum() + 1e-3
    apart = [run(lambda s, i=i: dense_game(8)(s)[:, i], n=8, budget=60).reaggregate(LassoAggregator()) for i in range(2)]
    together = run(dense_game(8), n=8, budget=60).reaggregate(LassoAggregator())
    torch.testing.assert_close(together.attributions, torch.cat([one.attributions for one in apart]))


def test_odd_games(unchecked):
    flat = run(lambda s: s[:, 0] * 0.0 + 3, BernoulliPerturbator(), LassoAggregator(), n=6, budget=30)
    assert flat.attributions.abs().max() == 0
    one = run(lambda s: 2.0 * s[:, 0], ExactPerturbator(), LassoAggregator(), n=1)
    assert float(one.attributions) == pytest.approx(2.0, rel=2e-3)
    assert coordinate_descent(np.zeros((2, 2)), np.zeros((1, 2)), np.ones(1)).tolist() == [[0.0, 0.0]]
    for wrong in (-0.1, math.inf, "0.1", True):
        with pytest.raises(ValueError, match="penalty must be a number"):
            LassoAggregator(wrong)
    with pytest.raises(ValueError, match="LassoAggregator needs coalitions of which all of one size"):
        run(dense_game(6), OcclusionPerturbator(), LassoAggregator(), n=6)


def test_penalties_are_compared_by_weights_that_are_near_enough():
    result = run(dense_game(20), BernoulliPerturbator(paired=False), n=20, budget=40)
    standard = Standardised.of(result.coalitions.double(), result.values, torch.ones(40).double())
    penalties = tried(standard)[:, ::4]
    near = nearly(standard, penalties)
    for place in range(penalties.shape[1]):
        exact = weights(standard, penalties[:, place])
        torch.testing.assert_close(near[:, place], exact, atol=0.02 * float(exact.abs().max()) + 1e-9, rtol=0)
