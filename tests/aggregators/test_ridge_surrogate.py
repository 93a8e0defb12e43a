"""The ridge, and surrogates of the user's, beside scikit-learn's."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from support.games import dense_game, exact_banzhaf
from support.results import run

from interpreto_mllm.aggregators import BanzhafAggregator, KernelAggregator, LimeAggregator, RidgeAggregator
from interpreto_mllm.perturbators import BernoulliPerturbator, ExactPerturbator, OcclusionPerturbator


def counted(result) -> np.ndarray:
    """How many coalitions each one stands for."""
    weights = np.full(len(result.coalitions), (2**result.n - 2) / (len(result.coalitions) - 2))
    weights[:2] = 1
    return weights


@pytest.mark.parametrize("penalty", [0.01, 1.0])
@pytest.mark.parametrize(("n", "budget"), [(8, 60), (14, 12)])
def test_weights_are_those_of_scikit_learn(penalty, n, budget):
    from sklearn import linear_model, preprocessing

    result = run(dense_game(n), BernoulliPerturbator(), RidgeAggregator(penalty), n=n, budget=budget)
    present, weights = result.coalitions.numpy().astype(float), counted(result)
    scaler = preprocessing.StandardScaler().fit(present, sample_weight=weights)
    for row, column in enumerate(result.values.numpy().T):
        fit = linear_model.Ridge(alpha=penalty * weights.sum()).fit(scaler.transform(present), column, sample_weight=weights)
        np.testing.assert_allclose(result.attributions[row].numpy(), fit.coef_ / scaler.scale_, atol=1e-8)
    assert result.estimand == "surrogate weights"


def test_without_a_penalty_all_coalitions_give_banzhaf_values():
    result = run(dense_game(5), ExactPerturbator(), RidgeAggregator(0.0), n=5)
    torch.testing.assert_close(result.attributions, exact_banzhaf(dense_game(5), 5), atol=1e-9, rtol=1e-9)


def test_the_penalty_is_the_one_that_predicts_best():
    n, noise = 12, torch.randn(2**12, generator=torch.Generator().manual_seed(0)).double()
    slopes = torch.linspace(-1, 1, n).double()
    game = lambda s: s.double() @ slopes + noise[s.long() @ (1 << torch.arange(n))]  # noqa: E731
    truth = run(game, ExactPerturbator(), BanzhafAggregator(), n=n).attributions
    errors = {}
    for penalty in (None, 0.0, 1.0, 1000.0):
        results = [run(game, BernoulliPerturbator(), RidgeAggregator(penalty), n=n, budget=60, seed=seed) for seed in range(6)]
        errors[penalty] = sum(float((result.attributions - truth).square().sum()) for result in results)
    assert errors[None] == min(errors.values())
    line = run(lambda s: s.double() @ slopes, BernoulliPerturbator(), RidgeAggregator(), n=n, budget=40)
    torch.testing.assert_close(line.attributions[0], slopes, atol=1e-4, rtol=0)


def test_lime_takes_surrogates_of_the_user():
    from sklearn import linear_model

    n, own = 6, LimeAggregator(kernel_width=0.5, alpha=0.1)
    result = run(dense_game(n), BernoulliPerturbator(), own, n=n, budget=40)
    share = torch.from_numpy(counted(result)) * own.nearness(result.coalitions)
    share = share / share.sum()
    estimator = linear_model.Ridge(alpha=0.1)
    by_estimator = result.reaggregate(LimeAggregator(0.5, surrogate=estimator))
    torch.testing.assert_close(by_estimator.attributions, result.attributions, atol=1e-8, rtol=1e-8)
    assert not hasattr(estimator, "coef_") and by_estimator.standard_errors is None

    def difference(present, values, weights):
        torch.testing.assert_close(weights, share)
        with_it = (present.T @ (weights * values)) / (present.T @ weights)
        return with_it - ((1 - present).T @ (weights * values)) / ((1 - present).T @ weights)

    means = result.reaggregate(LimeAggregator(0.5, surrogate=difference)).attributions
    present = result.coalitions
    for feature in range(n):
        inside, weights = present[:, feature], share[:, None]
        expected = (result.values * weights)[inside].sum(0) / weights[inside].sum()
        expected -= (result.values * weights)[~inside].sum(0) / weights[~inside].sum()
        torch.testing.assert_close(means[:, feature], expected)


def test_what_cannot_be_fitted_is_said():
    for penalty in (-1, math.inf, math.nan):
        with pytest.raises(ValueError, match="penalty must be a number, at least 0, or None for cross-validation"):
            RidgeAggregator(penalty)
    with pytest.raises(ValueError, match="needs coalitions of which all of one size are drawn alike"):
        run(dense_game(4), OcclusionPerturbator(), RidgeAggregator(), n=4)
    with pytest.raises(TypeError, match="surrogate must be a callable from presences, values and weights"):
        LimeAggregator(surrogate=KernelAggregator)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="gives one number for each of the 4 features"):
        run(dense_game(4), BernoulliPerturbator(), LimeAggregator(surrogate=lambda x, v, w: v), n=4, budget=10)
    constant = run(lambda s: s[:, 0].double() * 0 + 2, BernoulliPerturbator(), RidgeAggregator(), n=5, budget=12)
    assert not constant.attributions.any()
