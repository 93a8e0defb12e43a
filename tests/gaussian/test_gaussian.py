"""The Gaussian process over coalitions, against the same process written out over all 2^n of them."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from support.games import counted, dense_game, everything, exact_shapley

from interpreto_mllm.aggregators import GaussianProcessAggregator, KernelAggregator, gaussian_process
from interpreto_mllm.aggregators.gaussian_process import learnt
from interpreto_mllm.core.coalitions import shapley_coefficients
from interpreto_mllm.core.evaluations import Draw, Evaluations
from interpreto_mllm.explainers.play import play
from interpreto_mllm.gaussian import integrals
from interpreto_mllm.gaussian.design import greedy_design
from interpreto_mllm.gaussian.fit import fit_kernel, negative_log_posterior
from interpreto_mllm.gaussian.kernel import EVEN, ODD, WHOLE, Kernel
from interpreto_mllm.gaussian.minimise import minimise
from interpreto_mllm.gaussian.observations import Observations
from interpreto_mllm.gaussian.posterior import Posterior
from interpreto_mllm.perturbators import (
    ActivePerturbator,
    BernoulliPerturbator,
    KernelPerturbator,
    OcclusionPerturbator,
    PermutationPerturbator,
    active,
)

THOROUGH = pytest.mark.thorough


def random_kernel(n: int, seed: int = 0) -> Kernel:
    """Hyper-parameters near the prior's means, and enough white for matrices to be inverted with ease."""
    means, _ = Kernel.prior(n)
    logs = means + 0.5 * torch.randn(len(means), generator=torch.Generator().manual_seed(seed)).double()
    logs[-1] = -2.0
    return Kernel(logs)


def random_sides(n: int, count: int, seed: int = 0) -> torch.Tensor:
    """One side of `count` distinct pairs, the first that of all features."""
    draw = next(KernelPerturbator().draw(n, 2 * count, torch.Generator().manual_seed(seed)))
    return torch.cat([torch.ones(1, n, dtype=torch.bool), draw.coalitions[0::2]])


def run(game, perturbator, n, budget=None, seed=0, aggregator=None):
    aggregator = GaussianProcessAggregator() if aggregator is None else aggregator
    return play(game, perturbator, aggregator, n_features=n, budget=budget, seed=seed, progress=False)


def covariance_of_all(kernel: Kernel, n: int) -> torch.Tensor:
    """k(x, x′) over all pairs of coalitions, by its formula, one pair at a time."""
    signs = everything(n).double() * 2 - 1
    covariance = torch.zeros(2**n, 2**n, dtype=torch.float64)
    scalars = dict(zip(("linear", "size", "length", "constant", "white"), kernel.logs[2 * n + 2 :].exp().tolist(), strict=True))
    products = [(kernel.logs[2 * n + k].exp(), kernel.logs[k * n : (k + 1) * n].exp()) for k in (0, 1)]
    for a, x in enumerate(signs):
        for b, y in enumerate(signs):
            gap = abs(float((x > 0).sum() - (y > 0).sum()))
            covariance[a, b] = (
                sum(scale * torch.exp(-rates[x != y].sum()) for scale, rates in products)
                + scalars["linear"] * (x @ y) / n
                + scalars["size"] * torch.exp(torch.tensor(-gap / (scalars["length"] * n)))
                + scalars["constant"]
                + scalars["white"] * (a == b)
            )
    return covariance


@pytest.mark.parametrize("n", [1, 2, 5])
def test_covariances_with_shapley_values_are_the_sums_over_all_coalitions(n):
    kernel, signs = random_kernel(n), everything(n).double() * 2 - 1
    covariance, sums = covariance_of_all(kernel, n), shapley_coefficients(everything(n))
    torch.testing.assert_close(kernel.covariance(signs, signs, WHOLE), covariance)
    torch.testing.assert_close(kernel.shapley_covariance(signs), covariance @ sums)
    torch.testing.assert_close(kernel.shapley_variance(), (sums.T @ covariance @ sums).diagonal())
    for parity in (ODD, EVEN, WHOLE):
        torch.testing.assert_close(kernel.variance(signs, parity), kernel.covariance(signs, signs, parity).diagonal())


def test_odd_and_even_parts_are_uncorrelated_and_only_odd_ones_tell_of_shapley_values():
    n = 4
    kernel, covariance = random_kernel(n), covariance_of_all(random_kernel(n), n)
    signs = everything(n).double() * 2 - 1
    flip = (signs @ signs.T == -n).double()
    odd, even = (torch.eye(2**n) - flip) / 2, (torch.eye(2**n) + flip) / 2
    torch.testing.assert_close(odd @ covariance @ odd.T, kernel.covariance(signs, signs, ODD))
    torch.testing.assert_close(even @ covariance @ even.T, kernel.covariance(signs, signs, EVEN))
    assert (odd @ covariance @ even.T).abs().max() < 1e-12
    assert (even @ covariance @ shapley_coefficients(everything(n))).abs().max() < 1e-12


@pytest.mark.parametrize("paired", [True, False])
def test_the_posterior_is_that_of_the_process_over_all_coalitions(paired):
    n = 5
    game, kernel, sides = dense_game(n), random_kernel(n), random_sides(n, 7)
    seen = torch.cat([sides, ~sides] if paired else [sides, ~sides[:3]])
    if paired:
        observations = Observations.of_pairs(sides, game(sides), game(~sides))
    else:
        observations = Observations.of_coalitions(seen, game(seen))
    posterior = Posterior(kernel, observations)
    covariance, sums = covariance_of_all(kernel, n), shapley_coefficients(everything(n))
    rows = torch.tensor([everything(n).tolist().index(row) for row in seen.tolist()])
    values = (game(seen) - game(seen).mean(0)) / observations.scales
    gain = torch.linalg.solve(covariance[rows][:, rows], covariance[rows] @ sums)
    torch.testing.assert_close(posterior.mean(), values.T @ gain, atol=1e-7, rtol=1e-7)
    variance = (sums.T @ covariance @ sums - (covariance[rows] @ sums).T @ gain).diagonal()
    torch.testing.assert_close(posterior.variance(), variance, atol=1e-7, rtol=1e-7)


@pytest.mark.parametrize("perturbator", [KernelPerturbator(), ActivePerturbator()])
def test_intervals_close_as_the_budget_covers_all_coalitions(perturbator):
    n = 7
    game = dense_game(n, targets=1)
    errors = [float(run(game, perturbator, n, budget).standard_errors.mean()) for budget in (30, 90, 126)]
    assert errors[1] < 0.5 * errors[0] and errors[2] < 0.1 * errors[0]
    pairs = [run(game, perturbator, n, budget).interactions().standard_errors.mean() for budget in (30, 126)]
    assert pairs[1] < 0.15 * pairs[0]


@pytest.mark.parametrize("paired", [True, False])
def test_the_jackknife_leaves_out_each_observation_in_turn(paired):
    n = 5
    game, kernel, sides = dense_game(n), random_kernel(n), random_sides(n, 9)
    seen = torch.cat([sides, ~sides])
    observations = Observations.of_coalitions(seen, game(seen))
    if paired:
        observations = Observations.of_pairs(sides, game(sides), game(~sides))
    mean = Posterior(kernel, observations).mean()
    changes = torch.zeros_like(mean)
    rows = seen[: len(observations.signs)].tolist()
    for out in range(len(rows)):
        alike = [row for row in everything(n).tolist() if sum(row) == sum(rows[out])]
        unseen = sum(row not in seen.tolist() for row in alike) / len(alike)
        kept = torch.tensor([row for row in range(len(rows)) if row != out])
        changes += unseen * (Posterior(kernel, observations.rows(kept)).mean() - mean).square()
    torch.testing.assert_close(Posterior(kernel, observations).jackknife(observations.unseen), changes, atol=1e-7, rtol=1e-6)


@pytest.mark.parametrize("paired", [True, False])
def test_the_gradient_is_that_of_finite_differences(paired):
    n, step = 5, 1e-5
    game, sides = dense_game(n), random_sides(n, 7)
    seen = torch.cat([sides, ~sides[:2]])
    observations = Observations.of_coalitions(seen, game(seen))
    if paired:
        observations = Observations.of_pairs(sides, game(sides), game(~sides))
    logs = random_kernel(n).logs
    slopes = []
    for shift in step * torch.eye(len(logs), dtype=torch.float64):
        above, below = (negative_log_posterior(point, observations)[0] for point in (logs + shift, logs - shift))
        slopes.append((above - below) / (2 * step))
    torch.testing.assert_close(negative_log_posterior(logs, observations)[1], torch.stack(slopes), atol=1e-5, rtol=1e-5)


def test_the_minimiser_gets_to_the_bottom_of_a_bent_valley():
    def rosenbrock(x):
        bend = x[1:] - x[:-1].square()
        slope = torch.zeros_like(x)
        slope[1:] += 200 * bend
        slope[:-1] += -400 * x[:-1] * bend - 2 * (1 - x[:-1])
        return (100 * bend.square() + (1 - x[:-1]).square()).sum(), slope

    bottom = minimise(rosenbrock, torch.zeros(6, dtype=torch.float64), 300, 1e-16)
    torch.testing.assert_close(bottom, torch.ones(6, dtype=torch.float64), atol=1e-5, rtol=0)
    looks = 0

    def counted(point: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        nonlocal looks
        looks += 1
        return rosenbrock(point)

    early = minimise(counted, torch.zeros(6, dtype=torch.float64), 300, 1e-16, looks=8.0)
    assert 8 <= looks < 8 + 20, "the line search under way is finished"
    assert rosenbrock(bottom)[0] < rosenbrock(early)[0] < rosenbrock(torch.zeros(6, dtype=torch.float64))[0]
    cliff = minimise(lambda x: ((x - x.log()).sum(), 1 - 1 / x), torch.full((2,), 9.0).double(), 100, 1e-14)
    torch.testing.assert_close(cliff, torch.ones(2, dtype=torch.float64), atol=1e-5, rtol=0)


def test_the_fit_learns_which_features_matter():
    n = 8
    observations = Observations.of_pairs(sides := random_sides(n, 40), *(pairwise(side) for side in (sides, ~sides)))
    kernel = fit_kernel(observations)
    coarse = kernel.logs[:n].exp()
    assert coarse[:2].min() > 10 * coarse[2:].max()
    worse = Kernel.prior(n)[0]
    assert negative_log_posterior(kernel.logs, observations)[0] < negative_log_posterior(worse, observations)[0] - 10


def pairwise(coalitions: torch.Tensor) -> torch.Tensor:
    """A game of the first two of its features alone."""
    return (coalitions[:, :1] & coalitions[:, 1:2]).double() + 0.3 * coalitions[:, :1].double()


def test_the_design_is_the_greedy_one():
    n = 5
    kernel, sides = random_kernel(n), random_sides(n, 15)
    known, candidates = sides[::3], torch.cat([sides[1::3], sides[2::3]])
    sizes = torch.minimum(candidates.sum(1), (~candidates).sum(1)).tolist()
    room = torch.tensor([0, 1, 3])
    assert sizes.count(1) > 1 and sizes.count(2) > 3, "there are limits to hold to"
    chosen = greedy_design(kernel, known.double() * 2 - 1, candidates.double() * 2 - 1, 4, room).tolist()
    expected = []
    for _ in range(4):
        left = {}
        full = [size for size in (0, 1, 2) if [sizes[row] for row in expected].count(size) == room[size]]
        for row in {row for row, size in enumerate(sizes) if size not in full} - set(expected):
            seen = torch.cat([known, candidates[[*expected, row]]])
            left[row] = Posterior(kernel, Observations.of_pairs(seen, torch.zeros(len(seen), 1), torch.zeros(len(seen), 1)))
        expected.append(min(left, key=lambda row: float(left[row].variance().sum())))
    assert chosen == expected


def test_the_design_leaves_what_is_certain_alone():
    kernel, sides = random_kernel(3), random_sides(3, 4).double() * 2 - 1
    assert len(greedy_design(kernel, sides, sides, 3, torch.tensor([3, 3]))) == 0


def rounds_of(game, n: int, budget: int) -> list[torch.Tensor]:
    """What the active perturbator asks of a game, round by round."""
    drawing = ActivePerturbator().draw(n, budget, torch.Generator().manual_seed(0))
    draw, rounds = next(drawing), []
    while True:
        assert isinstance(draw, Draw)
        rounds.append(draw.coalitions)
        try:
            draw = drawing.send(game(draw.coalitions))
        except StopIteration:
            return rounds


def test_the_first_n_pairs_are_chosen_by_the_prior_and_the_others_by_what_was_learnt():
    n = 8
    early, late = (rounds_of(game, n, 60) for game in (dense_game(n), pairwise))
    assert torch.equal(torch.cat(early[:2]), torch.cat(late[:2])) and len(torch.cat(early[:2])) == 2 * n + 2
    assert not torch.equal(early[2], late[2])

    def left_open(sides):
        seen = Observations.of_pairs(sides, torch.zeros(len(sides), 1), torch.zeros(len(sides), 1))
        return float(Posterior(Kernel(Kernel.prior(n)[0]), seen).variance().sum())

    drawn = sum(left_open(random_sides(n, n + 1, seed)) for seed in range(5)) / 5
    assert left_open(torch.cat(early[:2])[1::2]) < 0.5 * drawn


def test_of_candidates_that_tell_as_much_the_first_is_chosen():
    kernel, sides = Kernel(Kernel.prior(6)[0]), torch.eye(6, dtype=torch.float64) * 2 - 1
    nothing = -torch.ones(1, 6, dtype=torch.float64)
    for order in (torch.arange(6), torch.arange(5, -1, -1)):
        assert greedy_design(kernel, nothing, sides[order], 6, torch.full((4,), 6)).tolist() == list(range(6))


def test_each_size_of_coalition_gets_its_share_of_the_pairs():
    """Values that change with the number of features in a way that no stationary covariance foresees."""
    n, budget = 10, 202

    def bent(coalitions: torch.Tensor) -> torch.Tensor:
        return ((coalitions.double() @ torch.arange(1.0, n + 1).double()) * coalitions.sum(1)).sqrt()[:, None]

    sides = torch.cat([draws[::2] for draws in rounds_of(bent, n, budget)])[1:]
    sizes = torch.minimum(sides.sum(1), (~sides).sum(1))
    shares = torch.tensor([1 / (size * (n - size)) for size in (2, 3, 4, 5)])
    shares = 90 * shares / shares.sum()  # of the 100 pairs, 10 are all there are of a single feature
    counts = torch.bincount(sizes)[1:]
    assert counts.sum() == 100 and counts[0] == 10
    assert (counts[1:] <= shares.ceil()).all() and (counts[1:] >= shares - 2).all()


def test_what_is_predicted_is_what_the_process_over_all_coalitions_expects():
    n = 5
    game, kernel, sides = dense_game(n), random_kernel(n), random_sides(n, 7)
    observations = Observations.of_pairs(sides, game(sides), game(~sides))
    signs, seen = everything(n).double() * 2 - 1, sides.double() * 2 - 1
    odd = (game(sides) - game(~sides)) / 2 / observations.scales
    expected = kernel.covariance(signs, seen, ODD) @ torch.linalg.solve(kernel.covariance(seen, seen, ODD), odd)
    torch.testing.assert_close(Posterior(kernel, observations).predict(signs), expected, atol=1e-7, rtol=1e-7)


def first_of(evaluations: Evaluations, count: int) -> Evaluations:
    """The first so many evaluations besides v(∅) and v(N)."""
    rows = torch.arange(count + 2)
    weights, chains = torch.ones(count + 2, dtype=torch.float64), torch.full((count + 2,), -1)
    return Evaluations(evaluations.coalitions[rows], evaluations.values[rows], rows, weights, chains)


@pytest.mark.parametrize(
    "perturbator",
    [
        ActivePerturbator(),
        *(pytest.param(one, marks=THOROUGH) for one in (KernelPerturbator(), BernoulliPerturbator(paired=False))),
    ],
)
def test_what_is_not_conditioned_on_corrects_the_rest(perturbator, monkeypatch):
    n, budget, errors = 9, 360, torch.zeros(2, 3, dtype=torch.float64)
    monkeypatch.setattr(active, "MOST_DESIGNED_PAIRS", 60)
    for seed in range(3):
        game = smooth_game(n, seed)
        result = run(game, perturbator, n, budget, seed, KernelAggregator())
        monkeypatch.setattr(gaussian_process, "MOST_CONDITIONED", 60)
        corrected = result.reaggregate(GaussianProcessAggregator())
        monkeypatch.setattr(gaussian_process, "MOST_CONDITIONED", 2048)
        mixed = first_of(result.evaluations, 58 if isinstance(perturbator, BernoulliPerturbator) else 118)
        alone = GaussianProcessAggregator().aggregate(mixed)
        truth = exact_shapley(game, n)
        errors[0, seed] = (corrected.attributions - truth).square().sum()
        errors[1, seed] = (alone.attributions - truth).square().sum()
        torch.testing.assert_close(corrected.attributions.sum(1), corrected.full - corrected.empty)
        ratios = (corrected.attributions - truth) / corrected.standard_errors
        assert 0.3 < float(ratios.square().mean().sqrt()) < 1.5
    corrected, alone = errors.log().mean(1).exp().tolist()
    assert corrected < 0.9 * alone


@pytest.mark.parametrize("n", [1, 2, 3, 6])
@pytest.mark.parametrize("perturbator", [ActivePerturbator(), KernelPerturbator(), BernoulliPerturbator(paired=False)])
def test_all_coalitions_give_the_exact_shapley_values(perturbator, n):
    game = dense_game(n)
    result = run(game, perturbator, n, budget=2**n)
    torch.testing.assert_close(result.attributions, exact_shapley(game, n), atol=1e-9, rtol=1e-9)
    assert result.standard_errors is not None and result.standard_errors.abs().max() < 1e-9


@pytest.mark.parametrize("perturbator", [PermutationPerturbator(), BernoulliPerturbator(paired=False), OcclusionPerturbator()])
def test_any_coalitions_serve(perturbator):
    n = 8
    game = dense_game(n, seed=1)
    truth = exact_shapley(game, n)
    result = run(game, perturbator, n)
    gap = (result.attributions - truth).norm() / truth.norm()
    assert gap < (0.6 if isinstance(perturbator, OcclusionPerturbator) else 0.2)


@pytest.mark.parametrize("perturbator", [ActivePerturbator(), KernelPerturbator()])
def test_errors_count_the_jackknife_the_other_features_the_learning_and_what_is_unforeseen(perturbator):
    n, m = 6, 13
    result = run(dense_game(n), perturbator, n, budget=2 * m)
    kernel, rows, observations = learnt(result.evaluations)
    few, posterior = n / m, Posterior(kernel, observations)
    chosen = isinstance(perturbator, ActivePerturbator)
    assert len(rows) == len(result.coalitions) == 2 * m
    counted = observations.unseen if chosen else torch.full((2 * m, 1), 1 - 2 * m / 2**n).double()

    def shown(own: float, held_out: float) -> float:
        return few**4 * own + 0.45 * held_out if chosen else own + max(held_out - own, 0) / 2

    raw = list(map(shown, posterior.variance().tolist(), posterior.jackknife(counted)[0].tolist()))
    scale, rates = posterior.kernel.products[0]
    prior = float(scale * integrals.share_variance(rates, posterior.kernel.tilt).mean()) * min(1, 3 * few**4)
    prior *= 1 - len(result.coalitions) / 2**n
    squares = [(1 + few) ** 2 * (r + sum(raw) / n) / 2 + prior for r in raw]
    expected = [float(observations.scales[0]) * square**0.5 for square in squares]
    assert result.standard_errors is not None
    torch.testing.assert_close(result.standard_errors[0].tolist(), expected, atol=1e-3, rtol=1e-2)
    pair = torch.zeros(n, 1, dtype=torch.float64)
    pair[:2] = 1
    of_sum = shown(float(posterior.variance_of_sums(pair)), float(posterior.jackknife(counted, pair)[0]))
    typical = 2 * sum(raw) / n * (1 - 1 / (n - 1))  # of two scores, all of which have a fixed sum
    square = (1 + few) ** 2 * (of_sum + typical) / 2 + 2 * prior * (1 - 1 / (n - 1))
    found = GaussianProcessAggregator().aggregate(result.evaluations).sums
    assert found is not None
    torch.testing.assert_close(found(pair)[0], observations.scales[:1] * square**0.5, atol=1e-3, rtol=1e-2)


@pytest.mark.parametrize(("perturbator", "least"), [(ActivePerturbator(), 0.6), (KernelPerturbator(), 0.3)])
def test_when_few_pairs_are_missing_intervals_are_neither_wide_nor_narrow(perturbator, least):
    n, squares = 6, []
    for seed in range(5):
        game = dense_game(n, seed=seed)
        for missing in (2, 8):
            result = run(game, perturbator, n, budget=2**n - missing, seed=seed)
            errors = result.standard_errors
            assert errors is not None and errors.max() < 0.2
            squares.append(((result.attributions - exact_shapley(game, n)) / errors).square().mean())
    assert least < float(torch.stack(squares).mean()) ** 0.5 < 1.5


def test_a_sum_has_nothing_unforeseen():
    n = 10
    result = run(lambda s: s.double() @ torch.arange(1.0, n + 1).double(), ActivePerturbator(), n, 5 * n)
    assert result.standard_errors is not None and result.standard_errors.max() < 0.05


@pytest.mark.parametrize("aggregator", [GaussianProcessAggregator(), KernelAggregator()], ids=lambda a: type(a).__name__)
@pytest.mark.parametrize("n", [1, 2, 3, 5, 9, pytest.param(24, marks=THOROUGH)])
def test_budgets_are_kept_and_the_seed_decides(aggregator, n):
    for budget in {min(2**n, b) for b in (4, n + 1, 3 * n + 1)}:
        if budget < min(4, 2**n):
            continue
        game, asked = counted(dense_game(n))
        first = run(game, ActivePerturbator(), n, budget, seed=3, aggregator=aggregator)
        assert len(asked) == len(set(asked)) == max(min(budget - budget % 2, 2**n), 2)
        again = run(dense_game(n), ActivePerturbator(), n, budget, seed=3, aggregator=aggregator)
        assert torch.equal(first.attributions, again.attributions)
        gap = first.full - first.empty
        torch.testing.assert_close(first.attributions.sum(1), gap, atol=1e-9, rtol=1e-9)


def smooth_game(n: int, seed: int):
    """Interactions of every order, smaller the higher."""
    generator = torch.Generator().manual_seed(seed)
    inner = torch.randn(n, 64, generator=generator).double() * (2 / n**0.5)
    outer = torch.randn(64, 2, generator=generator).double() / 8
    return lambda coalitions: torch.tanh(coalitions.double() @ inner - 0.3) @ outer


def test_an_active_design_needs_fewer_evaluations_and_its_intervals_hold_the_truth():
    n, budget, ratios = 8, 48, []
    errors = torch.zeros(3, 5, dtype=torch.float64)
    for seed in range(5):
        game = smooth_game(n, seed)
        truth = exact_shapley(game, n)
        active = run(game, ActivePerturbator(), n, budget, seed)
        drawn = run(game, KernelPerturbator(), n, budget, seed)
        for row, result in enumerate([active, drawn, drawn.reaggregate(KernelAggregator())]):
            errors[row, seed] = (result.attributions - truth).square().sum()
        for result in (active, drawn):
            assert result.standard_errors is not None
            ratios.append((result.attributions - truth) / result.standard_errors)
    active, drawn, regression = errors.log().mean(1).exp().tolist()
    assert active < drawn
    assert active < 0.7 * regression
    assert float((torch.cat(ratios).abs() < 1.96).double().mean()) >= 0.9
    assert 0.5 < float(torch.cat(ratios).square().mean().sqrt()) < 1.2


def test_other_units_and_another_zero_change_nothing_else():
    n, budget = 7, 40
    game = dense_game(n, targets=3)
    plain = run(game, KernelPerturbator(), n, budget)
    other = run(lambda s: 1000 - 250 * game(s), KernelPerturbator(), n, budget)
    torch.testing.assert_close(other.attributions, -250 * plain.attributions, atol=0.1, rtol=1e-3)
    assert plain.standard_errors is not None and other.standard_errors is not None
    torch.testing.assert_close(other.standard_errors, 250 * plain.standard_errors, atol=0.1, rtol=1e-2)


def test_a_target_that_does_not_vary_has_zeros_of_unknown_error_and_leaves_the_others_alone():
    n, budget = 6, 24
    game = dense_game(n, targets=1)
    alone = run(game, ActivePerturbator(), n, budget)
    beside = run(lambda s: torch.cat([game(s), torch.full((len(s), 1), 3.25).double()], 1), ActivePerturbator(), n, budget)
    torch.testing.assert_close(beside.attributions[0], alone.attributions[0])
    assert beside.standard_errors is not None
    assert beside.attributions[1].abs().max() == 0 and beside.standard_errors[1].isnan().all()


@pytest.mark.parametrize("n", [1, 2, 5, 12])
@pytest.mark.parametrize("perturbator", [ActivePerturbator(), KernelPerturbator(), BernoulliPerturbator(paired=False)])
def test_a_constant_game_has_only_zeros(perturbator, n):
    result = run(lambda s: torch.full((len(s), 2), 3.25), perturbator, n, min(2**n, 20))
    torch.testing.assert_close(result.attributions, torch.zeros(2, n, dtype=torch.float64), atol=1e-12, rtol=0)


def test_values_with_ties_and_features_that_are_alike():
    n = 10
    steps = run(lambda s: ((s.sum(1) + 3 * s[:, 0].long()) // 4).double(), ActivePerturbator(), n, 60)
    assert steps.attributions.isfinite().all() and steps.attributions[0].argmax() == 0
    twins = run(lambda s: (s[:, 0] | s[:, 1]).double() + (s[:, 2] & s[:, 3]).double(), ActivePerturbator(), n, 100)
    expected = torch.tensor([0.5] * 4 + [0.0] * 6, dtype=torch.float64)
    assert (twins.attributions[0] - expected).abs().max() < 1e-3


def test_the_empty_and_the_full_coalition_alone():
    none = torch.zeros(0, dtype=torch.int64)
    coalitions = torch.tensor([[False] * 3, [True] * 3])
    known = Evaluations(coalitions, torch.tensor([[1.0], [4.0]]).double(), none, none.double(), none)
    estimate = GaussianProcessAggregator().aggregate(known)
    torch.testing.assert_close(estimate.attributions, torch.ones(1, 3, dtype=torch.float64))


def test_values_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="not finite"):
        run(lambda s: torch.where(s[:, 0], torch.nan, 1.0), ActivePerturbator(), 6, 20)
    with pytest.raises(ValueError, match="at least 4 evaluations for 6 features"):
        run(dense_game(6), ActivePerturbator(), 6, 3)


@pytest.mark.parametrize("tilted", [False, True])
@pytest.mark.parametrize("rates", ["alike", "large", "of all sizes"])
def test_as_many_nodes_as_roots_of_n_are_as_good_as_half_of_n(rates, tilted, monkeypatch):
    n, generator = 160, torch.Generator().manual_seed(0)
    given = {
        "alike": torch.full((n,), 2 / n),
        "large": torch.full((n,), 30.0),
        "of all sizes": torch.exp(3 * torch.randn(n, generator=generator) - 3),
    }[rates].double()
    present = torch.rand(6, n, generator=generator) < torch.linspace(0, 1, 6)[:, None]
    tilt = tilted * (0.1 * torch.randn(n, generator=generator).double() - 0.04)
    found = integrals.share_covariance(present, given, tilt), integrals.share_variance(given, tilt)
    points, weights = np.polynomial.legendre.leggauss(n // 2 + 1)
    every = torch.from_numpy((points + 1) / 2), torch.from_numpy(weights / 2)
    assert len(integrals.nodes(n)[0]) < len(points)
    monkeypatch.setattr(integrals, "nodes", lambda _: every)
    torch.testing.assert_close(found[0], integrals.share_covariance(present, given, tilt), atol=1e-13, rtol=1e-9)
    torch.testing.assert_close(found[1], integrals.share_variance(given, tilt), atol=1e-13, rtol=1e-9)


@pytest.mark.parametrize("n", [300, pytest.param(2000, marks=THOROUGH)])
def test_thousands_of_features_have_the_scores_of_a_sum_within_their_errors(n):
    slopes = torch.stack([torch.linspace(-1, 1, n), torch.ones(n)], 1).double()
    result = run(lambda s: s.double() @ slopes, ActivePerturbator(), n, 60)
    assert result.attributions.isfinite().all() and result.standard_errors.isfinite().all()
    torch.testing.assert_close(result.attributions.sum(1), result.full - result.empty)
    off = (result.attributions - slopes.T).abs()
    assert (off < 1.96 * result.standard_errors).double().mean() > 0.9
    assert off[1].max() < 0.1  # features that are alike


def test_a_hundred_features_take_a_moment():
    n = 128
    started = time.process_time()
    result = run(dense_game(n), ActivePerturbator(), n, 300)
    assert time.process_time() - started < 12
    assert result.attributions.isfinite().all() and len(result.coalitions) == 300
