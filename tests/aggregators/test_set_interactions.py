"""Interactions of pairs and triples against their definitions, however many of them are asked for."""

from __future__ import annotations

from itertools import combinations
from math import factorial

import pytest
import torch
from support.games import dense_game, value

from interpreto_mllm.aggregators import KernelAggregator
from interpreto_mllm.aggregators.set_estimate import SetEstimate, strongest_sets
from interpreto_mllm.aggregators.set_interactions import set_interactions
from interpreto_mllm.aggregators.set_process import SetProcess
from interpreto_mllm.core.evaluations import Evaluations
from interpreto_mllm.core.indices import INDICES
from interpreto_mllm.explainers.play import play
from interpreto_mllm.perturbators import ActivePerturbator, BernoulliPerturbator, ExactPerturbator, KernelPerturbator


def beta(a: int, b: int) -> float:
    return factorial(a - 1) * factorial(b - 1) / factorial(a + b - 1)


def weight(index: str, n: int, order: int, size: int) -> float:
    """The weight of one coalition of so many other features, as the papers write it."""
    left = n - order - size
    return {
        "SII": beta(size + 1, left + 1),
        "k-SII": beta(size + 1, left + 1),
        "FSII": beta(size + order, left + order) / beta(order, order),
        "STII": order * beta(size + 1, left + order),
        "BII": 0.5 ** (n - order),
        "FBII": 0.5 ** (n - order),
        "Möbius": float(size == 0),
    }[index]


def by_definition(game, n: int, order: int, index: str) -> torch.Tensor:
    """Σ_S weight(|S|) Σ_{L⊆T} (−1)^(order−|L|) v(S ∪ L), one coalition at a time."""
    columns = []
    for members in combinations(range(n), order):
        others, total = [i for i in range(n) if i not in members], 0.0
        for size in range(n - order + 1):
            for outside in combinations(others, size):
                for count in range(order + 1):
                    for held in combinations(members, count):
                        sign = (-1) ** (order - count)
                        total = total + sign * weight(index, n, order, size) * value(game, n, (*outside, *held))
        columns.append(total)
    return torch.stack(columns, 1)


def sampled(game, n: int, perturbator, budget: int | None = None, seed: int = 0) -> Evaluations:
    played = play(game, perturbator, KernelAggregator(), n_features=n, budget=budget, seed=seed, progress=False)
    return played.evaluations


def threes(n: int):
    """Three features that need one another, two that do, and a sum that saturates."""
    return lambda s: (
        2.0 * (s[:, 1] & s[:, 3] & s[:, 4]).double() - (s[:, 0] & s[:, 2]).double() + torch.tanh(0.3 * s.sum(1).double())
    )[:, None]


@pytest.mark.parametrize("index", INDICES)
@pytest.mark.parametrize(("n", "order"), [(4, 2), (3, 3), (5, 3)])
def test_all_coalitions_give_the_definition(n, order, index):
    game = dense_game(n)
    found = set_interactions(sampled(game, n, ExactPerturbator()), order, index)
    torch.testing.assert_close(found.values, by_definition(game, n, order, index), atol=1e-9, rtol=1e-9)
    assert found.sets.tolist() == [list(members) for members in combinations(range(n), order)]
    assert found.standard_errors is not None and not found.standard_errors.any()


@pytest.mark.parametrize("index", ["SII", "STII", "Möbius"])
@pytest.mark.parametrize("order", [2, 3])
@pytest.mark.parametrize("perturbator", [ActivePerturbator(), BernoulliPerturbator(paired=False)])
def test_means_of_all_sets_are_those_read_one_by_one(order, index, perturbator):
    n = 7
    process = SetProcess(sampled(dense_game(n), n, perturbator, 50), order, index)
    every = torch.cat(list(process.posterior.means(torch.arange(n))), 1) * process.scales[:, None]
    torch.testing.assert_close(every, process.read().values, atol=1e-9, rtol=1e-9)
    among = torch.tensor([0, 2, 3, 6])
    some = torch.cat(list(process.posterior.means(among)), 1) * process.scales[:, None]
    sets = torch.tensor([[int(among[i]) for i in members] for members in combinations(range(4), order)])
    torch.testing.assert_close(some, process.read(sets).values, atol=1e-9, rtol=1e-9)


def test_the_strongest_are_those_of_all():
    generator = torch.Generator().manual_seed(0)
    n, order, k = 7, 3, 4
    values = torch.randn(3, 35, generator=generator)
    sets = torch.tensor(list(combinations(range(n), order)))
    slices = [values[:, sets[:, 0] == first] for first in range(n - order + 1)]
    expected = SetEstimate(sets, values, None).strongest(k).sets
    assert strongest_sets(slices, n, order, k).tolist() == expected.tolist()


@pytest.mark.parametrize("order", [2, 3])
def test_the_strongest_are_found_without_all(order):
    n, k = 9, 3
    evaluations = sampled(threes(n), n, KernelPerturbator(), 120)
    every, some = set_interactions(evaluations, order), set_interactions(evaluations, order, top=k)
    best = every.values[0].abs().topk(k).indices
    assert sorted(some.sets.tolist()) == sorted(every.sets[best].tolist())
    assert some.values[0].abs().max() == pytest.approx(float(every.values[0].abs().max()))
    assert every.standard_errors is not None and some.standard_errors is not None
    ratio = some.standard_errors[0].mean() / every.of(best).standard_errors[0].mean()
    assert 0.6 < ratio < 1.6  # how uncertain sets are on average is told by some of them


def test_of_many_features_triples_are_sought_among_those_of_the_strongest_pairs(monkeypatch):
    n = 12
    monkeypatch.setattr("interpreto_mllm.aggregators.set_process.MOST_SEARCHED", 6)
    process = SetProcess(sampled(threes(n), n, KernelPerturbator(), 200), 3, "SII")
    assert process.strongest(1).tolist() == [[1, 3, 4]]
    assert len(process._promising()) == 6 and {1, 3, 4} <= set(process._promising().tolist())


@pytest.mark.parametrize("perturbator", [ActivePerturbator(), KernelPerturbator(), BernoulliPerturbator(paired=False)])
@pytest.mark.parametrize("index", ["SII", "STII"])
def test_triples_of_a_sample_are_near_and_know_how_near(perturbator, index):
    n = 8
    game = threes(n)
    truth = set_interactions(sampled(game, n, ExactPerturbator()), 3, index).values
    found = set_interactions(sampled(game, n, perturbator, 110), 3, index)
    assert (found.values - truth).square().sum() < 0.25 * truth.square().sum()
    assert found.standard_errors is not None
    assert ((found.values - truth).abs() <= 1.96 * found.standard_errors).double().mean() > 0.85
    assert found.sets[found.values[0].abs().argmax()].tolist() == [1, 3, 4]


@pytest.mark.parametrize("order", [2, 3])
def test_dividends_are_exact_where_all_subsets_were_evaluated(order):
    n = 6
    game = dense_game(n)
    evaluations = sampled(game, n, KernelPerturbator(), 56)
    truth, found = by_definition(game, n, order, "Möbius"), set_interactions(evaluations, order, "Möbius")
    rows = {tuple(row.nonzero()[:, 0].tolist()) for row in evaluations.coalitions}
    subsets = [
        all(held in rows for count in range(order + 1) for held in combinations(members, count))
        for members in found.sets.tolist()
    ]
    known = torch.tensor(subsets)
    assert known.any()
    torch.testing.assert_close(found.values[:, known], truth[:, known], atol=1e-9, rtol=1e-9)
    assert found.standard_errors is not None
    assert not found.standard_errors[:, known].any() and bool((found.standard_errors[:, ~known] > 0).all())
