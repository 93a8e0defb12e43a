"""Every estimator against its estimand, computed from the definition."""

from __future__ import annotations

import time
from math import exp

import pytest
import torch
from support.games import counted, dense_game, everything, exact_banzhaf, exact_shapley, value

from interpreto_mllm.aggregators import (
    BanzhafAggregator,
    KernelAggregator,
    LeaveOneOutAggregator,
    LimeAggregator,
    MarginalAggregator,
    ShapleyAggregator,
    SobolAggregator,
)
from interpreto_mllm.core.design import Design
from interpreto_mllm.core.evaluations import Draw, Evaluations
from interpreto_mllm.explainers.play import play
from interpreto_mllm.perturbators import (
    BernoulliPerturbator,
    ExactPerturbator,
    KernelPerturbator,
    MonteCarloPerturbator,
    OcclusionPerturbator,
    PermutationPerturbator,
    Perturbator,
    SobolPerturbator,
)

SHAPLEY = [
    (ExactPerturbator(), ShapleyAggregator()),
    (MonteCarloPerturbator(), ShapleyAggregator()),
    (PermutationPerturbator(), MarginalAggregator()),
    (PermutationPerturbator(antithetic=False), MarginalAggregator()),
    (KernelPerturbator(), KernelAggregator()),
    (KernelPerturbator(), KernelAggregator(size_effects=False)),
    (MonteCarloPerturbator(), KernelAggregator()),
    (KernelPerturbator(), ShapleyAggregator()),
    (PermutationPerturbator(), KernelAggregator()),
    (PermutationPerturbator(), ShapleyAggregator()),
    (BernoulliPerturbator(), KernelAggregator()),
]
OTHERS = [
    (BernoulliPerturbator(), BanzhafAggregator()),
    (BernoulliPerturbator(paired=False), BanzhafAggregator()),
    (BernoulliPerturbator(), LimeAggregator()),
    (OcclusionPerturbator(), LeaveOneOutAggregator()),
    (OcclusionPerturbator(window=3, stride=2), LeaveOneOutAggregator(window=3)),
    (SobolPerturbator(), SobolAggregator("first")),
    (SobolPerturbator(), SobolAggregator("total")),
]
SAMPLED = [pair for pair in SHAPLEY + OTHERS if not isinstance(pair[0], (ExactPerturbator, OcclusionPerturbator))]


def names(parts):
    return type(parts).__name__


def first_draw(perturbator, n, budget, seed) -> Draw:
    return next(perturbator.draw(n, budget, torch.Generator().manual_seed(seed)))


def run(game, perturbator, aggregator, n, budget=None, seed=0):
    return play(game, perturbator, aggregator, n_features=n, budget=budget, seed=seed, progress=False)


@pytest.mark.parametrize("n", [1, 2, 3, 6])
@pytest.mark.parametrize("perturbator, aggregator", SHAPLEY, ids=names)
def test_all_coalitions_give_the_exact_shapley_values(perturbator, aggregator, n):
    game = dense_game(n)
    result = run(game, perturbator, aggregator, n, budget=2**n)
    torch.testing.assert_close(result.attributions, exact_shapley(game, n), atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("n", [1, 2, 3, 6])
@pytest.mark.parametrize("paired", [True, False])
def test_all_coalitions_give_the_exact_banzhaf_values(n, paired):
    game = dense_game(n)
    result = run(game, BernoulliPerturbator(paired), BanzhafAggregator(), n, budget=2**n)
    torch.testing.assert_close(result.attributions, exact_banzhaf(game, n), atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("minimal", [None, pytest.param(True, marks=pytest.mark.thorough)])
def test_monte_carlo_is_unbiased_at_any_budget(minimal):
    n = 7
    game = dense_game(n)
    truth = exact_shapley(game, n)
    for budget in (20, 40) if minimal else (5, 40):
        drawn = MonteCarloPerturbator(minimal)
        runs = torch.stack([run(game, drawn, ShapleyAggregator(), n, budget, s).attributions for s in range(400)])
        z = (runs.mean(0) - truth) / (runs.std(0) / len(runs) ** 0.5)
        assert z.abs().max() < 3.7


def test_monte_carlo_begins_with_single_features_where_it_is_told_to():
    def singles(minimal, budget, seed):
        [draw] = MonteCarloPerturbator(minimal).draw(8, budget, torch.Generator().manual_seed(seed))
        return int((draw.coalitions[0::2].sum(1) == 1).sum())

    assert [singles(True, budget, 0) for budget in (20, 40)] == [8, 8] == [singles(None, budget, 0) for budget in (34, 40)]
    assert max(singles(False, 40, seed) for seed in range(10)) < 8
    with pytest.raises(ValueError, match="needs a budget of at least 20 evaluations for 8 features; got 18"):
        run(dense_game(8), MonteCarloPerturbator(True), ShapleyAggregator(), 8, 18)


def test_permutations_are_unbiased_where_only_some_fit():
    n = 5
    game = dense_game(n)
    truth = exact_shapley(game, n)
    runs = torch.stack([run(game, PermutationPerturbator(), MarginalAggregator(), n, 13, s).attributions for s in range(300)])
    assert ((runs.mean(0) - truth) / (runs.std(0) / len(runs) ** 0.5)).abs().max() < 3.7


@pytest.mark.parametrize("perturbator, aggregator", SHAPLEY[1:6] + OTHERS[:2], ids=names)
def test_more_evaluations_bring_it_nearer(perturbator, aggregator):
    n = 10
    game = dense_game(n)
    truth = exact_shapley(game, n) if aggregator.estimand == "Shapley value" else exact_banzhaf(game, n)
    errors = [
        sum(float((run(game, perturbator, aggregator, n, budget, s).attributions - truth).square().sum()) for s in range(12))
        for budget in (40, 160, 640)
    ]
    assert errors[1] < 0.5 * errors[0]
    assert errors[2] < 0.5 * errors[1]
    assert errors[2] / 12 < 0.15 * float(truth.square().sum())


@pytest.mark.parametrize(
    "perturbator, aggregator",
    [
        (MonteCarloPerturbator(), ShapleyAggregator()),
        (PermutationPerturbator(), MarginalAggregator()),
        (KernelPerturbator(), KernelAggregator()),
        (BernoulliPerturbator(), BanzhafAggregator()),
    ],
    ids=names,
)
def test_standard_errors_are_those_seen_over_seeds(perturbator, aggregator):
    n, budget = 10, 200
    game = dense_game(n)
    results = [run(game, perturbator, aggregator, n, budget, seed) for seed in range(60)]
    spread = torch.stack([r.attributions for r in results]).var(0).mean().sqrt()
    claimed = torch.stack([r.standard_errors for r in results]).square().mean().sqrt()
    assert 0.7 < float(claimed / spread) < 1.5


class Orders(Perturbator):
    """Some permutations, one after the other."""

    orders = ((0, 1, 2, 3), (2, 0, 3, 1), (1, 0, 3, 2))

    def draw(self, n, budget, generator):
        grown = [[i in order[:size] for i in range(n)] for order in self.orders for size in range(n + 1)]
        chains = torch.arange(len(self.orders)).repeat_interleave(n + 1)
        yield Draw(torch.tensor(grown), chains=chains, design=Design.ORDERS)


def test_errors_of_permutations_are_moderated_by_the_mean_of_all_features():
    n, game = 4, dense_game(4)
    found = run(game, Orders(), MarginalAggregator(), n, budget=14)
    gains = torch.zeros(3, n, dtype=torch.float64)
    for row, order in enumerate(Orders.orders):
        for place, feature in enumerate(order):
            gains[row, feature] = value(game, n, order[: place + 1])[0] - value(game, n, order[:place])[0]
    torch.testing.assert_close(found.attributions[0], gains.mean(0))
    variance = gains.var(0) / 3
    moderated = [(4 * variance.mean() + 2 * variance[i]) / (4 + 2 - 2) for i in range(n)]
    torch.testing.assert_close(found.standard_errors[0], torch.stack(moderated).sqrt())


@pytest.mark.parametrize("perturbator, aggregator", SHAPLEY, ids=names)
def test_nothing_is_uncertain_once_all_is_known(perturbator, aggregator):
    errors = run(dense_game(5), perturbator, aggregator, 5, budget=32).standard_errors
    assert errors is not None
    assert errors.abs().max() < 1e-9


@pytest.mark.parametrize("perturbator, aggregator", SAMPLED, ids=names)
@pytest.mark.parametrize("n", [1, 2, 3, 5, 9, 40])
def test_budget_is_kept_and_the_seed_decides(perturbator, aggregator, n):
    for extra in (0, 1, 7, 50):
        budget = perturbator.minimum_budget(n) + extra
        game, asked = counted(dense_game(n))
        first = run(game, perturbator, aggregator, n, budget, seed=3)
        assert len(asked) == len(set(asked)) <= min(budget, 2**n)
        again = run(dense_game(n), perturbator, aggregator, n, budget, seed=3)
        assert torch.equal(first.attributions, again.attributions)
        assert first.attributions.isfinite().all()


@pytest.mark.parametrize("perturbator, aggregator", SHAPLEY + OTHERS, ids=names)
@pytest.mark.parametrize("n", [1, 2, 5, 12])
def test_a_constant_game_has_only_zeros(perturbator, aggregator, n):
    result = run(lambda s: torch.full((len(s), 2), 3.25), perturbator, aggregator, n, max(perturbator.minimum_budget(n), 2))
    torch.testing.assert_close(result.attributions, torch.zeros(2, n, dtype=torch.float64), atol=1e-12, rtol=0)


@pytest.mark.parametrize("perturbator, aggregator", SHAPLEY[1:], ids=names)
def test_shapley_estimates_add_up_at_every_budget(perturbator, aggregator):
    n = 12
    game = dense_game(n)
    gap = value(game, n, tuple(range(n))) - value(game, n, ())
    for budget in (n + 1, 3 * n, 20 * n):
        torch.testing.assert_close(run(game, perturbator, aggregator, n, budget).attributions.sum(1), gap)


@pytest.mark.parametrize("perturbator, aggregator", SAMPLED + OTHERS[3:5], ids=names)
def test_hundreds_of_features_take_a_moment(perturbator, aggregator):
    n = 300
    game = dense_game(n)
    started = time.process_time()
    result = run(game, perturbator, aggregator, n, 3000)
    assert time.process_time() - started < 6
    assert result.attributions.isfinite().all()


@pytest.mark.parametrize("budget", [10, 60, 100, 130])
def test_kernel_regression_never_explodes(budget):
    n = 60
    line = torch.linspace(-1, 1, n).double()
    result = run(lambda s: s.double() @ line, KernelPerturbator(), KernelAggregator(), n, budget)
    assert result.attributions.abs().max() < 2
    if budget > 2 * n:
        torch.testing.assert_close(result.attributions[0], line)


def test_kernel_enumerates_what_the_budget_covers():
    draw = first_draw(KernelPerturbator(), 12, 300, 0)
    sizes = draw.coalitions.sum(1)
    assert (sizes == 1).sum() == (sizes == 11).sum() == 12
    assert set(draw.weights[(sizes == 1) | (sizes == 11)].tolist()) == {1.0}


def test_inclusion_weights_count_all_coalitions():
    n = 9
    totals = [first_draw(MonteCarloPerturbator(), n, 30, s).weights.sum() for s in range(60)]
    torch.testing.assert_close(torch.stack(totals).mean(), torch.tensor(2.0**n - 2).double(), rtol=0.02, atol=0)


def test_coin_flips_without_replacement():
    for n, budget in ((5, 30), (8, 100), (30, 200)):
        coalitions = first_draw(BernoulliPerturbator(), n, budget, 1).coalitions
        assert len(coalitions.unique(dim=0)) == len(coalitions) == budget - 2


def test_lime_is_the_weighted_ridge_over_all_coalitions():
    n, width, alpha = 5, 0.4, 0.05
    game = dense_game(n, targets=1)
    coalitions = everything(n)
    weights = torch.tensor([exp(-((1 - (sum(row) / n) ** 0.5) ** 2) / width**2) for row in coalitions.tolist()]).double()
    weights /= weights.sum()
    design = torch.cat([torch.ones(len(coalitions), 1).double(), coalitions.double()], 1)
    penalty = alpha * torch.eye(n + 1).double()
    penalty[0, 0] = 0
    gram = design.T @ torch.diag(weights) @ design + penalty
    expected = torch.linalg.solve(gram, design.T @ (weights[:, None] * game(coalitions)))[1:, 0]
    result = run(game, ExactPerturbator(), LimeAggregator(width, alpha), n)
    torch.testing.assert_close(result.attributions[0], expected)


def test_lime_takes_a_distance_and_a_kernel_of_ones_own():
    n = 5
    game = dense_game(n, targets=1)
    coalitions = everything(n)
    own = LimeAggregator(alpha=0.0, distance=lambda s: (~s).sum(1) / n, kernel=lambda d: (1 - d) ** 2)
    weights = torch.tensor([(sum(row) / n) ** 2 for row in coalitions.tolist()]).double().sqrt()[:, None]
    design = torch.cat([torch.ones(len(coalitions), 1).double(), coalitions.double()], 1)
    expected = torch.linalg.lstsq(design * weights, game(coalitions) * weights).solution[1:, 0]
    torch.testing.assert_close(run(game, ExactPerturbator(), own, n).attributions[0], expected, atol=1e-6, rtol=1e-6)
    same = LimeAggregator(0.4, distance=lambda s: 1 - s.double().mean(1).sqrt(), kernel=lambda d: torch.exp(-(d**2) / 0.4**2))
    expected = run(game, ExactPerturbator(), LimeAggregator(0.4), n).attributions
    torch.testing.assert_close(run(game, ExactPerturbator(), same, n).attributions, expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"distance": lambda s: s.double()}, "The distance of LimeAggregator .* this one gave shape"),
        ({"kernel": lambda d: -d}, "The kernel of LimeAggregator .* this one gave other numbers"),
        ({"kernel": lambda d: d.tolist()}, "this one gave other numbers or none"),
    ],
)
def test_a_distance_or_kernel_that_is_none_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        run(dense_game(4), ExactPerturbator(), LimeAggregator(**options), 4)


@pytest.mark.parametrize("window, stride", [(1, 1), (2, 1), (3, 2), (9, 4)])
def test_occlusion_is_the_mean_loss_over_windows(window, stride):
    n = 7
    game = dense_game(n)
    everyone = set(range(n))
    length = min(window, n)
    starts = sorted({*range(0, n - length + 1, stride), n - length})
    windows = [set(range(start, start + length)) for start in starts]
    full = value(game, n, tuple(everyone))
    expected = [torch.stack([full - value(game, n, tuple(everyone - w)) for w in windows if i in w]).mean(0) for i in range(n)]
    result = run(game, OcclusionPerturbator(window, stride), LeaveOneOutAggregator(window), n)
    torch.testing.assert_close(result.attributions, torch.stack(expected, 1))


def exact_sobol(game, n, order):
    values = game(everything(n))
    columns = []
    for i in range(n):
        others = everything(n - 1)
        with_i = game(torch.cat([others[:, :i], torch.ones(len(others), 1, dtype=torch.bool), others[:, i:]], 1))
        without = game(torch.cat([others[:, :i], torch.zeros(len(others), 1, dtype=torch.bool), others[:, i:]], 1))
        if order == "first":
            columns.append(torch.stack([with_i.mean(0), without.mean(0)]).var(0, correction=0))
        else:
            columns.append(torch.stack([with_i, without]).var(0, correction=0).mean(0))
    return torch.stack(columns, 1) / values.var(0, correction=0)[:, None]


@pytest.mark.parametrize("order", ["first", "total"])
def test_sobol_indices(order):
    n = 5
    game = dense_game(n)
    truth = exact_sobol(game, n, order)
    torch.testing.assert_close(run(game, ExactPerturbator(), SobolAggregator(order), n).attributions, truth)
    torch.testing.assert_close(run(game, SobolPerturbator(), SobolAggregator(order), n, 32).attributions, truth)
    n = 11
    game = dense_game(n)
    truth = exact_sobol(game, n, order)
    runs = [run(game, SobolPerturbator(), SobolAggregator(order), n, 600, seed) for seed in range(20)]
    found = torch.stack([one.attributions for one in runs])
    assert (found.mean(0) - truth).abs().max() < 0.05
    claimed = torch.stack([one.standard_errors for one in runs]).square().mean(0).sqrt()
    assert 0.75 < float((claimed / found.std(0)).mean()) < 1.35


@pytest.mark.parametrize("order", ["first", "total"])
def test_sobol_errors_are_the_jackknife_over_blocks(order):
    n, aggregator = 8, SobolAggregator(order)
    known = run(dense_game(n), SobolPerturbator(), aggregator, n, 90).evaluations
    blocks = known.chains.unique().tolist()
    assert len(blocks) > 5
    without = []
    for block in blocks:
        kept = known.chains != block
        parts = known.draws[kept], known.weights[kept], known.chains[kept]
        without.append(aggregator.aggregate(Evaluations(known.coalitions, known.values, *parts)).attributions)
    spread = torch.stack(without).var(0, correction=0) * (len(blocks) - 1)
    torch.testing.assert_close(aggregator.aggregate(known).standard_errors, spread.sqrt())


def test_errors_of_what_is_not_sampled():
    for perturbator, aggregator in OTHERS:
        if isinstance(aggregator, (LeaveOneOutAggregator, SobolAggregator)):
            sampled = isinstance(aggregator, SobolAggregator)
            result = run(dense_game(6), ExactPerturbator() if sampled else perturbator, aggregator, 6)
            assert torch.equal(result.standard_errors, torch.zeros_like(result.attributions))
    assert run(dense_game(6), SobolPerturbator(), SobolAggregator(), 6, 10).standard_errors is None


@pytest.mark.parametrize(
    "perturbator, aggregator, fits",
    [
        (OcclusionPerturbator(), MarginalAggregator(), "PermutationPerturbator"),
        (KernelPerturbator(), MarginalAggregator(), "PermutationPerturbator"),
        (OcclusionPerturbator(), ShapleyAggregator(), "MonteCarloPerturbator"),
        (KernelPerturbator(), SobolAggregator(), "SobolPerturbator"),
        (BernoulliPerturbator(), LeaveOneOutAggregator(), "OcclusionPerturbator"),
    ],
    ids=names,
)
def test_pairs_that_cannot_work_say_what_fits(perturbator, aggregator, fits):
    with pytest.raises(ValueError, match=fits):
        run(dense_game(12), perturbator, aggregator, 12, 40)


def test_too_many_features_for_exact():
    with pytest.raises(ValueError, match=r"1,073,741,824 evaluations.*KernelShap"):
        run(dense_game(30), ExactPerturbator(), ShapleyAggregator(), 30)
    with pytest.raises(ValueError, match="at least 256 evaluations"):
        run(dense_game(8), ExactPerturbator(), ShapleyAggregator(), 8, budget=100)


@pytest.mark.parametrize("wrong", [{"window": 0}, {"window": 2, "stride": 3}, {"stride": 0}])
def test_windows_that_make_no_sense(wrong):
    with pytest.raises(ValueError, match="window"):
        OcclusionPerturbator(**wrong)


@pytest.mark.parametrize(
    "make", [lambda: SobolAggregator("second"), lambda: LimeAggregator(kernel_width=0), lambda: LeaveOneOutAggregator(window=0)]
)
def test_arguments_that_make_no_sense(make):
    with pytest.raises((ValueError, TypeError)):
        make()


def test_a_coin_flip_perturbator_of_the_user_works_with_the_regression():
    class CoinFlips(Perturbator):
        def draw(self, n, budget, generator):
            yield torch.rand(budget - 2, n, generator=generator) < 0.5

    n = 6
    line = torch.arange(n).double()
    result = run(lambda s: s.double() @ line, CoinFlips(), KernelAggregator(), n, 40)
    torch.testing.assert_close(result.attributions[0], line)


def test_complements_are_joined_wherever_they_stand():
    game = dense_game(6)
    n, coalitions = 6, everything(6)
    shuffled = coalitions[1:-1][torch.randperm(62, generator=torch.Generator().manual_seed(0))]
    coalitions = torch.cat([coalitions[[0, -1]], shuffled])
    ones = torch.ones(0, dtype=torch.float64)
    known = Evaluations(
        coalitions, game(coalitions), torch.zeros(0, dtype=torch.int64), ones, torch.zeros(0, dtype=torch.int64)
    )
    for aggregator in (ShapleyAggregator(), KernelAggregator(), MarginalAggregator()):
        torch.testing.assert_close(aggregator.aggregate(known).attributions, exact_shapley(game, n))
