"""Scores of kept features against their definition, and intervals of the others against what they are worth."""

from __future__ import annotations

import pytest
import torch
from support.games import dense_game, exact_shapley

from interpreto_mllm import Attribution, TopK
from interpreto_mllm.aggregators import KernelAggregator, OwenAggregator, ScreenedAggregator
from interpreto_mllm.aggregators.aggregate import aggregate
from interpreto_mllm.aggregators.screened import kept_features
from interpreto_mllm.explainers.play import play
from interpreto_mllm.perturbators import ExactPerturbator, KernelPerturbator, ScreeningPerturbator


def strong_and_weak(n: int, seed: int, weak: float = 0.02):
    """A few strong features, pairs of them, and weak effects of all; with what each is worth."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(n, generator=generator)
    single, pairs = order[:4], order[4:8].view(2, 2)
    strengths = 1 + torch.rand(6, generator=generator).double()
    effects = weak * torch.randn(n, generator=generator).double()

    def game(s):
        together = s[:, pairs].all(2).double() @ strengths[4:]
        return (s[:, single].double() @ strengths[:4] + together + s.double() @ effects)[:, None]

    worth = effects.clone()
    worth[single] += strengths[:4]
    worth[pairs.flatten()] += strengths[4:].repeat_interleave(2) / 2
    return game, worth


def played(game, n: int, budget: int | None = None, **options) -> Attribution:
    return play(game, ScreeningPerturbator(), ScreenedAggregator(), n_features=n, budget=budget, progress=False, **options)


def test_kept_features_have_the_values_of_the_game_with_all_others_present():
    n, dense = 40, dense_game(4)
    chosen = torch.tensor([3, 17, 20, 38])
    shape = torch.randn(n, 2, generator=torch.Generator().manual_seed(1)).double() * 0.001
    game = lambda s: dense(s[:, chosen]) + (s.double() @ shape) * (1 + s[:, 3:4])  # noqa: E731
    result = played(game, n)
    assert kept_features(result.evaluations).nonzero()[:, 0].tolist() == chosen.tolist()

    def restricted(sides):
        coalitions = torch.ones(len(sides), n, dtype=torch.bool)
        coalitions[:, chosen] = sides
        return game(coalitions)

    torch.testing.assert_close(result.attributions[:, chosen], exact_shapley(restricted, 4))
    assert result.standard_errors is not None and not result.standard_errors[:, chosen].any()
    others = torch.ones(n, dtype=torch.bool)
    others[chosen] = False
    assert not result.attributions[:, others].any()
    mass = restricted(torch.zeros(1, 4, dtype=torch.bool))[0] - result.empty
    torch.testing.assert_close(-result.efficiency_gap, mass)
    assert result.notes == (
        f"Screening kept 4 of 40 features; {float(mass.abs().max()):.3g} of v(N) − v(∅) was screened out, for the target of "
        "which it is most.",
    )


def test_intervals_hold_what_features_are_worth():
    for n, seed in ((100, 0), (100, 1), (400, 2), (1000, 3)):
        game, worth = strong_and_weak(n, seed)
        result = played(game, n)
        low, high = result.interval(0.95)
        held = (low[0] <= worth + 1e-9) & (worth - 1e-9 <= high[0])
        assert float(held.double().mean()) >= 0.95, (n, seed)
        strong = worth.abs() > 0.3
        assert set(strong.nonzero()[:, 0].tolist()) <= set(kept_features(result.evaluations).nonzero()[:, 0].tolist())


def test_what_matters_in_a_nearly_empty_prompt_alone_scores_zero():
    n, weak = 100, 0.05 * torch.randn(100, generator=torch.Generator().manual_seed(2)).double()

    def game(s):
        first = s[:, 3].double() / (1 + s[:, 4:].sum(1) / 2)
        return (10 * s[:, 70].double() + first + s.double() @ weak)[:, None]

    result = played(game, n)
    kept = kept_features(result.evaluations)
    assert kept[[3, 70]].all()
    assert result.attributions[0].nonzero()[:, 0].tolist() == [70]
    low, high = result.interval(0.95)
    settled = float(game(torch.ones(1, n)) - game(torch.ones(1, n) - torch.eye(n)[3:4]))
    assert float(low[0, 3]) <= settled <= float(high[0, 3])
    sums = aggregate(result.evaluations, ScreenedAggregator()).sums
    assert sums is not None and result.standard_errors is not None
    torch.testing.assert_close(sums(torch.eye(n, dtype=torch.float64)), result.standard_errors)
    assert result.notes[0].startswith(
        f"Screening kept {int(kept.sum())} of 100 features, {int(kept.sum()) - 1} of which score zero;"
    )


def test_errors_of_sums_are_those_of_kept_features_and_of_the_groups_they_touch():
    game, _ = strong_and_weak(100, 1)
    result = played(game, 100, budget=120)
    sums = aggregate(result.evaluations, ScreenedAggregator()).sums
    assert sums is not None and result.standard_errors is not None
    torch.testing.assert_close(sums(torch.eye(100, dtype=torch.float64)), result.standard_errors)
    kept, first = kept_features(result.evaluations), int((~kept_features(result.evaluations)).nonzero()[0])
    some = kept.double()
    some[first] = 1
    alone = sums(kept.double()[:, None])
    torch.testing.assert_close(sums(some[:, None]), (alone.square() + result.standard_errors[:, first].square()).sqrt())


def test_groups_that_there_is_no_budget_to_open_keep_their_value():
    n = 256
    strengths = torch.linspace(0.5, 1.5, n).double()
    result = played(lambda s: (s.double() @ strengths)[:, None], n, budget=120)
    error = (result.attributions[0] - strengths).abs()
    assert float(error.max()) < 0.1 and float(result.efficiency_gap.abs().max()) < 1e-9


def test_sampling_stops_once_the_strongest_are_known():
    game, _ = strong_and_weak(400, 5)
    whole, early = played(game, 400), played(game, 400, until=TopK(1, confidence=0.9))
    assert early.counts.evaluations < whole.counts.evaluations and early.counts.saved > 0
    assert int(early.attributions[0].argmax()) == int(whole.attributions[0].argmax())
    assert "TopK(1, confidence=0.9) was met" in early.notes[0]


def test_other_designs_are_refused_and_refuse():
    game, _ = strong_and_weak(60, 0)
    screened = played(game, 60)
    for aggregator in (KernelAggregator(), OwenAggregator([list(range(30)), list(range(30, 60))])):
        with pytest.raises(ValueError, match="these screen many features for a few: aggregate with ScreenedAggregator"):
            screened.reaggregate(aggregator)
    kernel = play(game, KernelPerturbator(), KernelAggregator(), n_features=60, progress=False)
    with pytest.raises(ValueError, match="needs chains and coalitions of what they found, and these are a random sample"):
        kernel.reaggregate(ScreenedAggregator())


def test_interactions_are_those_of_kept_features():
    n, dense, chosen = 400, dense_game(4), torch.tensor([3, 170, 200, 381])
    screened = played(lambda s: dense(s[:, chosen]), n)
    exact = play(dense, ExactPerturbator(), ScreenedAggregator(), n_features=4, progress=False)
    for order, top in ((2, None), (2, 3), (3, 100)):
        found = screened.interactions(order=order, top=top)
        expected = exact.interactions(order=order, top=None if top == 100 else top)
        assert found.sets.tolist() == chosen[expected.sets].tolist()
        torch.testing.assert_close(found.scores, expected.scores)
    alone = played(lambda s: s[:, :1].double(), n)
    with pytest.raises(ValueError, match="Screening kept 1 of 400 features, and interactions of order 2 are of 2 kept"):
        alone.interactions()
