"""Two thousand features, where numbers of coalitions exceed every float: against closed forms."""

from __future__ import annotations

import pytest
import torch

from interpreto_mllm.aggregators import (
    BanzhafAggregator,
    ComplementaryAggregator,
    KernelAggregator,
    LeaveOneOutAggregator,
    LimeAggregator,
    MarginalAggregator,
    OwenAggregator,
    ShapleyAggregator,
    SobolAggregator,
)
from interpreto_mllm.core.serialization import pack_evaluations, unpack_evaluations
from interpreto_mllm.explainers.play import play
from interpreto_mllm.perturbators import (
    BernoulliPerturbator,
    ComplementaryPerturbator,
    HierarchicalPerturbator,
    KernelPerturbator,
    MonteCarloPerturbator,
    NeymanPerturbator,
    OcclusionPerturbator,
    PermutationPerturbator,
    SobolPerturbator,
)

N = 2000
SLOPES = torch.linspace(-1, 2, N).double()
GROUPS = [list(range(start, start + 40)) for start in range(0, N, 40)]


def pairs(coalitions):
    """An additive game and products of neighbours 0·1, 2·3, …, each worth a half."""
    x = coalitions.double()
    return x @ SLOPES + (x[:, 0::2] * x[:, 1::2]).sum(1) / 2


def kind(part: object) -> str:
    return type(part).__name__


def run(perturbator, aggregator, budget, game=pairs, n=N):
    return play(game, perturbator, aggregator, n_features=n, budget=budget, progress=False)


@pytest.mark.parametrize(
    "perturbator, aggregator, budget",
    [
        (ComplementaryPerturbator(), ComplementaryAggregator(), 4100),
        (NeymanPerturbator(), ComplementaryAggregator(), 4100),
        (MonteCarloPerturbator(), ShapleyAggregator(), 8100),
        (PermutationPerturbator(), MarginalAggregator(), 4100),
        (HierarchicalPerturbator(GROUPS), OwenAggregator(GROUPS), 5000),
    ],
    ids=kind,
)
def test_shapley_and_owen_values(perturbator, aggregator, budget):
    """Of a game of pairs, complements and reversed orders say all that there is to know."""
    found = run(perturbator, aggregator, budget).attributions[0]
    near = 1e-9 if not isinstance(aggregator, OwenAggregator) else 0.5
    torch.testing.assert_close(found, SLOPES + 0.25, atol=near, rtol=0)


def test_regressions_need_as_many_pairs_as_features():
    """At 1,100 features all scores used to be NaN."""
    n = 1100
    slopes = SLOPES[:n]
    found = run(KernelPerturbator(), KernelAggregator(), 2 * n + 400, lambda s: s.double() @ slopes, n).attributions[0]
    torch.testing.assert_close(found, slopes, atol=1e-7, rtol=0)


@pytest.mark.parametrize(
    "perturbator, aggregator, budget",
    [
        (KernelPerturbator(), KernelAggregator(), 200),
        (BernoulliPerturbator(), BanzhafAggregator(), 200),
        (BernoulliPerturbator(paired=False), KernelAggregator(), 200),
        (BernoulliPerturbator(), LimeAggregator(), 200),
        (PermutationPerturbator(), ShapleyAggregator(), 2100),
        (KernelPerturbator(), ShapleyAggregator(), 4200),
        (ComplementaryPerturbator(), KernelAggregator(), 200),
        (SobolPerturbator(), SobolAggregator(), 4300),
        (OcclusionPerturbator(), LeaveOneOutAggregator(), None),
    ],
    ids=kind,
)
def test_what_too_few_coalitions_say_is_finite_and_without_errors(perturbator, aggregator, budget):
    result = run(perturbator, aggregator, budget)
    assert result.attributions.isfinite().all()
    if isinstance(aggregator, LeaveOneOutAggregator):
        torch.testing.assert_close(result.attributions[0], SLOPES + 0.5, atol=1e-9, rtol=0)
    else:
        assert result.standard_errors is None
    if isinstance(aggregator, (KernelAggregator, ShapleyAggregator)):
        torch.testing.assert_close(result.attributions.sum(1), result.full - result.empty)


@pytest.mark.parametrize("n", [960, 1041])
def test_intervals_hold_on_both_sides_of_the_largest_float(n):
    """Three neighbours that are worth 3 together are worth 1 each."""
    triples = lambda s: s.reshape(-1, n // 3, 3).all(2).sum(1) * 3.0  # noqa: E731
    result = run(MonteCarloPerturbator(), ShapleyAggregator(), 5 * n, triples, n)
    low, high = result.interval()
    held = ((low <= 1) & (high >= 1)).double().mean()
    assert 0.88 < float(held) < 0.99


def test_weights_beyond_floats_survive_a_file():
    known = run(KernelPerturbator(), KernelAggregator(), 60).evaluations
    assert known.weights.isinf().any() and known.log_weights is not None
    back = unpack_evaluations(pack_evaluations(known))
    assert back.design is known.design and torch.equal(back.log_weights, known.log_weights)
    again = KernelAggregator().aggregate(back).attributions
    assert torch.equal(again, KernelAggregator().aggregate(known).attributions)
