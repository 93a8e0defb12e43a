"""Every perturbator with every aggregator: exact on a whole game, and on a sample honest intervals, none, or a refusal."""

from __future__ import annotations

import pytest
import torch
from support.games import dense_game

from interpreto_mllm import Tolerance
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
from interpreto_mllm.aggregators.aggregate import aggregate
from interpreto_mllm.aggregators.aggregator import Aggregator, Estimate
from interpreto_mllm.core.design import Design
from interpreto_mllm.core.evaluations import Draw, Evaluations
from interpreto_mllm.evaluation.session import SamplingSession
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
    Perturbator,
    SobolPerturbator,
)

N, GROUPS = 8, [[0, 1, 2], [3, 4], [5, 6, 7]]


class Coins(Perturbator):
    """A user's own, which says nothing of how it draws."""

    nested = True

    def draw(self, n, budget, generator):
        yield torch.rand(budget - 2, n, generator=generator) < 0.5


PERTURBATORS = [
    ActivePerturbator(),
    BernoulliPerturbator(),
    BernoulliPerturbator(paired=False),
    Coins(),
    ComplementaryPerturbator(),
    ComplementaryPerturbator(cover_minimal=False),
    HierarchicalPerturbator(GROUPS),
    KernelPerturbator(),
    MonteCarloPerturbator(),
    NeymanPerturbator(),
    OcclusionPerturbator(),
    PermutationPerturbator(),
    PermutationPerturbator(antithetic=False),
    SobolPerturbator(),
]
AGGREGATORS = [
    BanzhafAggregator(),
    ComplementaryAggregator(),
    GaussianProcessAggregator(),
    KernelAggregator(),
    LeaveOneOutAggregator(),
    LimeAggregator(),
    MarginalAggregator(),
    OwenAggregator(GROUPS),
    ShapleyAggregator(),
    SobolAggregator("first"),
    SobolAggregator("total"),
]
BUDGETS = (24, 40, 90)


def name(part: object) -> str:
    return type(part).__name__


def steps(seed: int):
    """A game of two values, of which many draws are alike by chance."""
    slopes = torch.randn(N, generator=torch.Generator().manual_seed(seed)).double()
    return lambda coalitions: (coalitions.double() @ slopes[:, None] > 0).double()


GAMES = [dense_game(N, seed, targets=1) for seed in range(3)] + [steps(seed) for seed in range(3)]


def sampled(game, perturbator: Perturbator, n: int, budget: int, seed: int) -> Evaluations:
    """What a perturbator draws of a game."""
    session = SamplingSession(perturbator, n, budget, seed)
    while (coalitions := session.missing()) is not None:
        session.record(coalitions, game(coalitions))
    return session.evaluations()


@pytest.fixture(scope="module")
def truths() -> dict[Aggregator, list[torch.Tensor]]:
    """What every aggregator makes of all coalitions of each game."""
    every = [sampled(game, ExactPerturbator(), N, 2**N, 0) for game in GAMES]
    return {aggregator: [aggregate(known, aggregator).attributions for known in every] for aggregator in AGGREGATORS}


@pytest.fixture(scope="module")
def samples() -> dict[Perturbator, list[tuple[int, Evaluations]]]:
    """What every perturbator draws of each game under some budgets and seeds."""
    return {
        perturbator: [
            (index, sampled(game, perturbator, N, budget, seed))
            for index, game in enumerate(GAMES)
            for budget in BUDGETS
            for seed in range(2)
        ]
        for perturbator in PERTURBATORS
    }


@pytest.mark.parametrize("aggregator", AGGREGATORS, ids=name)
@pytest.mark.parametrize("perturbator", PERTURBATORS, ids=name)
def test_intervals_of_a_sample_hold_or_are_not_given(perturbator, aggregator, samples, truths):
    held, refused = [], set()
    seeds = samples[perturbator][:: 3 if isinstance(aggregator, GaussianProcessAggregator) else 1]
    for index, known in seeds:
        try:
            estimate = aggregate(known, aggregator)
        except ValueError as error:
            refused.add(str(error))
            continue
        assert estimate.attributions.isfinite().all()
        if estimate.standard_errors is not None:
            assert not bool((estimate.standard_errors == 0).any()) or estimate.exact
            off = (estimate.attributions - truths[aggregator][index]).abs()
            held += (off <= 1.96 * estimate.standard_errors + 1e-9).flatten().tolist()
    assert all("Perturbator" in message or "budget" in message for message in refused)
    if held:
        assert sum(held) / len(held) > 0.85


@pytest.mark.parametrize("aggregator", AGGREGATORS, ids=name)
@pytest.mark.parametrize("perturbator", [Coins(), SobolPerturbator(), *PERTURBATORS[4:11:3]], ids=name)
def test_nothing_is_uncertain_where_all_coalitions_are_known(perturbator, aggregator, truths):
    known = sampled(GAMES[0], ExactPerturbator(), N, 2**N, 0)
    drawn = sampled(GAMES[0], perturbator, N, 60, 0)
    row = {bytes(coalition.numpy()): place for place, coalition in enumerate(known.coalitions)}
    places = torch.tensor([row[bytes(coalition.numpy())] for coalition in drawn.coalitions[drawn.draws]])
    whole = Evaluations(known.coalitions, known.values, places, drawn.weights, drawn.chains, design=drawn.design)
    estimate = aggregate(whole, aggregator)
    torch.testing.assert_close(estimate.attributions, truths[aggregator][0])
    assert estimate.standard_errors is not None and not estimate.standard_errors.any()


@pytest.mark.parametrize(
    "perturbator, aggregator, says",
    [
        (HierarchicalPerturbator(GROUPS), ShapleyAggregator(), "OwenAggregator.*or draw with MonteCarloPerturbator"),
        (HierarchicalPerturbator(GROUPS), KernelAggregator(), "OwenAggregator.*or draw with KernelPerturbator"),
        (HierarchicalPerturbator(GROUPS), ComplementaryAggregator(), "OwenAggregator.*ComplementaryPerturbator"),
        (HierarchicalPerturbator([[i] for i in range(N)]), MarginalAggregator(), "OwenAggregator.*PermutationPerturbator"),
        (OcclusionPerturbator(), KernelAggregator(), "LeaveOneOutAggregator.*KernelPerturbator"),
        (OcclusionPerturbator(), BanzhafAggregator(), "LeaveOneOutAggregator.*BernoulliPerturbator"),
        (OcclusionPerturbator(), LimeAggregator(), "LeaveOneOutAggregator.*BernoulliPerturbator"),
        (NeymanPerturbator(), ShapleyAggregator(), "ComplementaryAggregator or KernelAggregator"),
        (ActivePerturbator(), ShapleyAggregator(), "GaussianProcessAggregator"),
        (Coins(), ShapleyAggregator(), "yield a Draw with weights, or aggregate with KernelAggregator"),
        (SobolPerturbator(), OwenAggregator(GROUPS), "SobolAggregator.*HierarchicalPerturbator"),
    ],
    ids=name,
)
def test_coalitions_that_do_not_fit_are_refused_with_what_does(perturbator, aggregator, says):
    with pytest.raises(ValueError, match=says):
        play(GAMES[0], perturbator, aggregator, n_features=N, budget=40, progress=False)


@pytest.mark.parametrize("aggregator", [KernelAggregator(), BanzhafAggregator()], ids=name)
@pytest.mark.parametrize("perturbator", [NeymanPerturbator(), SobolPerturbator(), Coins()], ids=name)
def test_regressions_on_draws_without_weights_come_nearer_with_more_of_them(perturbator, aggregator):
    n, game = 10, dense_game(10, targets=1)
    truth = play(game, ExactPerturbator(), aggregator, n_features=n, progress=False).attributions
    few, many = (
        sum(
            float((aggregate(sampled(game, perturbator, n, budget, seed), aggregator).attributions - truth).square().mean())
            for seed in range(3)
        )
        for budget in (60, 500)
    )
    assert many < 0.25 * few and many / 3 < 0.02 * truth.square().mean()


def test_a_rule_is_not_met_by_draws_of_which_nothing_is_known():
    result = play(GAMES[0], Coins(), KernelAggregator(), n_features=N, budget=200, until=Tolerance(0.5), progress=False)
    assert result.standard_errors is None and result.counts.saved == 0
    assert "could not be checked: KernelAggregator gave no standard errors" in result.notes[0]


def test_weights_of_a_users_own_make_a_sample():
    """Every coalition of two of six features is drawn by a fair coin, one of three for certain."""

    class Pairs(Perturbator):
        def draw(self, n, budget, generator):
            every = torch.cartesian_prod(*[torch.tensor([False, True])] * n)
            sizes = every.sum(1)
            kept = every[(sizes > 0) & (sizes < n) & ((sizes != 2) | (torch.rand(len(every), generator=generator) < 0.5))]
            yield Draw(kept, torch.where(kept.sum(1) == 2, 2.0, 1.0).double())

    game = dense_game(6, targets=1)
    result = play(game, Pairs(), ShapleyAggregator(), n_features=6, budget=63, progress=False)
    assert result.evaluations.design is Design.SAMPLE and result.standard_errors is None  # too few of size 2
    runs = torch.stack([aggregate(sampled(game, Pairs(), 6, 63, seed), ShapleyAggregator()).attributions for seed in range(99)])
    truth = play(game, ExactPerturbator(), ShapleyAggregator(), n_features=6, progress=False).attributions
    assert ((runs.mean(0) - truth).abs() < 4 * runs.std(0) / 99**0.5).all()


@pytest.mark.parametrize(
    "draw, says",
    [
        (lambda: Draw(torch.eye(4).bool(), weights=torch.ones(3)), "one of its weights for each of its 4 coalitions"),
        (lambda: Draw(torch.eye(4).bool(), chains=torch.ones(5, dtype=torch.int64)), "one of its chains for each of its 4"),
        (lambda: Draw(torch.eye(4).bool(), weights=torch.zeros(4)), "positive; got 0.0"),
        (lambda: Draw(torch.eye(4).bool(), weights=torch.full((4,), torch.nan)), "positive; got nan"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_a_draw_that_makes_no_sense_is_refused(draw, says):
    class Odd(Perturbator):
        def draw(self, n, budget, generator):
            yield draw()

    with pytest.raises(ValueError, match=says):
        play(lambda s: s[:, 0].double(), Odd(), KernelAggregator(), n_features=4, budget=8, progress=False)


def test_a_sample_that_the_budget_cuts_is_no_longer_one():
    class TooMany(Perturbator):
        def draw(self, n, budget, generator):
            yield Draw(torch.rand(99, n, generator=generator) < 0.5, torch.full((99,), 2.0**n / 99).double())

    known = sampled(GAMES[0], TooMany(), N, 50, 0)
    assert len(known.coalitions) == 50 and known.design is Design.UNKNOWN


def test_owen_values_of_plain_permutations_count_them_alike():
    """Weights of permutations are those of their coalitions; they used to weigh steps in the middle more."""
    flat = [[i] for i in range(N)]
    game = dense_game(N, targets=1)
    known = sampled(game, PermutationPerturbator(), N, 60, 0)
    mean = aggregate(known, MarginalAggregator()).attributions
    torch.testing.assert_close(OwenAggregator(flat).aggregate(known).attributions, mean)


def test_an_estimate_that_is_exact_may_say_so():
    class Last(Aggregator):
        def aggregate(self, evaluations):
            gains = (evaluations.full - evaluations.empty)[:, None].expand(-1, evaluations.n)
            return Estimate(gains, torch.zeros_like(gains), exact=self.exact)

    result = {}
    for exact in (True, False):
        Last.exact = exact
        result[exact] = play(GAMES[0], KernelPerturbator(), Last(), n_features=N, budget=20, progress=False)
    assert result[True].exact and not result[True].standard_errors.any()
    assert result[False].standard_errors is None and not result[False].exact
