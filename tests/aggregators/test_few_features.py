"""Every method on games of one, two and three features, against the definitions."""

from __future__ import annotations

from itertools import permutations
from math import exp

import pytest
import torch
from support.games import dense_game, everything, exact_banzhaf, exact_shapley

from interpreto_mllm import Sign, Tolerance, TopK
from interpreto_mllm.aggregators import (
    BanzhafAggregator,
    ComplementaryAggregator,
    GaussianProcessAggregator,
    KernelAggregator,
    LeaveOneOutAggregator,
    LimeAggregator,
    MarginalAggregator,
    OwenAggregator,
    ShapleyAggregator,
    SobolAggregator,
)
from interpreto_mllm.evaluation.budget import resolve_budget
from interpreto_mllm.explainers.play import play
from interpreto_mllm.perturbators import (
    ActivePerturbator,
    BernoulliPerturbator,
    ComplementaryPerturbator,
    ExactPerturbator,
    HierarchicalPerturbator,
    KernelPerturbator,
    MonteCarloPerturbator,
    NeymanPerturbator,
    OcclusionPerturbator,
    PermutationPerturbator,
    SobolPerturbator,
)

SHAPLEY = [
    (ExactPerturbator(), ShapleyAggregator()),
    (MonteCarloPerturbator(), ShapleyAggregator()),
    (KernelPerturbator(), KernelAggregator()),
    (PermutationPerturbator(), MarginalAggregator()),
    (ComplementaryPerturbator(), ComplementaryAggregator()),
    (NeymanPerturbator(), ComplementaryAggregator()),
    (ActivePerturbator(), GaussianProcessAggregator()),
]


def kind(part: object) -> str:
    return type(part).__name__


def run(game, perturbator, aggregator, n, **options):
    return play(game, perturbator, aggregator, n_features=n, progress=False, **options)


def exactly(result, expected):
    torch.testing.assert_close(result.attributions, expected)
    assert result.exact and "exact" in repr(result) and "±" not in repr(result)


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("perturbator, aggregator", SHAPLEY, ids=kind)
def test_shapley_values(perturbator, aggregator, n):
    game = dense_game(n)
    exactly(run(game, perturbator, aggregator, n), exact_shapley(game, n))


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("groups", ["flat", "joined"])
def test_owen_values(groups, n):
    game = dense_game(n)
    given = [[i] for i in range(n)] if groups == "flat" else [[0, 1], [2]][: max(n - 1, 1)]
    given = given if n > 1 else [[0]]
    orders = [one for one in permutations(range(n)) if groups == "flat" or n < 3 or one.index(2) != 1]
    expected = torch.zeros(2, n, dtype=torch.float64)
    for order in orders:
        grown = torch.tensor([[i in order[:size] for i in range(n)] for size in range(n + 1)])
        expected[:, list(order)] += game(grown).diff(dim=0).T / len(orders)
    exactly(run(game, HierarchicalPerturbator(given), OwenAggregator(given), n), expected)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_banzhaf_values_and_leave_one_out(n):
    game = dense_game(n)
    exactly(run(game, BernoulliPerturbator(), BanzhafAggregator(), n), exact_banzhaf(game, n))
    others = ~torch.eye(n, dtype=torch.bool)
    whole = game(torch.ones(1, n, dtype=torch.bool))
    exactly(run(game, OcclusionPerturbator(), LeaveOneOutAggregator(), n), (whole - game(others)).T)


@pytest.mark.parametrize("n", [2, 3])
@pytest.mark.parametrize("alpha", [0.0, 0.001, 0.1])
def test_lime_is_the_weighted_ridge(alpha, n):
    game, coalitions = dense_game(n), everything(n)
    weights = torch.tensor([exp(-((1 - (sum(row) / n) ** 0.5) ** 2) / 0.25**2) for row in coalitions.tolist()]).double()
    weights /= weights.sum()
    design = torch.cat([torch.ones(len(coalitions), 1).double(), coalitions.double()], 1)
    penalty = alpha * torch.eye(n + 1).double()
    penalty[0, 0] = 0
    weighted = design.T * weights
    expected = torch.linalg.solve(weighted @ design + penalty, weighted @ game(coalitions))[1:].T
    exactly(run(game, BernoulliPerturbator(), LimeAggregator(alpha=alpha), n), expected)


@pytest.mark.parametrize("alpha", [0.0, 0.001, 0.5])
def test_the_surrogate_of_one_feature_is_the_line_through_both_ends(alpha):
    """A ridge of 0.001 used to make 0.001 of 10."""
    exactly(
        run(lambda s: 10.0 * s[:, 0].double(), BernoulliPerturbator(), LimeAggregator(alpha=alpha), 1),
        torch.tensor([[10.0]], dtype=torch.float64),
    )


def test_a_kernel_so_narrow_that_only_the_ridge_is_left_is_refused():
    with pytest.raises(ValueError, match=r"kernel_width=0.05.*ridge of 0.001 outweighs.*larger kernel_width"):
        run(dense_game(3), BernoulliPerturbator(), LimeAggregator(kernel_width=0.05), 3)


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("order", ["first", "total"])
def test_sobol_indices(order, n):
    game = dense_game(n, targets=1)
    coalitions = torch.cartesian_prod(*[torch.tensor([0, 1])] * n).reshape(-1, n)
    values = game(coalitions.bool())[:, 0].reshape([2] * n)
    expected = []
    for i in range(n):
        rest = [axis for axis in range(n) if axis != i]
        first = values.mean(rest).var(correction=0) if rest else values.var(correction=0)
        expected.append(first if order == "first" else values.var(i, correction=0).mean())
    expected = torch.stack(expected)[None] / values.var(correction=0)
    exactly(run(game, SobolPerturbator(), SobolAggregator(order), n), expected)


@pytest.mark.parametrize("rule", [Tolerance(0.05), TopK(1), Sign(0)])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_rules_on_few_features_spend_no_more_than_there_is(rule, n):
    game = dense_game(n)
    result = run(game, KernelPerturbator(), KernelAggregator(), n, until=rule)
    assert result.counts.evaluations <= 2**n and len(result.notes) == 1
    torch.testing.assert_close(result.attributions, exact_shapley(game, n))


@pytest.mark.parametrize("perturbator, aggregator", SHAPLEY[1:], ids=kind)
def test_a_single_draw_gives_no_errors(perturbator, aggregator):
    budget = {PermutationPerturbator: 5}.get(type(perturbator), 4)
    assert run(dense_game(4), perturbator, aggregator, 4, budget=budget).standard_errors is None or isinstance(
        aggregator, GaussianProcessAggregator
    )


@pytest.mark.parametrize("n, count", [(40, "1,099,511,627,776"), (26, "67,108,864"), (2000, r"about 10\^602")])
def test_a_fraction_that_no_one_can_pay_is_refused_with_what_it_means(n, count):
    says = rf"budget=1.0 is a fraction of the 2\^{n} .* means {count} evaluations.*such as {64 + 16 * n},"
    with pytest.raises(ValueError, match=says):
        resolve_budget(KernelPerturbator(), n, 1.0)


def test_fractions_that_can_be_paid_are_exact_numbers():
    assert resolve_budget(KernelPerturbator(), 40, 2.0**-30) == 1024
    assert resolve_budget(KernelPerturbator(), 1060, 2.0**-1050) == 1024
    assert resolve_budget(KernelPerturbator(), 10, 0.3) == 307
