"""Scores added up over what features have in common."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from support.games import dense_game
from support.results import run, several

from interpreto_mllm import Feature, aggregators, perturbators
from interpreto_mllm.aggregators.aggregate import aggregate
from interpreto_mllm.core.coalitions import shapley_coefficients
from interpreto_mllm.gaussian.kernel import Kernel
from interpreto_mllm.plots.html import page
from interpreto_mllm.plots.terminal import coloured

PAIRS = {
    "kernel": (perturbators.KernelPerturbator, aggregators.KernelAggregator),
    "monte carlo": (perturbators.MonteCarloPerturbator, aggregators.ShapleyAggregator),
    "permutations": (perturbators.PermutationPerturbator, aggregators.MarginalAggregator),
    "complementary": (perturbators.ComplementaryPerturbator, aggregators.ComplementaryAggregator),
    "banzhaf": (perturbators.BernoulliPerturbator, aggregators.BanzhafAggregator),
}
N = 11


def game(coalitions):
    """With features that pull against each other, so that errors of sums are not sums of errors."""
    present = coalitions.double()
    matrix = torch.randn(N, N, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    pairs, triple = ((present @ matrix) * present).sum(1), present[:, 0] * present[:, 4]
    return torch.stack([pairs + 9 * triple * present[:, 1], 9 * triple * (1 - present[:, 5]) - present[:, 2]], dim=1)


MEMBERS = torch.tensor([[1.0] * 3 + [0.0] * 8, [0.0] * 3 + [1.0] * 8, [1.0] * N], dtype=torch.float64).T


@pytest.mark.parametrize("name", PAIRS)
def test_errors_of_sums_are_those_that_other_seeds_show(name):
    perturbator, aggregator = (kind() for kind in PAIRS[name])
    drawn, said = [], []
    for seed in range(12):
        result = run(game, perturbator, aggregator, n=N, budget=150, seed=seed)
        sums = aggregate(result.evaluations, aggregator).sums
        assert sums is not None and result.standard_errors is not None
        torch.testing.assert_close(sums(torch.eye(N, dtype=torch.float64)), result.standard_errors, equal_nan=True)
        drawn.append(result.attributions @ MEMBERS)
        said.append(sums(MEMBERS))
    spread, told = torch.stack(drawn).std(0)[0], torch.stack(said).square().mean(0).sqrt()[0]
    assert bool(((told[:2] > 0.5 * spread[:2]) & (told[:2] < 2 * spread[:2])).all())
    if name not in ("banzhaf", "complementary"):  # the sum of all is known
        assert float(told[2]) < 1e-6 and told[0] == pytest.approx(float(told[1]))


def test_prior_variances_of_sums_are_those_of_all_coalitions():
    n = 4
    every = torch.cartesian_prod(*[torch.tensor([False, True])] * n)
    logs = Kernel.prior(n)[0] + torch.linspace(-0.4, 0.4, 2 * n + 7, dtype=torch.float64)
    kernel, signs = Kernel(logs), every.double() * 2 - 1
    covariance, coefficients = kernel.covariance(signs, signs, (1.0, 0.0)), shapley_coefficients(every)
    members = torch.tensor([[1.0, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 1]], dtype=torch.float64).T
    weights = coefficients @ members
    expected = torch.einsum("ps,pq,qs->s", weights, covariance, weights)
    torch.testing.assert_close(kernel.shapley_variance_of_sums(members), expected)
    torch.testing.assert_close(kernel.shapley_variance_of_sums(torch.eye(n, dtype=torch.float64)), kernel.shapley_variance())


def test_posterior_errors_of_sums_agree_with_those_of_scores():
    result = run(game, perturbators.ActivePerturbator(), aggregators.GaussianProcessAggregator(), n=N, budget=100)
    sums = aggregate(result.evaluations, result.aggregator).sums
    torch.testing.assert_close(sums(torch.eye(N, dtype=torch.float64)), result.standard_errors, rtol=1e-6, atol=1e-9)
    errors = sums(MEMBERS)
    torch.testing.assert_close(errors[:, 0], errors[:, 1], rtol=1e-4, atol=1e-9)
    assert bool((errors[:, 2] < 1e-3 * errors[:, 0]).all()) and bool(
        (errors[:, 0] < result.standard_errors[:, :3].sum(1)).all()
    )


def test_repeated_answers_widen_sums_too():
    exact = run(game, perturbators.ExactPerturbator(), aggregators.ShapleyAggregator(), n=N)
    noise = torch.randn(4, *exact.values.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    evaluations = replace(exact.evaluations, repeats=exact.values + noise)
    estimate = aggregate(evaluations, exact.aggregator)
    torch.testing.assert_close(estimate.sums(torch.eye(N, dtype=torch.float64)), estimate.standard_errors)
    drawn = torch.stack(
        [aggregate(evaluations.with_values(one), exact.aggregator).attributions @ MEMBERS for one in evaluations.repeats]
    )
    assert bool((estimate.sums(MEMBERS)[:, :2] > 0.5 * drawn.std(0)[:, :2] / 2).all())


def marked():
    """Two messages of the user and a tool's result, which is not trusted."""
    user = [Feature("a", role="user", turn=0, trusted=True), Feature("b", role="user", turn=2, trusted=True)]
    tool = [Feature(text, role="tool", turn=1, source="weather", trusted=False) for text in "cd"]
    return [user[0], *tool, user[1], Feature("e", role="user", turn=2, trusted=True, part="thoughts"), Feature("f")]


def test_sums_are_exact_and_in_the_order_of_the_prompt():
    result = several(budget=40, features=marked())
    scores = result.attributions[0].tolist()
    turns = result.by("turn", target=0)
    assert list(turns) == [0, 1, 2, None] and turns[1] == pytest.approx(scores[1] + scores[2])
    assert sum(turns.values()) == pytest.approx(sum(scores)) and turns.members[2] == (3, 4)
    trust = result.by("trust", target=0)
    assert trust["trusted"] == pytest.approx(scores[0] + scores[3] + scores[4]) and set(trust) == {"trusted", "untrusted", None}
    assert dict(result.by("source", target=0)) == pytest.approx({None: sum(scores) - turns[1], "weather": turns[1]})
    assert result.by("part", target=0)["thoughts"] == pytest.approx(scores[4])
    low, high = turns.interval(0.9)[1]
    assert low < turns[1] < high and turns.standard_errors[1] < float(result.standard_errors[0, 1:3].sum())
    assert repr(turns).startswith("{message 0: ") and " ± " in repr(turns) and "the rest" in repr(turns)


def test_a_single_score_and_all_of_them_keep_their_errors():
    result = several(budget=40, features=[Feature(str(i), role="user" if i else "tool") for i in range(6)])
    roles = result.by("role", target=1)
    assert roles.standard_errors["tool"] == float(result.standard_errors[1, 0])
    assert roles.standard_errors["user"] == pytest.approx(roles.standard_errors["tool"])  # their sum is known
    whole = replace(result, features=[replace(feature, role="user") for feature in result.features]).by("role", target=1)
    assert dict(whole.standard_errors) == {"user": 0.0} and not whole.bounds


def test_the_whole_answer_has_errors_of_its_own():
    result = several(budget=40, features=[Feature(str(i), role="user" if i < 3 else "tool") for i in range(6)])
    tokens = replace(result, unit="token", mode="log_softmax", targets=["a", "b"])
    roles, whole = tokens.by("role"), tokens.span()
    assert roles.target == "ab" and roles["user"] == pytest.approx(float(whole.attributions[0, :3].sum()))
    assert not roles.bounds and roles.standard_errors["user"] == pytest.approx(roles.standard_errors["tool"])
    assert 0 < roles.standard_errors["user"] < float(whole.standard_errors[0, :3].sum())


def test_errors_without_a_covariance_are_bounds():
    result = several(budget=40, features=marked()).normalized("max_abs")
    roles = result.by("role", target=0)
    assert roles.bounds and roles.standard_errors["tool"] == pytest.approx(float(result.standard_errors[0, 1:3].sum()))
    assert "±≤" in roles.text("tool")
    silent = replace(result, standard_errors=None).by("role", target=0)
    assert silent.standard_errors is None
    with pytest.raises(ValueError, match="no standard errors"):
        silent.interval()


def test_exact_scores_have_exact_sums():
    result = replace(run(dense_game(6), perturbators.ExactPerturbator(), aggregators.ShapleyAggregator()), features=marked())
    folded = result.by("role", target=0)
    assert set(folded.standard_errors.values()) == {0.0} and "±" not in repr(folded)


def test_what_cannot_be_folded_is_said():
    plain = several()
    for by, why in (("source", "tools"), ("role", "no chat"), ("turn", "no chat"), ("trust", "trusted"), ("part", "thoughts")):
        with pytest.raises(ValueError, match=why):
            plain.by(by, target=0)
    with pytest.raises(ValueError, match="'source', 'turn'"):
        plain.by("colour")
    with pytest.raises(ValueError, match="target=0"):
        several(features=marked()).by("role")
    with pytest.raises(ValueError, match="no target 7"):
        several(features=marked()).by("role", target=7)


def test_pages_and_terminals_show_the_sums():
    result = several(budget=40, features=marked())
    assert "<h2>By source</h2>" in page(result) and "<h2>By trust</h2>" in page(result)
    assert "by source" in "".join(getattr(part, "plain", "") for part in coloured(result).renderables)
    assert "<h2>By" not in page(replace(result, features=[Feature(str(i)) for i in range(6)]))


def test_files_keep_what_is_folded_by(tmp_path):
    result = several(budget=40, features=marked())
    result.save(tmp_path / "result.json")
    loaded = type(result).load(tmp_path / "result.json")
    assert loaded.features == result.features and dict(loaded.by("trust", 0)) == dict(result.by("trust", 0))
    assert loaded.by("trust", 0).standard_errors == result.by("trust", 0).standard_errors
