"""Few features and interactions are found among many from few evaluations, and played with all others present."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, log2

import pytest
import torch
from support.games import counted, dense_game
from torch import Tensor

from interpreto_mllm import Draw
from interpreto_mllm.aggregators import ScreenedAggregator
from interpreto_mllm.core.evaluations import Evaluations
from interpreto_mllm.evaluation.budget import resolve_budget
from interpreto_mllm.evaluation.session import SamplingSession
from interpreto_mllm.explainers.play import play
from interpreto_mllm.perturbators import ScreeningPerturbator


def game_of_sets(*sets: tuple[float, Sequence[int]]):
    """Sets of features that are worth something where all of them are present."""
    return lambda s: torch.stack([worth * s[:, list(members)].all(1).double() for worth, members in sets]).sum(0)[:, None]


def dealt(game, perturbator: ScreeningPerturbator, n: int, budget: int, seed: int = 0) -> Evaluations:
    session = SamplingSession(perturbator, n, budget, seed)
    while (coalitions := session.missing()) is not None:
        assert session.evaluated + len(coalitions) <= budget
        session.record(coalitions, game(coalitions))
    return session.evaluations()


def kept(evaluations: Evaluations) -> list[int]:
    return (~evaluations.coalitions[evaluations.draws[evaluations.chains == -1]]).any(0).nonzero()[:, 0].tolist()


GAMES = {
    "single features": (game_of_sets((3.0, [17]), (-2.0, [404]), (1.0, [803])), [17, 404, 803]),
    "a pair and a triple": (game_of_sets((3.0, [17, 600]), (2.0, [99, 404, 803])), [17, 99, 404, 600, 803]),
    "either of two": (lambda s: (s[:, 200] | s[:, 777]).double()[:, None], [200, 777]),
    "opposites far apart": (game_of_sets((1.0, [30]), (-1.0, [930])), [30, 930]),
}


@pytest.mark.parametrize("name", GAMES)
def test_what_matters_is_found_among_a_thousand(name):
    game, expected = GAMES[name]
    evaluations = dealt(game, ScreeningPerturbator(), 1000, 384)
    assert kept(evaluations) == expected
    scores = ScreenedAggregator().aggregate(evaluations).attributions[0]
    assert scores.nonzero()[:, 0].tolist() == expected
    assert float(scores.sum() - (evaluations.full - evaluations.empty)) == pytest.approx(0, abs=1e-9)


def test_what_is_left_of_the_budget_finds_features_that_cancel_each_other():
    evaluations = dealt(game_of_sets((5.0, [100]), (1.0, [51]), (-1.0, [54])), ScreeningPerturbator(), 200, 500)
    assert kept(evaluations) == [51, 54, 100]


@pytest.mark.parametrize("n", [64, 512, 4096])
def test_evaluations_until_found_grow_with_the_logarithm(n):
    """At most 4 · s · log2 n of them for s = 4 features, however many there are."""
    game, asked = counted(game_of_sets((3.0, [3]), (-2.0, [n // 3]), (1.0, [n // 2]), (2.0, [n - 5])))
    drawing = ScreeningPerturbator().draw(n, 16 * ceil(log2(n)) * 2, torch.Generator().manual_seed(0))
    draw = next(drawing)
    while isinstance(draw, Draw) and draw.chains is not None and not (draw.chains == -1).any():
        draw = drawing.send(game(draw.coalitions))
    assert isinstance(draw, Draw) and len(set(asked)) <= 16 * log2(n)


@pytest.mark.parametrize("n", [1, 2, 3, 5, 12, 40])
def test_any_budget_is_kept(n):
    perturbator = ScreeningPerturbator()
    least = perturbator.minimum_budget(n)
    for budget in {least, least + 1, least + 7, perturbator.default_budget(min(n, 20))}:
        evaluations = dealt(dense_game(n), perturbator, n, min(budget, 2**n))
        found = ScreenedAggregator().aggregate(evaluations)
        assert found.attributions.isfinite().all() and len(evaluations.coalitions) <= budget


def test_coalitions_are_nested_and_those_of_the_kept_have_all_others():
    n = 60
    game = dense_game(n)
    evaluations = dealt(game, ScreeningPerturbator(), n, 200)
    chosen = torch.zeros(n, dtype=torch.bool)
    chosen[kept(evaluations)] = True
    assert 0 < int(chosen.sum()) <= 24
    for number, start in ((0, torch.zeros(n, dtype=torch.bool)), (1, chosen)):
        rows = evaluations.coalitions[evaluations.draws[evaluations.chains == number].unique()]
        rows = rows[rows.sum(1).argsort()]
        assert rows[0].equal(start) and rows[-1].equal(start | ~chosen)
        assert bool((rows[1:] >= rows[:-1]).all()) and bool((rows.int().diff(dim=0).sum(1) > 0).all())
        joined = [list(step.nonzero()[:, 0]) for step in rows.int().diff(dim=0)]
        assert [feature for step in joined for feature in step] == (~chosen).nonzero()[:, 0].tolist()
    assert bool(evaluations.coalitions[evaluations.draws[evaluations.chains == -1]][:, ~chosen].all())


def test_groups_join_as_wholes_in_their_order():
    groups = [[5, 4], [[0, 1], [2, 3]], [6, 7, 8, 9, 10, 11]]
    drawing = ScreeningPerturbator(groups).draw(12, 80, torch.Generator())
    first: Draw | Tensor = next(drawing)
    assert isinstance(first, Draw)
    steps = [set(step.nonzero()[:, 0].tolist()) for step in first.coalitions.int().diff(dim=0)]
    wholes = [{5, 4}, {0, 1}, {2, 3}, {0, 1, 2, 3}, {6, 7, 8, 9, 10, 11}]
    assert all(step in wholes or len(step) == 1 for step in steps)
    assert steps[0] <= {5, 4} and 11 in steps[-1]


def test_the_same_seed_draws_the_same():
    one, two = (dealt(dense_game(50), ScreeningPerturbator(), 50, 150, seed=3) for _ in range(2))
    assert one.coalitions.equal(two.coalitions) and one.draws.equal(two.draws)


def test_nothing_happens():
    result = play(lambda s: torch.zeros(len(s)), ScreeningPerturbator(), ScreenedAggregator(), n_features=300, progress=False)
    assert not result.attributions.any() and result.standard_errors is None


def test_a_budget_that_finds_nothing_is_refused():
    with pytest.raises(ValueError, match="needs a budget of at least 48 evaluations for 1000 features; got 47"):
        resolve_budget(ScreeningPerturbator(), 1000, 47)
