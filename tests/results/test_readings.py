"""What is read off a finished result: intervals, modality shares, synergy, fidelity."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from support.games import dense_game, value

from interpreto_mllm import Feature, KernelShap
from interpreto_mllm.aggregators import BanzhafAggregator, KernelAggregator, LeaveOneOutAggregator, ShapleyAggregator
from interpreto_mllm.attribution import Attribution
from interpreto_mllm.core.modalities import modality_coalitions
from interpreto_mllm.explainers.play import play
from interpreto_mllm.perturbators import (
    BernoulliPerturbator,
    ExactPerturbator,
    KernelPerturbator,
    MonteCarloPerturbator,
    OcclusionPerturbator,
)
from interpreto_mllm.plots.html import page

MODALITIES = ["text", "text", "image", "image", "image", "audio"]
FEATURES = [Feature(str(i), modality=modality) for i, modality in enumerate(MODALITIES)]


def run(game, perturbator=None, aggregator=None, n=6, budget=None, extra=None, seed=0):
    perturbator, aggregator = perturbator or KernelPerturbator(), aggregator or KernelAggregator()
    return play(game, perturbator, aggregator, n_features=n, budget=budget, extra=extra, seed=seed, progress=False)


def several(budget=None, extra=None, features=FEATURES):
    result = run(dense_game(6), budget=budget, extra=extra)
    return replace(result, features=features)


def test_intervals_are_normal_ones():
    result = run(dense_game(8), n=8, budget=60)
    low, high = result.interval(0.95)
    torch.testing.assert_close(high - result.attributions, 1.959963985 * result.standard_errors)
    torch.testing.assert_close(result.attributions - low, 1.959963985 * result.standard_errors)


def test_intervals_hold_the_truth_as_often_as_they_say():
    game = dense_game(9)
    truth = run(game, ExactPerturbator(), n=9).attributions
    inside = []
    for seed in range(40):
        low, high = run(game, n=9, budget=120, seed=seed).interval(0.9)
        inside.append(((low <= truth) & (truth <= high)).double().mean())
    assert 0.84 < float(torch.stack(inside).mean()) < 0.97


def test_no_errors_no_intervals():
    with pytest.raises(ValueError, match="no standard errors"):
        replace(run(dense_game(6)), standard_errors=None).interval()
    with pytest.raises(ValueError, match="between 0 and 1"):
        run(dense_game(6)).interval(95.0)


def test_shares_are_parts_of_the_absolute_mass():
    result = several(budget=40)
    mass = result.attributions.abs().sum(0)
    shares = result.modality_shares()
    assert list(shares) == ["text", "image", "audio"] and sum(shares.values()) == pytest.approx(1)
    assert shares["image"] == pytest.approx(float(mass[2:5].sum() / mass.sum()))
    one = result.modality_shares(target=1)
    assert one["text"] == pytest.approx(float(result.attributions[1].abs()[:2].sum() / result.attributions[1].abs().sum()))
    assert repr(shares).startswith("{text: 0.") and " ± " in repr(shares)
    assert shares == dict(shares)


def test_errors_of_shares_are_those_of_noisy_scores():
    scores = torch.tensor([[2.0, -1.0, 3.0, 1.5, -2.5, 1.0]], dtype=torch.float64)
    errors = torch.tensor([[0.1, 0.05, 0.2, 0.1, 0.15, 0.1]], dtype=torch.float64)
    result = replace(several(), attributions=scores, standard_errors=errors, targets=["t"])
    shares = result.modality_shares()
    noise = torch.randn(20000, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    drawn = (scores + errors * noise).abs()
    for modality, columns in (("text", slice(0, 2)), ("image", slice(2, 5)), ("audio", slice(5, 6))):
        seen = (drawn[:, columns].sum(1) / drawn.sum(1)).std()
        assert shares.standard_errors[modality] == pytest.approx(float(seen), rel=0.05)


def test_shares_without_errors_or_mass():
    assert replace(several(), standard_errors=None).modality_shares().standard_errors is None
    assert "±" not in repr(replace(several(), standard_errors=None).modality_shares())
    with pytest.raises(ValueError, match="zero"):
        run(lambda s: s[:, 0] * 0.0).modality_shares()
    with pytest.raises(ValueError, match="no target 2"):
        several().modality_shares(target=2)


def test_synergy_is_what_modalities_are_worth_together():
    game = dense_game(6)
    result = several()
    text, image, audio = (0, 1), (2, 3, 4), (5,)
    v = lambda *members: value(game, 6, members)  # noqa: E731
    torch.testing.assert_close(result.synergy("text", "image"), v(*text, *image) - v(*text) - v(*image) + v())
    apart = v(*text) + v(*image) + v(*audio)
    torch.testing.assert_close(result.synergy(), v(*range(6)) - apart + 2 * v())
    both = run(lambda s: (s[:, 0] & s[:, 2]).double())
    assert replace(both, features=FEATURES).synergy("text", "image").item() == 1.0


def test_synergy_says_what_is_missing():
    with pytest.raises(ValueError, match="3 of the 3 coalitions this takes were not evaluated"):
        several(budget=14).synergy("text", "image")
    with pytest.raises(ValueError, match="different modalities"):
        several().synergy("text", "video")
    with pytest.raises(ValueError, match="different modalities"):
        several().synergy("text", "text")
    with pytest.raises(ValueError, match="across modalities"):
        several(features=[*FEATURES[:5], Feature("5", modality="mixed")]).synergy("text", "image")
    with pytest.raises(ValueError, match="which has text features"):
        run(dense_game(6)).synergy()


@pytest.mark.parametrize(
    "perturbator, aggregator",
    [(KernelPerturbator(), KernelAggregator()), (MonteCarloPerturbator(), ShapleyAggregator())],
    ids=lambda part: type(part).__name__,
)
def test_extra_coalitions_are_evaluated_within_the_budget_and_kept_from_the_sample(perturbator, aggregator):
    game, extra = dense_game(6), modality_coalitions(FEATURES)
    result = run(game, perturbator, aggregator, budget=30, extra=extra)
    assert len(extra) == 6 and 24 < result.counts.evaluations <= 30
    assert replace(result, features=FEATURES).synergy().isfinite().all()
    without = run(game, perturbator, aggregator, budget=24)
    torch.testing.assert_close(result.attributions, without.attributions)
    torch.testing.assert_close(result.standard_errors, without.standard_errors)
    torch.testing.assert_close(result.reaggregate(aggregator).attributions, without.attributions)


def test_extra_coalitions_give_way_to_a_tight_budget():
    extra = modality_coalitions(FEATURES)
    assert run(dense_game(6), OcclusionPerturbator(), LeaveOneOutAggregator(), extra=extra).counts.evaluations == 8
    assert run(dense_game(6), ExactPerturbator(), ShapleyAggregator(), extra=extra).counts.evaluations == 64


def test_prompts_of_one_modality_have_no_extra_coalitions():
    assert modality_coalitions(FEATURES[:2]).shape == (0, 2)
    assert modality_coalitions([*FEATURES, Feature("m", modality="mixed")]).shape == (0, 7)


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
    assert result.fidelity().exact


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
    from interpreto_mllm.results.fidelity import _rank_correlation

    first = torch.randint(6, (40, 2), generator=torch.Generator().manual_seed(0)).double()
    second = first + torch.randint(4, (40, 2), generator=torch.Generator().manual_seed(1))
    expected = [stats.spearmanr(first[:, i], second[:, i]).statistic for i in range(2)]
    assert _rank_correlation(first, second).tolist() == pytest.approx(expected)


def test_the_page_says_it(recall):
    [explanation] = KernelShap(*recall, progress=False)("the apple is red . what is the apple ?", " red")
    assert "These scores explain next to nothing of how the answer changes when parts are left out" in page(explanation)
    assert "when parts are left out" not in page(run(dense_game(6), OcclusionPerturbator(), LeaveOneOutAggregator()))


def test_readings_survive_a_file(tmp_path):
    result = several(budget=40)
    result.save(tmp_path / "result.json")
    loaded = Attribution.load(tmp_path / "result.json")
    assert loaded.interactions().values.equal(result.interactions().values)
    assert dict(loaded.modality_shares()) == pytest.approx(dict(result.modality_shares()))
