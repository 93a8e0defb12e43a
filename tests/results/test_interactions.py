"""Pairwise interactions against their definitions."""

from __future__ import annotations

from itertools import combinations
from math import comb

import pytest
import torch
from support.games import dense_game, everything, value

from interpreto_mllm import Feature
from interpreto_mllm.aggregators import KernelAggregator, LeaveOneOutAggregator
from interpreto_mllm.aggregators.interactions import INDICES, interactions, sum_over_coalitions
from interpreto_mllm.aggregators.pair_process import read_pairs
from interpreto_mllm.aggregators.pair_regression import regress_pairs
from interpreto_mllm.attribution import Attribution
from interpreto_mllm.core.evaluations import Evaluations
from interpreto_mllm.explainers.play import play
from interpreto_mllm.perturbators import (
    ActivePerturbator,
    BernoulliPerturbator,
    ExactPerturbator,
    KernelPerturbator,
    MonteCarloPerturbator,
    NeymanPerturbator,
    OcclusionPerturbator,
    PermutationPerturbator,
)

REGRESSED = ("SII", "FSII", "STII")
WEIGHTS = {
    "SII": lambda n, s: 1 / ((n - 1) * comb(n - 2, s)),
    "k-SII": lambda n, s: 1 / ((n - 1) * comb(n - 2, s)),
    "STII": lambda n, s: 2 / (n * comb(n - 1, s)),
    "BII": lambda n, s: 1 / 2 ** (n - 2),
    "FBII": lambda n, s: 1 / 2 ** (n - 2),
    "Möbius": lambda n, s: float(s == 0),
}


def by_derivatives(game, n, index):
    """Σ over S without i, j of weight(|S|) · (v(S∪ij) − v(S∪i) − v(S∪j) + v(S))."""
    matrix = torch.zeros(len(value(game, n, ())), n, n, dtype=torch.float64)
    for i, j in combinations(range(n), 2):
        others = [k for k in range(n) if k not in (i, j)]
        for size in range(n - 1):
            for s in combinations(others, size):
                both, one = value(game, n, (*s, i, j)), value(game, n, (*s, i)) + value(game, n, (*s, j))
                matrix[:, i, j] += WEIGHTS[index](n, size) * (both - one + value(game, n, s))
    return matrix + matrix.transpose(1, 2)


def by_least_squares(game, n):
    """The pairs of the polynomial of degree 2 nearest under the Shapley kernel, ∅ and N met by elimination (FSII)."""
    coalitions = everything(n)
    present, values = coalitions.double(), game(coalitions)
    pairs = list(combinations(range(n), 2))
    design = torch.cat([present, torch.stack([present[:, i] * present[:, j] for i, j in pairs], 1)], 1)
    values = values - values[0]
    free = design[:, :-1] - design[:, -1:] * design[-1, :-1]
    rest = values - design[:, -1:] * values[-1]
    sizes = coalitions.sum(1)
    inner = (sizes > 0) & (sizes < n)
    masses = [1 / (comb(n, s) * s * (n - s)) for s in sizes[inner].tolist()]
    weights = torch.tensor(masses, dtype=torch.float64).sqrt()[:, None]
    coefficients = torch.linalg.lstsq(free[inner] * weights, rest[inner] * weights, driver="gelsd").solution
    coefficients = torch.cat([coefficients, values[-1:] - coefficients.sum(0)])
    matrix = torch.zeros(values.shape[1], n, n, dtype=torch.float64)
    for place, (i, j) in enumerate(pairs):
        matrix[:, i, j] = matrix[:, j, i] = coefficients[n + place]
    return matrix


def definition(game, n, index):
    return by_least_squares(game, n) if index == "FSII" else by_derivatives(game, n, index)


def run(game, perturbator, n, budget=None, seed=0):
    aggregator = LeaveOneOutAggregator() if isinstance(perturbator, OcclusionPerturbator) else KernelAggregator()
    return play(game, perturbator, aggregator, n_features=n, budget=budget, seed=seed, progress=False)


def complete(game, n):
    return run(game, ExactPerturbator(), n).evaluations


@pytest.mark.parametrize("index", INDICES)
@pytest.mark.parametrize("n", [2, 3, 4, 5, 6])
def test_all_coalitions_give_the_definition(n, index):
    game = dense_game(n)
    found = interactions(complete(game, n), index)
    torch.testing.assert_close(found.interactions, definition(game, n, index), atol=1e-9, rtol=1e-9)
    assert not found.standard_errors.any()


@pytest.mark.parametrize("index", REGRESSED)
@pytest.mark.parametrize("n", [8, 9, 10])
def test_the_regression_over_all_coalitions_is_the_index(n, index):
    evaluations = complete(dense_game(n), n)
    torch.testing.assert_close(
        regress_pairs(evaluations, index).interactions,
        sum_over_coalitions(evaluations, index).interactions,
        atol=1e-9,
        rtol=1e-9,
    )


@pytest.mark.parametrize("index", ["SII", "FSII"])
def test_the_regression_without_complements_is_the_index_too(index):
    n = 9
    evaluations = complete(dense_game(n), n)
    found = regress_pairs(evaluations, index).interactions
    keys = (evaluations.coalitions ^ evaluations.coalitions[:, :1]).long() @ (1 << torch.arange(n))
    side = torch.rand(2**n, generator=torch.Generator().manual_seed(0))[keys] < 0.5
    rows = ((evaluations.coalitions[:, 0] == side) | (torch.arange(2**n) < 2)).nonzero()[:, 0]
    draws, ones = torch.arange(len(rows)), torch.ones(len(rows), dtype=torch.float64)
    some = Evaluations(evaluations.coalitions[rows], evaluations.values[rows], draws, ones, draws)
    error = (regress_pairs(some, index).interactions - found).square().sum() / found.square().sum()
    assert error < 0.15


@pytest.mark.parametrize("index", ["SII", "FSII"])
@pytest.mark.parametrize(
    "perturbator",
    [
        KernelPerturbator(),
        MonteCarloPerturbator(),
        PermutationPerturbator(),
        BernoulliPerturbator(),
        BernoulliPerturbator(paired=False),
        NeymanPerturbator(),
    ],
    ids=lambda perturbator: type(perturbator).__name__,
)
def test_more_evaluations_of_any_kind_bring_it_nearer(perturbator, index):
    n = 10
    game = dense_game(n)
    truth = sum_over_coalitions(complete(game, n), index).interactions
    errors = [
        sum(
            float(
                (regress_pairs(run(game, perturbator, n, budget, seed).evaluations, index).interactions - truth).square().sum()
            )
            for seed in range(6)
        )
        / 6
        / float(truth.square().sum())
        for budget in (100, 600)
    ]
    assert errors[1] < min(0.5 * errors[0], 0.25)


def test_a_game_of_pairs_is_found_from_few_coalitions():
    n = 12
    line = torch.linspace(-1, 1, n).double()
    game = lambda s: s.double() @ line + 2 * (s[:, 1] & s[:, 4]) - 3 * (s[:, 0] & s[:, 7])  # noqa: E731
    truth = torch.zeros(n, n).double()
    truth[1, 4] = truth[4, 1] = 2
    truth[0, 7] = truth[7, 0] = -3
    for index in ("SII", "FSII"):
        found = run(game, KernelPerturbator(), n, 260).interactions(index=index)
        torch.testing.assert_close(found.matrix(), truth, atol=1e-6, rtol=0)
    assert [(pair.first, pair.second) for pair in run(game, KernelPerturbator(), n, 120).interactions().top(2)] == [
        (0, 7),
        (1, 4),
    ]


@pytest.mark.parametrize("index", ["SII", "FSII"])
def test_standard_errors_are_those_seen_over_seeds(index):
    n = 10
    game = dense_game(n, targets=1)
    truth = sum_over_coalitions(complete(game, n), index).interactions
    covered, count = 0, 0
    for seed in range(25):
        found = regress_pairs(run(game, KernelPerturbator(), n, 300, seed).evaluations, index)
        assert found.standard_errors is not None
        off = ~torch.eye(n, dtype=torch.bool)
        inside = ((found.interactions - truth).abs() <= 1.96 * found.standard_errors + 1e-9)[:, off]
        covered, count = covered + int(inside.sum()), count + inside.numel()
    assert 0.9 < covered / count <= 1.0


def test_the_sums_of_a_feature_are_met_where_the_border_is_known():
    n = 11
    game = dense_game(n)
    found = run(game, KernelPerturbator(), n, 150).interactions()
    everyone = set(range(n))
    for i in range(n):
        last = value(game, n, tuple(everyone)) - value(game, n, tuple(everyone - {i}))
        first = value(game, n, (i,)) - value(game, n, ())
        torch.testing.assert_close(found.values[:, i].sum(1), last - first)


def test_taylor_interactions_add_up():
    n = 9
    game = dense_game(n)
    result = run(game, KernelPerturbator(), n, 200)
    alone = torch.stack([value(game, n, (i,)) - value(game, n, ()) for i in range(n)], 1)
    pairs = result.interactions(index="STII").values.sum((1, 2)) / 2
    torch.testing.assert_close(alone.sum(1) + pairs, result.full - result.empty)


def chain(n):
    """Neighbours work together, and the sum saturates."""
    strengths = torch.linspace(0.2, 1.5, n - 1).double()
    return lambda s: torch.tanh((s[:, 1:] & s[:, :-1]).double() @ strengths - 1)[:, None]


@pytest.mark.parametrize("index", ["SII", "STII", "BII"])
@pytest.mark.parametrize("perturbator", [ActivePerturbator(), KernelPerturbator(), BernoulliPerturbator(paired=False)])
def test_the_process_is_near_and_knows_how_near(perturbator, index):
    n = 9
    game = chain(n)
    truth = sum_over_coalitions(complete(game, n), index).interactions
    found = read_pairs(run(game, perturbator, n, 90).evaluations, index)
    assert (found.interactions - truth).square().sum() < 0.25 * truth.square().sum()
    assert found.standard_errors is not None
    off = ~torch.eye(n, dtype=torch.bool)
    inside = (found.interactions - truth).abs()[:, off] <= 1.96 * found.standard_errors[:, off]
    assert inside.double().mean() > 0.85
    assert found.standard_errors[:, off].mean() < truth[:, off].square().mean().sqrt()


@pytest.mark.parametrize("perturbator", [ActivePerturbator(), KernelPerturbator()])
def test_the_process_is_nearer_than_the_regression(perturbator):
    n = 12
    game = chain(n)
    truth = sum_over_coalitions(complete(game, n), "SII").interactions
    samples = [run(game, perturbator, n, 200, seed).evaluations for seed in range(3)]
    process, regression = (
        sum(float((read(sample, "SII").interactions - truth).square().sum()) for sample in samples)
        for read in (read_pairs, regress_pairs)
    )
    assert process < 0.6 * regression


def test_a_game_of_pairs_is_left_to_the_regression():
    n = 8
    game = lambda s: (s[:, 1] & s[:, 4]).double() - 0.5 * (s[:, 0] & s[:, 7]) + 0.1 * s.sum(1)  # noqa: E731
    evaluations = run(game, KernelPerturbator(), n, 130).evaluations
    assert torch.equal(interactions(evaluations).interactions, regress_pairs(evaluations, "SII").interactions)


def test_what_cannot_be_told_is_said():
    game = dense_game(6)
    result = run(game, KernelPerturbator(), 6, 40)
    with pytest.raises(ValueError, match="order must be 2"):
        result.interactions(order=4)
    with pytest.raises(ValueError, match="'SII', 'FSII', 'STII', 'k-SII', 'BII', 'FBII', 'Möbius'; got 'BTI'"):
        result.interactions(index="BTI")
    with pytest.raises(ValueError, match="no target 2"):
        result.interactions().top(1, target=2)
    with pytest.raises(ValueError, match="kind"):
        result.interactions().plot(kind="circle")
    with pytest.raises(ValueError, match="every feature on its own"):
        run(game, OcclusionPerturbator(), 6).interactions(index="STII")
    with pytest.raises(ValueError, match="BII is not read off coalitions that follow a fixed rule"):
        run(game, OcclusionPerturbator(), 6).interactions(index="BII")
    with pytest.raises(ValueError, match="of 2 features or more; this result has 1"):
        run(lambda s: s[:, 0].double(), ExactPerturbator(), 1).interactions()


@pytest.mark.parametrize("perturbator", [KernelPerturbator(), OcclusionPerturbator(), BernoulliPerturbator(paired=False)])
@pytest.mark.parametrize("game", [lambda s: s[:, 0].double() * 0 + 3, lambda s: (s[:, 0] & s[:, 1]).double()])
def test_constant_games_and_few_coalitions_stay_finite(perturbator, game):
    for n, budget in ((3, 5), (5, 7), (12, 14)):
        found = run(game, perturbator, n, budget).interactions()
        assert found.values.isfinite().all()
        assert not found.values.diagonal(dim1=1, dim2=2).any()


def picture():
    """Three words and a picture of four pieces in which a word and a piece work together."""
    game = lambda s: (s[:, 1] & s[:, 4]).double() + 0.3 * s[:, 0] - 0.4 * (s[:, 0] & s[:, 2])  # noqa: E731
    words = [Feature(text, spans=((3 * i, 3 * i + 2),)) for i, text in enumerate(("what", "circle", "?"))]
    pieces = [
        Feature(
            f"row {r + 1}, column {c + 1}", modality="image", pieces=((0, 2 * r + c),), box=(c * 8, r * 8, c * 8 + 8, r * 8 + 8)
        )
        for r in range(2)
        for c in range(2)
    ]
    result = run(game, ExactPerturbator(), 7)
    return Attribution.from_evaluations(result.evaluations, KernelAggregator(), features=words + pieces, targets=["red"])


def test_pairs_are_named():
    found = picture().interactions()
    assert str(found.top(1)[0]) == "circle × row 1, column 2  +1"
    assert [round(pair.value, 6) for pair in found.top(3)] == [1.0, -0.4, 0.0]
    assert "circle × row 1, column 2  +1,  what × ?  -0.4" in repr(found)


def test_frames_hold_every_pair():
    frame = picture().interactions().to_frame()
    assert len(frame) == 21
    line = frame.sort_values("interaction").iloc[-1]
    assert (line["first"], line["second"], line["first_index"], line["second_index"]) == ("circle", "row 1, column 2", 1, 4)


@pytest.mark.parametrize("kind", ["matrix", "network"])
def test_pictures_show_the_pairs(kind, tmp_path):
    found = picture().interactions()
    drawn = found.plot(tmp_path / "pairs.svg", kind=kind)
    written = (tmp_path / "pairs.svg").read_text(encoding="utf-8")
    assert "circle" in written and "Shapley interaction index" in written
    [axes] = drawn.axes[:1]
    if kind == "matrix":
        shown = torch.tensor(axes.collections[0].get_array().filled(0.0)).reshape(7, 7)
        torch.testing.assert_close(shown, found.matrix())
    else:
        from matplotlib.patches import Arc, FancyArrowPatch, Rectangle

        kinds = [type(patch) for patch in axes.patches]
        assert (kinds.count(Rectangle), kinds.count(Arc), kinds.count(FancyArrowPatch)) == (4, 1, 1)


@pytest.mark.parametrize("index", ["SII", "FSII"])
def test_coalitions_evaluated_beside_the_sample_change_nothing(index):
    n, budget = 10, 80
    beside = torch.tensor([[i < 4 for i in range(n)], [i >= 4 for i in range(n)]])
    smooth = dense_game(n)

    def peculiar(coalitions):
        return smooth(coalitions) + 5 * (coalitions[:, None] == beside).all(2).any(1, keepdim=True)

    found = [
        play(game, KernelPerturbator(), KernelAggregator(), n_features=n, budget=budget, extra=beside, progress=False)
        for game in (smooth, peculiar)
    ]
    drawn = found[0].evaluations.drawn
    assert len(drawn.coalitions) == len(found[0].coalitions) - 2
    without, having = (result.interactions(index=index) for result in found)
    assert torch.equal(without.values, having.values)
    assert torch.equal(without.values, read_pairs(drawn, index).interactions)
