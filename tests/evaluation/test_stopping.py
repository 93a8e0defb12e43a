"""Rules that end a play early: when they do, what they save, and that what they leave is a proper sample."""

from __future__ import annotations

import pytest
import torch
from support.games import counted, dense_game, exact_shapley

from interpreto_mllm import (
    KernelShap,
    MonteCarloShapley,
    Occlusion,
    PermutationShapley,
    ResponseSimilarity,
    Sign,
    Tolerance,
    TopK,
    punctuation,
)
from interpreto_mllm.aggregators import (
    BanzhafAggregator,
    ComplementaryAggregator,
    KernelAggregator,
    LeaveOneOutAggregator,
    LimeAggregator,
    MarginalAggregator,
    ShapleyAggregator,
)
from interpreto_mllm.aggregators.aggregator import Aggregator, Estimate
from interpreto_mllm.core.coalitions import coalition_keys
from interpreto_mllm.evaluation.monitor import growing
from interpreto_mllm.evaluation.stopping import Rule
from interpreto_mllm.explainers.play import play
from interpreto_mllm.perturbators import (
    BernoulliPerturbator,
    ComplementaryPerturbator,
    ExactPerturbator,
    KernelPerturbator,
    MonteCarloPerturbator,
    NeymanPerturbator,
    OcclusionPerturbator,
    PermutationPerturbator,
    SobolPerturbator,
)
from interpreto_mllm.perturbators.subsets import ranked, subsets
from interpreto_mllm.similarity import TfIdf

STOPPABLE = [
    (KernelPerturbator(), KernelAggregator()),
    (MonteCarloPerturbator(), ShapleyAggregator()),
    (PermutationPerturbator(), MarginalAggregator()),
    (BernoulliPerturbator(), BanzhafAggregator()),
    (BernoulliPerturbator(), LimeAggregator()),
]
NESTED = [KernelPerturbator(), MonteCarloPerturbator(), PermutationPerturbator(), BernoulliPerturbator()]


def kind(part):
    return type(part).__name__


def run(game, perturbator, aggregator, n, budget, until=None, seed=0):
    return play(game, perturbator, aggregator, n_features=n, budget=budget, until=until, seed=seed, progress=False)


class Never(Rule):
    def settled(self, scores, errors):
        return False


class After(Rule):
    """Met once it was asked so many times."""

    def __init__(self, times):
        self.times = times

    def settled(self, scores, errors):
        self.times -= 1
        return self.times <= 0


@pytest.mark.parametrize("perturbator, aggregator", STOPPABLE, ids=kind)
def test_a_tolerance_is_met_with_less_than_the_budget(perturbator, aggregator):
    n = 12
    game, asked = counted(dense_game(n))
    result = run(game, perturbator, aggregator, n, 3000, Tolerance(0.1))
    assert (result.standard_errors.norm(dim=1) <= 0.1 * result.attributions.norm(dim=1)).all()
    evaluated = result.counts.evaluations
    assert evaluated < 3000 and result.counts.saved == 3000 - evaluated
    assert len(asked) == len(set(asked)) == evaluated
    assert result.notes == (
        f"Stopped after {evaluated:,} of 3,000 evaluations, {3000 - evaluated:,} saved: Tolerance(0.1) was met.",
    )


@pytest.mark.parametrize("perturbator, aggregator", STOPPABLE, ids=kind)
@pytest.mark.parametrize("times", [1, 4])
def test_what_is_left_when_stopped_is_the_sample_of_that_budget(perturbator, aggregator, times):
    n = 10
    result = run(dense_game(n), perturbator, aggregator, n, 800, After(times))
    budget = [82, 114, 159, 222][times - 1]
    plain = run(dense_game(n), perturbator, aggregator, n, budget)
    torch.testing.assert_close(result.attributions, plain.attributions)
    torch.testing.assert_close(result.standard_errors, plain.standard_errors)


@pytest.mark.parametrize("perturbator", NESTED, ids=kind)
@pytest.mark.parametrize("n, budget", [(3, 8), (6, 64), (9, 300), (16, 900), (30, 1500)])
def test_rounds_extend_each_other_and_keep_within_the_budget(perturbator, n, budget):
    paid, last = set(), set()
    ends = {bytes(n), bytes([1] * n)}
    for draw in growing(perturbator, n, budget, seed=3):
        last = set(coalition_keys(draw.coalitions)) | ends
        paid |= last
    assert len(paid) <= budget and len(paid) - len(last) <= n // 2
    drawn = next(perturbator.draw(n, budget, torch.Generator().manual_seed(3)))
    whole = set(coalition_keys(getattr(drawn, "coalitions", drawn))) | ends
    assert len(whole - last) <= n // 2 + 1


@pytest.mark.parametrize("perturbator, aggregator", STOPPABLE[:3], ids=kind)
def test_a_rule_never_met_spends_the_budget_and_is_exact_with_all_coalitions(perturbator, aggregator):
    n = 7
    game, asked = counted(dense_game(n))
    result = run(game, perturbator, aggregator, n, 2**n, Never())
    assert len(asked) == 2**n and result.counts.saved == 0
    torch.testing.assert_close(result.attributions, exact_shapley(dense_game(n), n))
    assert "was not met within the budget: 128 of 128 evaluations spent" in result.notes[0]


def test_an_adaptive_perturbator_is_asked_after_its_own_rounds():
    game = dense_game(10)
    result = run(game, NeymanPerturbator(), ComplementaryAggregator(), 10, 700, After(1))
    assert 0 < result.counts.saved < 700 and "was met" in result.notes[0]
    assert run(game, NeymanPerturbator(), ComplementaryAggregator(), 10, 700, Never()).counts.evaluations > 690


@pytest.mark.parametrize(
    "perturbator, aggregator",
    [
        (ExactPerturbator(), ShapleyAggregator()),
        (OcclusionPerturbator(), LeaveOneOutAggregator()),
        (ComplementaryPerturbator(), ComplementaryAggregator()),
        (SobolPerturbator(), KernelAggregator()),
    ],
    ids=kind,
)
def test_designs_for_the_whole_budget_cannot_be_stopped_and_say_so(perturbator, aggregator):
    game, asked = counted(dense_game(5))
    with pytest.raises(ValueError, match=f"{kind(perturbator)} plans all.*KernelPerturbator"):
        run(game, perturbator, aggregator, 5, None, TopK(2))
    assert not asked


def test_without_standard_errors_nothing_is_stopped_and_it_is_said():
    class Mean(Aggregator):
        def aggregate(self, evaluations):
            return Estimate((evaluations.coalitions.double().T @ evaluations.values).T)

    result = run(dense_game(8), KernelPerturbator(), Mean(), 8, 100, Tolerance(0.5))
    assert result.counts.evaluations == 100 and "could not be checked: Mean gave no standard errors" in result.notes[0]


def test_top_features_are_the_true_ones_when_it_stops():
    n, k, right, spent = 12, 3, 0, 0
    for seed in range(24):
        generator = torch.Generator().manual_seed(seed)
        line = torch.randn(n, generator=generator).double() * torch.tensor([2.0] * 4 + [0.5] * 8)
        rest = dense_game(n, seed, targets=1)
        game = lambda s, line=line, rest=rest: s.double() @ line[:, None] + 0.2 * rest(s)  # noqa: E731
        truth = run(game, KernelPerturbator(), KernelAggregator(), n, 2**n).attributions[0].abs().topk(k).indices
        result = run(game, KernelPerturbator(), KernelAggregator(), n, 1000, TopK(k), seed)
        found = result.attributions[0].abs().topk(k).indices
        right += set(found.tolist()) == set(truth.tolist())
        spent += result.counts.evaluations
    assert right >= 23 and spent / 24 < 500


def test_rules_mean_what_they_say():
    scores = torch.tensor([[3.0, -2.0, 0.5, 0.1], [0.1, 0.2, 3.0, 2.0]])
    errors = torch.full((2, 4), 0.2)
    assert TopK(2).settled(scores, errors) and not TopK(1, confidence=0.9999).settled(scores, errors)
    assert not TopK(3).settled(scores, errors) and TopK(4).settled(scores, errors) and TopK(9).settled(scores, errors)
    assert Sign(2, confidence=0.99).settled(scores, errors) and not Sign().settled(scores, errors)
    assert not Sign(0).settled(scores, errors) and Sign(-1, confidence=0.6).settled(scores, errors)
    furthest = 0.2 * 9.4877**0.5 / float(scores.norm(dim=1).min())  # of χ² with 4 degrees of freedom, 95 % are below
    assert Tolerance(1.001 * furthest).settled(scores, errors) and not Tolerance(0.999 * furthest).settled(scores, errors)
    assert Tolerance(0.12, confidence=0.6).settled(scores, errors) and not Tolerance(0.12).settled(scores, errors)
    nothing = torch.zeros(1, 3)
    assert all(rule.settled(nothing, nothing) for rule in (Tolerance(), TopK(1), Sign()))
    with pytest.raises(ValueError, match="feature 4, but there are only 4"):
        Sign(4).settled(scores, errors)


def test_a_tolerance_is_kept_as_often_as_its_confidence_says():
    """Errors of unequal size, drawn many times over."""
    errors = torch.tensor([[1.0, 0.6, 0.3, 0.3, 0.1, 0.1, 0.1, 0.1]]).double()
    drawn = errors * torch.randn(20_000, 8, generator=torch.Generator().manual_seed(0)).double()
    sizes = drawn.norm(dim=1)
    scores = 10 * torch.eye(8).double()[:1]
    for confidence in (0.5, 0.9, 0.95, 0.99):
        least = next(e for e in torch.linspace(0.01, 0.5, 491).tolist() if Tolerance(e, confidence).settled(scores, errors))
        assert abs(float((sizes <= 10 * least).double().mean()) - confidence) < 0.02


@pytest.mark.parametrize(
    "make",
    [
        lambda: Tolerance(0.0),
        lambda: Tolerance(0.1, 1.0),
        lambda: TopK(0),
        lambda: TopK(2, 1.0),
        lambda: TopK(2, confidence=95.0),
        lambda: Sign(0, confidence=0.0),
    ],
)
def test_rules_that_make_no_sense(make):
    with pytest.raises(ValueError, match=r"Tolerance|TopK|confidence"):
        make()


def test_on_a_model(recall):
    prompt = "the apple is red . the sky is blue . what is the apple ?"
    [full] = KernelShap(*recall, budget=700, progress=False)(prompt, " red")
    [stopped] = KernelShap(*recall, budget=700, until=Tolerance(0.4), progress=False)(prompt, " red")
    assert stopped.counts.saved > 0 and stopped.counts.paid == stopped.counts.evaluations < 700
    assert (stopped.attributions - full.attributions).norm() < 0.5 * full.attributions.norm()
    assert "Tolerance(0.4) was met" in stopped.notes[0]
    more = KernelShap(*recall, budget=700, progress=False)
    [resumed] = more(prompt, " red", evaluations=[stopped])
    assert resumed.counts.paid <= 700 - stopped.counts.evaluations + 10
    with pytest.raises(ValueError, match="cannot be stopped early"):
        Occlusion(*recall, until=TopK(1))(prompt, " red")


def test_a_rule_is_about_the_whole_answer_unless_it_is_said_otherwise(recall):
    """Of eight tokens some depend on nothing, so that a rule about each took 730 evaluations where the answer took 98."""
    prompt, answer = "the apple is red . the sky is blue . what is the apple ?", "red . the door is green . ok"
    options = {"pinned": punctuation, "budget": 400, "progress": False}
    [whole] = KernelShap(*recall, until=TopK(1), **options)(prompt, answer)
    game = KernelShap(*recall, **options).game(prompt, answer)
    summed = run(lambda c: game(c).sum(1), KernelPerturbator(), KernelAggregator(), game.n, 400, TopK(1))
    assert whole.counts.evaluations == summed.counts.evaluations < 150 and whole.t == 8
    assert whole.notes[0].endswith("was met for the whole answer, not for each token of it.")
    [each] = KernelShap(*recall, until=TopK(1, each_token=True), **options)(prompt, answer, evaluations=[whole])
    assert each.counts.evaluations > 2 * whole.counts.evaluations and "each_token=True" in each.notes[0]


@pytest.mark.usefixtures("unchecked")
def test_what_is_no_rule_is_refused(recall):
    with pytest.raises(TypeError, match="until must be a rule"):
        PermutationShapley(*recall, until=3)  # type: ignore[arg-type]


@pytest.mark.parametrize("method", [MonteCarloShapley, KernelShap])
def test_a_rule_judges_the_spread_of_repeated_answers_too(recall, method):
    """It used to be met at relative standard errors of 0.40 and 0.42."""
    drawn = {"max_new_tokens": 3, "do_sample": True, "temperature": 2.0}
    mode = ResponseSimilarity(similarity=TfIdf(), generate=drawn, repeats=3)
    until = Tolerance(0.3, confidence=0.6)
    explainer = method(*recall, inference_mode=mode, budget=300, until=until, progress=False)
    [result] = explainer("the apple is red . what is the apple ?", "red")
    met = until.settled(result.attributions, result.standard_errors)
    assert (f"{until} was met" in result.notes[0]) == met == (result.counts.saved > 0) == (method is KernelShap)


def test_places_of_subsets_in_order():
    from itertools import combinations

    for n, size in ((5, 0), (5, 2), (6, 6), (7, 3)):
        members = list(combinations(range(n), size))
        expected = torch.tensor([[i in m for i in range(n)] for m in members])
        assert ranked(n, size, torch.arange(len(members))).equal(expected)


@pytest.mark.parametrize("n, size", [(10, 4), (30, 12)])
def test_fewer_subsets_are_the_first_of_more(n, size):
    draws = [subsets(n, size, count, torch.Generator().manual_seed(1)) for count in (3, 40, 200)]
    assert draws[1][:3].equal(draws[0]) and draws[2][:40].equal(draws[1])
    assert len(draws[2].unique(dim=0)) == 200 and (draws[2].sum(1) == size).all()
