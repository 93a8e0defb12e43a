"""How far the scores predict what was held out."""

from __future__ import annotations

import pytest
import torch
from support.games import dense_game
from support.results import run

from interpreto_mllm import KernelShap
from interpreto_mllm.aggregators import BanzhafAggregator, LeaveOneOutAggregator
from interpreto_mllm.perturbators import BernoulliPerturbator, ExactPerturbator, OcclusionPerturbator
from interpreto_mllm.plots.html import page


def test_an_additive_game_is_explained_in_full():
    line = torch.linspace(-1, 2, 8).double()
    fidelity = run(lambda s: s.double() @ line, n=8, budget=80).fidelity()
    assert fidelity.additive.item() == pytest.approx(1) and fidelity.additive_rank.item() > 0.999
    assert fidelity.explained == pytest.approx(1) and fidelity.interaction_share.item() == pytest.approx(0, abs=1e-6)
    assert fidelity.sentence == "These scores explain 100 % of how the value changes when parts are left out."
    assert "R² 1, rank correlation 1 (78 held-out coalitions)" in repr(fidelity)


def test_a_game_of_pairs_is_explained_by_pairs():
    game = lambda s: 2.0 * (s[:, 0] & s[:, 1]) - 2.0 * (s[:, 2] & s[:, 3]) + 2.0 * (s[:, 4] & s[:, 5])  # noqa: E731
    fidelity = run(game, n=8, budget=150).fidelity()
    assert fidelity.additive.item() < 0.9 and fidelity.pairwise.item() > 0.999
    assert fidelity.interaction_share.item() == pytest.approx(6 / 12, abs=0.01)


def test_the_fidelity_of_all_coalitions_is_the_plain_coefficient():
    n, game = 7, dense_game(7, targets=1)
    result = run(game, ExactPerturbator(), n=n)
    sizes = result.coalitions.sum(1)[2:]
    weights = torch.tensor([[0, *(1 / (s * (n - s)) / torch.sum(sizes == s) for s in range(1, n))][s] for s in sizes.tolist()])
    truth, weights = result.values[2:, 0], weights.double()
    predicted = result.empty + result.coalitions[2:].double() @ result.attributions[0]
    mean = (weights * truth).sum() / weights.sum()
    expected = 1 - (weights * (truth - predicted) ** 2).sum() / (weights * (truth - mean) ** 2).sum()
    assert result.fidelity().additive.item() == pytest.approx(float(expected), rel=1e-6)
    assert result.fidelity().exact and "held-out" not in repr(result.fidelity())


def test_held_out_is_near_what_all_coalitions_say():
    game = dense_game(9, targets=1)
    everything = run(game, ExactPerturbator(), n=9).fidelity()
    sampled = run(game, n=9, budget=200).fidelity()
    assert sampled.additive.item() == pytest.approx(everything.additive.item(), abs=0.1)
    assert sampled.pairwise.item() == pytest.approx(everything.pairwise.item(), abs=0.1)


def test_fidelity_of_odd_games():
    assert (
        run(dense_game(6), ExactPerturbator(), BanzhafAggregator()).fidelity().sentence.startswith("A sum of scores explains")
    )
    still = run(lambda s: s[:, 0] * 0.0 + 3, n=8, budget=80).fidelity()
    assert still.sentence == "The answer does not change when parts are left out." and still.explained != still.explained
    with pytest.raises(ValueError, match="too few"):
        run(dense_game(6), OcclusionPerturbator(), LeaveOneOutAggregator()).fidelity()
    with pytest.raises(ValueError, match="too few"):
        run(lambda s: s[:, 0].double(), n=1).fidelity()
    coins = run(dense_game(9, targets=1), BernoulliPerturbator(paired=False), BanzhafAggregator(), n=9, budget=200)
    assert coins.fidelity().additive.isfinite().all()


def test_ranks_are_scipys():
    stats = pytest.importorskip("scipy.stats")
    from interpreto_mllm.results.fidelity import rank_correlation

    first = torch.randint(6, (40, 2), generator=torch.Generator().manual_seed(0)).double()
    second = first + torch.randint(4, (40, 2), generator=torch.Generator().manual_seed(1))
    expected = [stats.spearmanr(first[:, i], second[:, i]).statistic for i in range(2)]
    assert rank_correlation(first, second).tolist() == pytest.approx(expected)


def test_the_page_says_it(recall):
    [explanation] = KernelShap(*recall, progress=False)("the apple is red . what is the apple ?", " red")
    assert "These scores explain next to nothing of how the answer changes when parts are left out" in page(explanation)
    assert "when parts are left out" not in page(run(dense_game(6), OcclusionPerturbator(), LeaveOneOutAggregator()))
