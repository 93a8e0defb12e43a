"""Complementary contributions, uniform and Neyman, against sums written out term by term."""

from __future__ import annotations

import time
from itertools import combinations
from math import comb

import pytest
import torch

from interpreto_mllm.aggregators import ComplementaryAggregator
from interpreto_mllm.core.evaluations import Evaluations
from interpreto_mllm.evaluation.session import SamplingSession
from interpreto_mllm.perturbators import ComplementaryPerturbator, NeymanPerturbator, Perturbator

PERTURBATORS = [
    ComplementaryPerturbator(),
    ComplementaryPerturbator(cover_minimal=False),
    NeymanPerturbator(),
    NeymanPerturbator(cover_minimal=False),
]


class Game:
    """Two targets: additive parts, pairs, triples, and a threshold."""

    def __init__(self, n: int, seed: int = 0):
        generator = torch.Generator().manual_seed(seed)
        self.single = torch.randn(n, 2, generator=generator, dtype=torch.float64)
        self.double = torch.randn(n, n, generator=generator, dtype=torch.float64) / n
        self.triple = torch.randn(n, 3, generator=generator, dtype=torch.float64)

    def __call__(self, coalitions: torch.Tensor) -> torch.Tensor:
        present, n_squared = coalitions.double(), coalitions.shape[1] ** 2
        pairs = ((present @ self.double) * present).sum(1, keepdim=True)
        triples = (present @ self.triple).prod(1, keepdim=True) / n_squared
        return present @ self.single + pairs + triples + torch.sigmoid(present.sum(1, keepdim=True) - present.shape[1] / 2) + 3


def deal(game, perturbator: Perturbator, n: int, budget: int, seed: int = 0) -> Evaluations:
    hand = SamplingSession(perturbator, n, budget, seed)
    while (coalitions := hand.missing()) is not None:
        assert hand.evaluated + len(coalitions) <= budget
        hand.record(coalitions, game(coalitions))
    return hand.evaluations()


def shapley(game, n: int) -> torch.Tensor:
    """Shapley values as the textbook has them."""
    phi = torch.zeros(2, n, dtype=torch.float64)
    for feature in range(n):
        for size in range(n):
            for others in combinations([other for other in range(n) if other != feature], size):
                both = torch.zeros(2, n, dtype=torch.bool)
                both[:, list(others)] = True
                both[1, feature] = True
                without, having = game(both)
                phi[:, feature] += (having - without) / (n * comb(n - 1, size))
    return phi


def stratified_mean(evaluations: Evaluations) -> torch.Tensor:
    """Mean over strata of the mean contribution, strata being lists, above the additive game that the pairs ({i}, N∖{i}) show.

    Every stratum must have been seen, and all of those pairs.
    """
    n = evaluations.n
    value = {tuple(row.tolist()): v for row, v in zip(evaluations.coalitions, evaluations.values, strict=True)}
    alone = [tuple(other == feature for other in range(n)) for feature in range(n)]
    ahead = torch.stack([value[row] - value[tuple(not present for present in row)] for row in alone])
    phi = ((evaluations.full - evaluations.empty) / n + (ahead - ahead.mean(0)) / 2).T
    value = {row: v - phi[:, torch.tensor(row)].sum(1) for row, v in value.items()}
    phi = phi.clone()
    for feature in range(n):
        for size in range(1, n + 1):
            gains = [
                v - value[tuple(not present for present in row)]
                for row, v in value.items()
                if sum(row) == size and row[feature] and tuple(not present for present in row) in value
            ]
            phi[:, feature] += torch.stack(gains).mean(0) / n
    return phi


@pytest.mark.parametrize("perturbator", PERTURBATORS)
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 6, 7])
def test_exact_when_all_coalitions_are_drawn(perturbator, n):
    game = Game(n)
    evaluations = deal(game, perturbator, n, 2**n)
    assert evaluations.complete
    estimate = ComplementaryAggregator().aggregate(evaluations)
    torch.testing.assert_close(estimate.attributions, shapley(game, n))
    assert estimate.standard_errors is not None
    assert estimate.standard_errors.abs().max() < 1e-6


@pytest.mark.parametrize("perturbator", PERTURBATORS)
def test_equals_the_strata_means_written_out(perturbator):
    evaluations = deal(Game(7), perturbator, 7, 90)
    torch.testing.assert_close(ComplementaryAggregator().aggregate(evaluations).attributions, stratified_mean(evaluations))


@pytest.mark.parametrize("perturbator", PERTURBATORS)
@pytest.mark.parametrize("n", [2, 3, 5, 8, 9, 40])
def test_budget_is_spent_to_the_last_pair_without_repeats(perturbator, n):
    for budget in [4, 5, 6, 9, 10, 17, 31, 64, 101, 511, 512]:
        budget = min(budget, 2**n)
        evaluations = deal(Game(n), perturbator, n, budget)
        assert len(evaluations.coalitions) == budget - budget % 2
        assert len(evaluations.draws) == len(evaluations.draws.unique()) == len(evaluations.coalitions) - 2
        first, second = evaluations.coalitions[evaluations.draws[0::2]], evaluations.coalitions[evaluations.draws[1::2]]
        assert torch.equal(first, ~second)
        assert torch.equal(evaluations.chains[0::2], evaluations.chains[1::2])
        assert ComplementaryAggregator().aggregate(evaluations).attributions.isfinite().all()


def test_minimal_strata_are_covered_first():
    for perturbator in (ComplementaryPerturbator(), NeymanPerturbator()):
        evaluations = deal(Game(12), perturbator, 12, 2 + 24 + 10)
        assert (evaluations.sizes == 1).sum() == (evaluations.sizes == 11).sum() == 12
    standard = deal(Game(12), ComplementaryPerturbator(cover_minimal=False), 12, 2 + 2 * 44)
    assert torch.bincount(standard.sizes)[1:6].tolist() == [8] * 5


def test_weights_count_the_coalitions_of_each_size():
    evaluations = deal(Game(9), ComplementaryPerturbator(), 9, 120)
    for size in range(1, 9):
        total = evaluations.weights[evaluations.sizes[evaluations.draws] == size].sum()
        assert float(total) == pytest.approx(comb(9, size))


@pytest.mark.parametrize("perturbator", PERTURBATORS)
def test_unbiased_and_honest_about_its_error(perturbator):
    n, game = 7, Game(7, seed=3)
    truth, runs = shapley(game, n), []
    for seed in range(100):
        runs.append(ComplementaryAggregator().aggregate(deal(game, perturbator, n, 72, seed)))
    found = torch.stack([run.attributions for run in runs])
    spread = found.std(0)
    assert ((found.mean(0) - truth).abs() < 4.5 * spread / len(runs) ** 0.5 + 1e-12).all()
    claimed = torch.stack([run.standard_errors for run in runs]).square().mean(0).sqrt()
    assert 0.7 < float(claimed.square().mean().sqrt() / spread.square().mean().sqrt()) < 1.6


@pytest.mark.parametrize("perturbator", PERTURBATORS)
def test_error_falls_with_the_budget(perturbator):
    n, game = 9, Game(9, seed=1)
    truth = shapley(game, n)
    errors = []
    for budget in (40, 120, 400):
        runs = [ComplementaryAggregator().aggregate(deal(game, perturbator, n, budget, seed)).attributions for seed in range(8)]
        errors.append(float((torch.stack(runs) - truth).square().mean()))
    assert errors[0] > 1.5 * errors[1] > 2 * errors[2]


def test_neyman_spends_where_contributions_vary():
    n = 14

    def game(coalitions):
        """Noise, fixed per coalition, among those of 7 features only."""
        code = (coalitions.double() * torch.arange(1, n + 1) ** 2).sum(1)
        return torch.where(coalitions.sum(1) == 7, torch.sin(code * 37.1) * 10, 0.0)[:, None]

    evaluations = deal(game, NeymanPerturbator(), n, 1000)
    sizes = torch.bincount(evaluations.sizes)
    uniform = torch.bincount(deal(game, ComplementaryPerturbator(), n, 1000).sizes)
    assert sizes[7] > 2 * uniform[7]


def test_neyman_follows_the_published_allocation():
    n, budget, game = 12, 600, Game(12, seed=5)
    drawing = NeymanPerturbator(cover_minimal=False).draw(n, budget, torch.Generator().manual_seed(0))
    first = next(drawing).coalitions
    second = drawing.send(game(first)).coalitions
    sides, gains = first[0::2], game(first)[0::2] - game(first)[1::2]
    both_sides, both_gains = torch.cat([sides, ~sides]), torch.cat([gains, -gains])
    open_sizes, shares = range(6, 11), []
    for size in open_sizes:
        total = 0.0
        for part in (size, n - size):
            seen = [both_gains[(both_sides.sum(1) == part) & both_sides[:, feature]] for feature in range(n)]
            total += float(torch.stack([g.var(0).sum() for g in seen if len(g) > 1]).mean()) * n / part
        shares.append(total**0.5)
    counts = torch.bincount(second[0::2].sum(1), minlength=n)
    drawn = counts + torch.bincount(sides.sum(1), minlength=n)
    assert all(drawn[size] < comb(n, size) // (1 + (size == 6)) for size in open_sizes)
    assert drawn[11] == 12
    expected = torch.tensor(shares) / sum(shares) * int(counts[6:11].sum())
    assert ((counts[6:11] - expected).abs() <= 2).all()
    assert len(first) + len(second) == budget - 2


def test_additive_games_survive_strata_that_were_never_seen():
    weights = torch.linspace(-1, 2, 60, dtype=torch.float64)
    for perturbator in PERTURBATORS:
        evaluations = deal(lambda s: s.double() @ weights[:, None], perturbator, 60, 300)
        found = ComplementaryAggregator().aggregate(evaluations).attributions[0]
        assert float((found - weights).square().sum() / weights.square().sum()) < 4
        assert found.abs().max() < 10
        if perturbator.cover_minimal:
            torch.testing.assert_close(found, weights)


def test_no_complements_is_an_error_that_names_what_fits():
    coalitions = torch.tensor([[0, 0, 0], [1, 1, 1], [1, 0, 0]]).bool()
    nothing = torch.zeros(0)
    with pytest.raises(ValueError, match="ComplementaryPerturbator"):
        ComplementaryAggregator().aggregate(
            Evaluations(coalitions, torch.zeros(3, 1), nothing.long(), nothing.double(), nothing.long())
        )
    with pytest.raises(ValueError, match="initial=2"):
        NeymanPerturbator(initial=1)


@pytest.mark.parametrize("perturbator", [ComplementaryPerturbator(), NeymanPerturbator()])
def test_hundreds_of_features(perturbator):
    n, game = 300, Game(300)
    evaluations = deal(game, perturbator, n, 10_000)
    started = time.process_time()
    estimate = ComplementaryAggregator().aggregate(evaluations)
    assert time.process_time() - started < 5
    assert estimate.attributions.isfinite().all()
    assert torch.as_tensor(estimate.standard_errors).isfinite().all()
    small = deal(Game(1100), perturbator, 1100, 40)
    assert ComplementaryAggregator().aggregate(small).attributions.isfinite().all()
