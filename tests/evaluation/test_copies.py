"""Whatever the user's code does to what it is given, or to what it has given, changes no number."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.games import dense_game

from interpreto_mllm.aggregators import KernelAggregator, MarginalAggregator, ShapleyAggregator
from interpreto_mllm.aggregators.aggregator import Aggregator
from interpreto_mllm.core.design import Design
from interpreto_mllm.core.evaluations import Draw
from interpreto_mllm.evaluation.stopping import Rule
from interpreto_mllm.explainers.play import play
from interpreto_mllm.perturbators import (
    BernoulliPerturbator,
    ExactPerturbator,
    KernelPerturbator,
    NeymanPerturbator,
    PermutationPerturbator,
    Perturbator,
)

N = 6
GAME = dense_game(N)
PAIRS = [
    (ExactPerturbator(), ShapleyAggregator()),
    (KernelPerturbator(), KernelAggregator()),
    (PermutationPerturbator(), MarginalAggregator()),
    (BernoulliPerturbator(), KernelAggregator()),
    (NeymanPerturbator(), KernelAggregator()),
]


def inverts(coalitions):
    """Negates its argument in place, in torch."""
    absent = coalitions.logical_not_()
    return GAME(~absent)


def empties(coalitions):
    """Fills its argument, in numpy."""
    values = GAME(coalitions)
    coalitions.numpy()[:] = True
    return values.numpy()


BUFFER = torch.zeros(2**N, 2, dtype=torch.float64)


def same_buffer(coalitions):
    """Returns the same memory each time."""
    rows = BUFFER[: len(coalitions)]
    rows[:] = GAME(coalitions)
    return rows


def same_array(coalitions):
    """The same in numpy."""
    return np.asarray(same_buffer(coalitions))


def play_of(game, perturbator, aggregator, **options):
    given = {"n_features": N, "budget": 2**N if isinstance(perturbator, ExactPerturbator) else 30, "progress": False}
    return play(game, perturbator, aggregator, **{**given, **options})


def same(one, other):
    assert torch.equal(one.attributions, other.attributions)
    assert torch.equal(one.coalitions, other.coalitions) and torch.equal(one.values, other.values)


def kind(part):
    return getattr(part, "__name__", type(part).__name__)


@pytest.mark.parametrize("perturbator, aggregator", PAIRS, ids=kind)
@pytest.mark.parametrize("game", [inverts, empties, same_buffer, same_array], ids=kind)
def test_a_game_may_edit_its_argument_and_use_its_memory_again(game, perturbator, aggregator):
    same(play_of(game, perturbator, aggregator), play_of(GAME, perturbator, aggregator))


def test_a_game_may_return_a_view_of_its_argument():
    result = play_of(lambda s: s.view(torch.uint8)[:, :1], ExactPerturbator(), ShapleyAggregator())
    torch.testing.assert_close(result.attributions, torch.eye(N)[:1].double())


def test_a_game_may_remember_what_it_returned():
    returned = []

    def game(coalitions):
        for earlier in returned:
            earlier.zero_()
        returned.append(GAME(coalitions))
        return returned[-1]

    result = play_of(game, NeymanPerturbator(), KernelAggregator())
    same(result, play_of(GAME, NeymanPerturbator(), KernelAggregator()))


def test_values_that_need_gradients_are_taken_as_numbers():
    result = play_of(lambda s: GAME(s).requires_grad_(), KernelPerturbator(), KernelAggregator())
    assert not result.attributions.requires_grad


class Rewriting(Perturbator):
    """Yields the same memory twice, and edits what it is sent."""

    adaptive = True

    def __init__(self, edits):
        self.edits = edits

    def draw(self, n, budget, generator):
        rows = torch.rand(10, n, generator=generator) < 0.5
        weights, chains = torch.full((10,), 6.25).double(), torch.arange(10)
        for _ in range(2):
            values = yield Draw(rows, weights, chains, design=Design.SAMPLE)
            if self.edits:
                values.fill_(7)
                rows[:], weights[:], chains[:] = torch.rand(10, n, generator=generator) < 0.5, 6.25, torch.arange(10, 20)
            else:
                rows, chains = torch.rand(10, n, generator=generator) < 0.5, torch.arange(10, 20)


def test_a_perturbator_may_edit_what_it_has_yielded_and_was_sent():
    edited, plain = (play_of(GAME, Rewriting(edits), ShapleyAggregator()) for edits in (True, False))
    same(edited, plain)
    assert torch.equal(edited.evaluations.chains, torch.arange(20))


class Careless(Aggregator):
    """Centres everything in place before it aggregates."""

    def aggregate(self, evaluations):
        estimate = KernelAggregator().aggregate(evaluations)
        evaluations.values.zero_()
        evaluations.coalitions.fill_(True)
        evaluations.draws.zero_()
        evaluations.weights.zero_()
        return estimate


class Looking(Rule):
    """Asked after every round, edits what it is given."""

    def settled(self, scores, errors):
        scores.zero_()
        errors.zero_()
        return False


def test_an_aggregator_and_a_rule_may_edit_what_they_are_given():
    careless = play_of(GAME, KernelPerturbator(), Careless(), until=Looking())
    plain = play_of(GAME, KernelPerturbator(), KernelAggregator(), until=Looking())
    same(careless, plain)
    assert torch.equal(careless.reaggregate(KernelAggregator()).attributions, plain.attributions)


def test_extra_coalitions_and_known_evaluations_stay_the_users():
    extra = torch.eye(N).bool()
    known = play_of(GAME, KernelPerturbator(), KernelAggregator()).evaluations
    before = extra.clone(), known.coalitions.clone(), known.values.clone()
    result = play_of(inverts, PermutationPerturbator(), MarginalAggregator(), extra=extra, evaluations=known, budget=40)
    assert all(torch.equal(*pair) for pair in zip(before, (extra, known.coalitions, known.values), strict=True))
    known.values.zero_()
    extra.zero_()
    torch.testing.assert_close(result.values, GAME(result.coalitions))
