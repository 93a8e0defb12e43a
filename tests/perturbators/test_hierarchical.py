"""Owen values against the mean over all orders that keep groups together, written out."""

from __future__ import annotations

from itertools import permutations, product

import pytest
import torch

from interpreto_mllm.aggregators import OwenAggregator
from interpreto_mllm.core.evaluations import Evaluations
from interpreto_mllm.evaluation.budget import resolve_budget
from interpreto_mllm.evaluation.session import SamplingSession
from interpreto_mllm.perturbators import ExactPerturbator, HierarchicalPerturbator, PermutationPerturbator, Perturbator

GROUPS = {
    "flat": [0, 1, 2, 3, 4],
    "single group": [[0, 1, 2, 3]],
    "groups of one": [[0], [1], [2]],
    "two levels": [[0, 4], [1, 2], [3]],
    "three levels": [[0, 1, 2], [[3, 4], [5]]],
    "binary": [[[0, 1], [2, 3]], [4, 5]],
    "one feature": [0],
    "two features": [[1], [0]],
}


def size_of(groups) -> int:
    return sum(map(size_of, groups)) if isinstance(groups, list) else 1


def game_of(n: int, seed: int = 0):
    """A random table: every coalition has a value of its own, for two targets."""
    table = torch.randn(2**n, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return lambda coalitions: table[(coalitions.long() * 2 ** torch.arange(n)).sum(1)]


def smooth_game_of(n: int, seed: int = 0):
    """Additive parts of very different size and pairs, for two targets."""
    generator = torch.Generator().manual_seed(seed)
    single = torch.randn(n, 2, generator=generator, dtype=torch.float64).exp()
    double = torch.randn(n, n, generator=generator, dtype=torch.float64) / n
    return lambda s: s.double() @ single + ((s.double() @ double) * s.double()).sum(1, keepdim=True)


def orders(groups) -> list[tuple[int, ...]]:
    """Every order of the features in which the members of each group stand together."""
    if not isinstance(groups, list):
        return [(groups,)]
    return [
        sum(parts, ()) for arrangement in permutations(groups) for parts in product(*(orders(group) for group in arrangement))
    ]


def owen(game, groups) -> torch.Tensor:
    n = size_of(groups)
    phi, all_orders = torch.zeros(2, n, dtype=torch.float64), orders(groups)
    for order in all_orders:
        chain = torch.zeros(n + 1, n, dtype=torch.bool)
        for place, feature in enumerate(order):
            chain[place + 1 :, feature] = True
        gains = game(chain).diff(dim=0)
        for feature, gain in zip(order, gains, strict=True):
            phi[:, feature] += gain / len(all_orders)
    return phi


def deal(game, perturbator: Perturbator, n: int, budget: int, seed: int = 0) -> Evaluations:
    hand = SamplingSession(perturbator, n, budget, seed)
    while (coalitions := hand.missing()) is not None:
        assert hand.evaluated + len(coalitions) <= budget
        hand.record(coalitions, game(coalitions))
    return hand.evaluations()


@pytest.mark.parametrize("groups", GROUPS.values(), ids=GROUPS.keys())
def test_exact_where_the_budget_covers_all_consistent_coalitions(groups):
    n = size_of(groups)
    truth = owen(game_of(n), groups)
    for perturbator in (HierarchicalPerturbator(groups), ExactPerturbator()):
        estimate = OwenAggregator(groups).aggregate(deal(game_of(n), perturbator, n, 2**n))
        torch.testing.assert_close(estimate.attributions, truth)
        assert estimate.standard_errors is not None
        assert not estimate.standard_errors.any()


def test_exact_with_fewer_than_all_coalitions():
    groups = GROUPS["two levels"]
    evaluations = deal(game_of(5), HierarchicalPerturbator(groups), 5, 31)
    assert len(evaluations.coalitions) == len({row for order in orders(groups) for row in map(frozenset, prefixes(order))}) < 31
    torch.testing.assert_close(OwenAggregator(groups).aggregate(evaluations).attributions, owen(game_of(5), groups))


def prefixes(order):
    return [order[:length] for length in range(len(order) + 1)]


@pytest.mark.parametrize("groups", GROUPS.values(), ids=GROUPS.keys())
def test_sums_to_the_whole_within_any_budget(groups):
    n = size_of(groups)
    game, perturbator = game_of(n), HierarchicalPerturbator(groups)
    for budget in range(perturbator.minimum_budget(n), 2**n + 1):
        evaluations = deal(game, perturbator, n, budget, seed=budget)
        found = OwenAggregator(groups).aggregate(evaluations).attributions
        torch.testing.assert_close(found.sum(1), evaluations.full - evaluations.empty)


@pytest.mark.parametrize(
    ("name", "budget"), [("three levels", 16), ("three levels", 24), ("binary", 20), ("flat", 12), ("flat", 24)]
)
def test_unbiased(name, budget):
    groups = GROUPS[name]
    n = size_of(groups)
    game = game_of(n, seed=7)
    truth = owen(game, groups)
    found = torch.stack(
        [
            OwenAggregator(groups).aggregate(deal(game, HierarchicalPerturbator(groups), n, budget, seed)).attributions
            for seed in range(100)
        ]
    )
    error = found.std(0) / len(found) ** 0.5
    assert ((found.mean(0) - truth).abs() < 4.5 * error + 1e-9).all()


def test_converges():
    groups = [[[0, 1, 2, 3], [4, 5, 6]], [[7, 8], [9, 10, 11]], [12, 13, 14, 15], [[16, 17, 18], [19]]]
    smooth = smooth_game_of(20)

    def game(coalitions):
        return (smooth(coalitions) / 8).sin() * 8

    truth = OwenAggregator(groups).aggregate(deal(game, HierarchicalPerturbator(groups), 20, 100_000))
    assert truth.standard_errors is not None
    errors = []
    for budget in (60, 200, 600):
        runs = [
            OwenAggregator(groups).aggregate(deal(game, HierarchicalPerturbator(groups), 20, budget, seed)).attributions
            for seed in range(4)
        ]
        errors.append(float((torch.stack(runs) - truth.attributions).square().mean()))
    assert errors[0] > 1.5 * errors[1] > 2 * errors[2]


def test_spends_where_the_mass_is():
    heavy, light = list(range(8)), list(range(8, 16))
    strength = torch.tensor([5.0] * 8 + [0.01] * 8, dtype=torch.float64)
    evaluations = deal(lambda s: (s.double() @ strength[:, None]).square(), HierarchicalPerturbator([heavy, light]), 16, 24)
    inside = [int(((evaluations.coalitions[:, group].sum(1) % 8) > 0).sum()) for group in (heavy, light)]
    assert inside[0] >= 14
    assert inside[1] <= 7
    rich = deal(lambda s: (s.double() @ strength[:, None]).square(), HierarchicalPerturbator([heavy, light]), 16, 200)
    inside = [int(((rich.coalitions[:, group].sum(1) % 8) > 0).sum()) for group in (heavy, light)]
    assert inside[0] > 2 * inside[1] > 0


def test_groups_never_opened_share_equally():
    evaluations = deal(game_of(6), HierarchicalPerturbator([[0, 1, 2], [3, 4, 5]]), 6, 4)
    found = OwenAggregator([[0, 1, 2], [3, 4, 5]]).aggregate(evaluations).attributions
    torch.testing.assert_close(found[:, 0], found[:, 2])
    torch.testing.assert_close(found[:, 3], found[:, 5])
    torch.testing.assert_close(found.sum(1), evaluations.full - evaluations.empty)


@pytest.mark.parametrize(
    "groups", [list(range(400)), [list(range(i, i + 20)) for i in range(0, 400, 20)]], ids=["flat", "groups"]
)
def test_hundreds_of_features(groups):
    game = smooth_game_of(400)
    evaluations = deal(game, HierarchicalPerturbator(groups), 400, 800)
    assert len(evaluations.coalitions) > 780
    found = OwenAggregator(groups).aggregate(evaluations).attributions
    torch.testing.assert_close(found.sum(1), evaluations.full - evaluations.empty)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([[0, 1], [1, 2]], "several places: \\[1\\]"),
        ([[0, 1], []], "empty group"),
        ([], "empty group"),
        ([[0, "a"]], "'a'"),
        ([0, -1], "-1"),
        ([0, True], "True"),
        ("01", "nested lists"),
    ],
)
def test_malformed_groups(groups, message):
    for part in (HierarchicalPerturbator, OwenAggregator):
        with pytest.raises(ValueError, match=message):
            part(groups)


def test_groups_of_another_game():
    with pytest.raises(ValueError, match=r"missing: \[2\], not in the game: \[3\]"):
        resolve_budget(HierarchicalPerturbator([[0, 1], [3]]), 3, 8)
    with pytest.raises(ValueError, match="missing"):
        OwenAggregator([0, 1]).aggregate(deal(game_of(3), ExactPerturbator(), 3, 8))
    with pytest.raises(ValueError, match="at least 5"):
        resolve_budget(HierarchicalPerturbator([0, 1, 2, 3]), 4, 4)


def test_evaluations_that_do_not_follow_the_groups():
    groups = [[0, 1, 2, 3], [4, 5, 6, 7]]
    with pytest.raises(ValueError, match="break up the groups"):
        OwenAggregator(groups).aggregate(deal(game_of(8), PermutationPerturbator(), 8, 40))
    alone = torch.tensor([[0, 0, 0], [1, 1, 1], [0, 1, 0]]).bool()
    evaluations = Evaluations(alone, torch.zeros(3, 1).double(), torch.tensor([2]), torch.ones(1).double(), torch.tensor([-1]))
    with pytest.raises(ValueError, match="HierarchicalPerturbator"):
        OwenAggregator([[0, 1], [2]]).aggregate(evaluations)
