"""Arrays in which all features and pairs of them are balanced, and what a few coalitions of them tell."""

from __future__ import annotations

from functools import reduce

import pytest
import torch

from interpreto_mllm import Draw
from interpreto_mllm.aggregators import GaussianProcessAggregator, KernelAggregator, LassoAggregator
from interpreto_mllm.explainers.play import play
from interpreto_mllm.perturbators import ActivePerturbator, BalancedPerturbator, BernoulliPerturbator, Perturbator
from interpreto_mllm.perturbators.balanced import orthogonal


def drawn(n: int, budget: int, seed: int = 0, perturbator: Perturbator | None = None) -> Draw:
    draw = next((perturbator or BalancedPerturbator()).draw(n, budget, torch.Generator().manual_seed(seed)))
    assert isinstance(draw, Draw)
    return draw


def paley(prime: int) -> torch.Tensor:
    """Paley's matrix of order p + 1, entry by entry, its first row and column ones."""
    squares = {number * number % prime for number in range(1, prime)}
    matrix = torch.ones(prime + 1, prime + 1, dtype=torch.int64)
    for row in range(1, prime + 1):
        for column in range(1, prime + 1):
            matrix[row, column] = -1 if row == column or (column - row) % prime in squares else 1
    return matrix


@pytest.mark.parametrize(("order", "prime", "doublings"), [(2, None, 1), (8, 7, 0), (24, 23, 0), (16, 7, 1), (48, 11, 2)])
def test_arrays_are_paleys_doubled(order, prime, doublings):
    core = torch.ones(1, 1, dtype=torch.int64) if prime is None else paley(prime)
    expected = reduce(torch.kron, [*[torch.tensor([[1, 1], [1, -1]])] * doublings, core])
    found = orthogonal(order, torch.arange(order), torch.arange(order)).long() * 2 - 1
    assert (found @ found.T).equal(order * torch.eye(order, dtype=torch.int64))
    assert found.equal(expected) or order == 48  # whose own prime is 47


@pytest.mark.parametrize(("n", "order"), [(7, 8), (19, 20), (20, 24), (40, 44), (100, 104)])
def test_each_feature_and_each_pair_is_as_often_there_as_away(n, order):
    signs = drawn(n, order + 2, seed=1).coalitions.long() * 2 - 1
    assert (signs.T @ signs).equal(order * torch.eye(n, dtype=torch.int64)) and len(signs) == order


@pytest.mark.parametrize(("n", "budget"), [(1, 2), (2, 4), (3, 6), (5, 9), (6, 30), (20, 4), (20, 28), (64, 100), (300, 50)])
def test_any_budget_is_met_by_distinct_coalitions(n, budget):
    draw = drawn(n, budget)
    rows = {tuple(row) for row in draw.coalitions.tolist()}
    assert len(rows) == len(draw.coalitions) == min(budget, 2**n) - 2
    assert not rows & {(True,) * n, (False,) * n}
    assert drawn(n, budget).coalitions.equal(draw.coalitions)


def test_every_coalition_is_as_likely_as_any_other():
    n, draws = 6, 300
    codes = torch.cat([drawn(n, 14, seed).coalitions for seed in range(draws)]).long() @ (1 << torch.arange(n))
    counts = torch.bincount(codes, minlength=2**n)[1:-1].double()
    expected = draws * 12 / (2**n - 2)
    assert float(((counts - expected) / expected**0.5).abs().max()) < 4
    draw = drawn(n, 14)
    assert draw.weights is not None and draw.weights.tolist() == pytest.approx([(2**n - 2) / 12] * 12)


def test_little_more_than_n_coalitions_tell_n_effects_apart():
    n = 20
    effects = torch.linspace(-1, 1, n).double()
    effects[7] = 15
    game = lambda s: s.double() @ effects + 0.3 * (s[:, 1] & s[:, 2]) + 0.3 * (s[:, 7] & s[:, 9])  # noqa: E731
    worth, errors = effects.clone(), {}
    worth[[1, 2, 7, 9]] += 0.15
    for perturbator in (BalancedPerturbator(), ActivePerturbator()):
        result = play(game, perturbator, GaussianProcessAggregator(), n_features=n, budget=28, progress=False)
        errors[type(perturbator)] = float((result.attributions[0] - worth).square().sum())
    assert errors[BalancedPerturbator] < 4 < 20 * errors[BalancedPerturbator] < errors[ActivePerturbator]


def test_means_with_and_without_a_feature_are_its_effect_alone():
    n, order = 20, 24
    effects = torch.linspace(-1, 5, n).double()
    for perturbator, exact in ((BalancedPerturbator(), True), (BernoulliPerturbator(paired=False), False)):
        present = drawn(n, order + 2, 1, perturbator).coalitions.double()
        values = present @ effects
        means = present.T @ values / present.sum(0) - (1 - present).T @ values / (1 - present).sum(0)
        assert bool((means - effects).abs().max() < 1e-12) == exact


@pytest.mark.parametrize("aggregator", [KernelAggregator(), LassoAggregator(0.0), GaussianProcessAggregator()])
def test_whatever_reads_coin_flips_reads_them(aggregator):
    effects = torch.linspace(-1, 2, 12).double()
    result = play(lambda s: s.double() @ effects, BalancedPerturbator(), aggregator, n_features=12, budget=26, progress=False)
    torch.testing.assert_close(result.attributions[0], effects, atol=0.01, rtol=0)
