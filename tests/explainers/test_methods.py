"""Every method on a real model, against values written out from all 2^n coalitions of the same game."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from support import zoo

from interpreto_mllm import (
    Attribution,
    AttributionExplainer,
    Banzhaf,
    ComplementaryShapley,
    ExactShapley,
    GaussianProcessShapley,
    HierarchicalShapley,
    KernelShap,
    Lasso,
    Lime,
    MonteCarloShapley,
    NeymanShapley,
    Occlusion,
    PermutationShapley,
    Ridge,
    ScreenedShapley,
    Sobol,
    play,
)

MODEL, TOKENIZER = zoo.build("llama"), zoo.byte_bpe()
PROMPT, TARGET = "The sky is blue, apples", " red"
N = 6
Table = dict[frozenset[int], torch.Tensor]


def table_of(game, n: int) -> Table:
    every = torch.tensor(list(itertools.product([False, True], repeat=n)))
    return {frozenset(row.nonzero()[:, 0].tolist()): value.double() for row, value in zip(every, game(every), strict=True)}


@pytest.fixture(scope="module")
def table() -> Table:
    return table_of(ExactShapley(MODEL, TOKENIZER).game(PROMPT, TARGET), N)


def subsets(n: int, without: int) -> list[frozenset[int]]:
    others = [j for j in range(n) if j != without]
    return [frozenset(s) for size in range(n) for s in itertools.combinations(others, size)]


def semivalue(table: Table, n: int, weight) -> torch.Tensor:
    columns = [sum(weight(len(s)) * (table[s | {i}] - table[s]) for s in subsets(n, i)) for i in range(n)]
    return torch.stack(columns, 1)


def shapley(table: Table, n: int) -> torch.Tensor:
    return semivalue(table, n, lambda s: math.factorial(s) * math.factorial(n - s - 1) / math.factorial(n))


def banzhaf(table: Table, n: int) -> torch.Tensor:
    return semivalue(table, n, lambda s: 2.0 ** (1 - n))


def leave_one_out(table: Table, n: int) -> torch.Tensor:
    return semivalue(table, n, lambda s: float(s == n - 1))


def windows_of_two(table: Table, n: int) -> torch.Tensor:
    everyone = frozenset(range(n))
    loss = [table[everyone] - table[everyone - {i, i + 1}] for i in range(n - 1)]
    return torch.stack([sum(loss[max(i - 1, 0) : i + 1]) / len(loss[max(i - 1, 0) : i + 1]) for i in range(n)], 1)


def sobol(table: Table, n: int, total: bool) -> torch.Tensor:
    variance = torch.stack(list(table.values())).var(0, correction=0)
    columns = []
    for i in range(n):
        gains = torch.stack([table[s | {i}] - table[s] for s in subsets(n, i)])
        columns.append((gains.square().mean(0) if total else gains.mean(0).square()) / 4 / variance)
    return torch.stack(columns, 1)


def lime(table: Table, n: int) -> torch.Tensor:
    """The weighted line through all coalitions, without a ridge."""
    design = torch.tensor([[1.0] + [float(i in s) for i in range(n)] for s in table], dtype=torch.float64)
    root = torch.tensor([math.exp(-((1 - math.sqrt(len(s) / n)) ** 2) / 0.25**2 / 2) for s in table], dtype=torch.float64)[
        :, None
    ]
    return torch.linalg.lstsq(root * design, root * torch.stack(list(table.values()))).solution[1:].T


def owen(table: Table, groups: list[list[int]]) -> torch.Tensor:
    """The mean gain over all orders in which the members of a group stand together."""
    arrangements = [
        sum(members, ())
        for order in itertools.permutations(groups)
        for members in itertools.product(*(itertools.permutations(group) for group in order))
    ]
    t, n = len(table[frozenset()]), sum(map(len, groups))
    phi = torch.zeros(t, n, dtype=torch.float64)
    for order in arrangements:
        for place, i in enumerate(order):
            phi[:, i] += (table[frozenset(order[: place + 1])] - table[frozenset(order[:place])]) / len(arrangements)
    return phi


METHODS = {
    "exact": (ExactShapley, {}, shapley),
    "monte carlo": (MonteCarloShapley, {}, shapley),
    "complementary": (ComplementaryShapley, {}, shapley),
    "complementary standard": (ComplementaryShapley, {"cover_minimal": False}, shapley),
    "neyman": (NeymanShapley, {}, shapley),
    "kernel": (KernelShap, {}, shapley),
    "gaussian process": (GaussianProcessShapley, {}, shapley),
    "kernel plain": (KernelShap, {"size_effects": False}, shapley),
    "hierarchical": (
        HierarchicalShapley,
        {"hierarchy": [[0, 1], [2, 3, 4], 5]},
        lambda table, n: owen(table, [[0, 1], [2, 3, 4], [5]]),
    ),
    "screened": (ScreenedShapley, {}, shapley),
    "banzhaf": (Banzhaf, {}, banzhaf),
    "lasso": (Lasso, {"penalty": 0.0}, banzhaf),
    "ridge": (Ridge, {"penalty": 0.0}, banzhaf),
    "lime": (Lime, {"alpha": 0.0}, lime),
    "occlusion": (Occlusion, {}, leave_one_out),
    "occlusion of windows": (Occlusion, {"window": 2}, windows_of_two),
    "sobol total": (Sobol, {}, lambda table, n: sobol(table, n, True)),
    "sobol first": (Sobol, {"order": "first"}, lambda table, n: sobol(table, n, False)),
}
EVERY = {method.__name__: method for method in [PermutationShapley, *(method for method, _, _ in METHODS.values())]}
EFFICIENT = ["ExactShapley", "GaussianProcessShapley", "KernelShap", "PermutationShapley", "HierarchicalShapley"]


def build(method, **options) -> AttributionExplainer:
    return method(MODEL, TOKENIZER, progress=False, **options)


def same(a: Attribution, b: Attribution, tolerance: float = 0.0) -> None:
    assert a.targets == b.targets
    assert a.features == b.features
    torch.testing.assert_close(a.attributions, b.attributions, rtol=0, atol=tolerance, equal_nan=True)


@pytest.mark.parametrize(("method", "options", "truth"), METHODS.values(), ids=METHODS.keys())
def test_exact_once_everything_is_evaluated(method, options, truth, table):
    budget = None if method in (Occlusion, ExactShapley) else 1.0
    [explanation] = build(method, budget=budget, **options)(PROMPT, TARGET)
    expected = truth(table, N)
    assert explanation.counts.evaluations <= 2**N
    torch.testing.assert_close(explanation.attributions, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))
    if explanation.estimand in ("Shapley value", "Owen value"):
        assert float(explanation.efficiency_gap.abs().max()) < 1e-4


def test_permutations_converge(table):
    """Even all coalitions are not all orders, so the mean of many seeds is held against the truth."""
    game, expected = lambda s: torch.stack([table[frozenset(row.nonzero()[:, 0].tolist())] for row in s]), shapley(table, N)
    explainer = build(PermutationShapley)
    runs = torch.stack([
        play(game, explainer.perturbator, explainer.aggregator, n_features=N, budget=20, seed=seed, progress=False).attributions
        for seed in range(100)
    ])  # fmt: skip
    error = (runs.mean(0) - expected).abs()
    assert bool((error <= 4 * runs.std(0) / 10 + 1e-9).all())
    [explanation] = build(PermutationShapley, budget=1.0)(PROMPT, TARGET)
    assert float((explanation.attributions - expected).norm() / expected.norm()) < 0.3


@pytest.mark.parametrize("method", EVERY.values(), ids=EVERY.keys())
def test_seeds_budgets_and_many_inputs(method):
    budget = 2**N if method is ExactShapley else 24
    explainer = build(method, budget=budget, seed=3)
    [one] = explainer(PROMPT, TARGET)
    [again] = build(method, budget=budget, seed=3)(PROMPT, TARGET)
    [share] = build(method, budget=budget / 2**N, seed=3)(PROMPT, TARGET)
    same(one, again)
    same(one, share)
    assert one.counts.evaluations == len(one.coalitions) <= budget
    assert len({tuple(row) for row in one.coalitions.tolist()}) == len(one.coalitions)
    if method.__name__ in EFFICIENT:
        assert float(one.efficiency_gap.abs().max()) < 1e-6
    other = "the sea, the apple red"
    first, second = explainer([PROMPT, other], [TARGET, " green"])
    same(first, one, 1e-4)
    same(second, explainer(other, " green")[0], 1e-4)


@pytest.mark.parametrize("method", EVERY.values(), ids=EVERY.keys())
def test_one_word_and_two(method):
    for prompt, n in (("sky", 1), ("The sky", 2)):
        [explanation] = build(method)(prompt, TARGET)
        table = table_of(build(method).game(prompt, TARGET), n)
        assert explanation.attributions.shape == (len(explanation.targets), n)
        assert explanation.attributions.isfinite().all()
        assert explanation.counts.evaluations <= 2**n
        if explanation.estimand in ("Shapley value", "Owen value"):
            torch.testing.assert_close(explanation.attributions, shapley(table, n), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("method", EVERY.values(), ids=EVERY.keys())
def test_files_and_play(method, tmp_path):
    explainer = build(method, seed=5)
    [explanation] = explainer(PROMPT, TARGET)
    explanation.save(tmp_path / "result.json")
    loaded = Attribution.load(tmp_path / "result.json")
    same(loaded, explanation)
    assert (loaded.method, loaded.estimand) == (method.__name__, explanation.estimand)
    same(loaded.reaggregate(explanation.aggregator), explanation)
    same(loaded.reaggregate(loaded.aggregator).span(), explanation.span())
    game = explainer.game(PROMPT, TARGET)
    perturbator, aggregator = explainer.parts(game.prompt)
    played = play(game, perturbator, aggregator, n_features=N, seed=5, progress=False)
    torch.testing.assert_close(played.attributions, explanation.attributions, rtol=1e-4, atol=1e-4)
    assert played.coalitions.tolist() == explanation.coalitions.tolist()


def test_a_chat_of_two_turns_is_a_game_of_turns():
    chat = [
        {"role": "user", "content": "The sky is"},
        {"role": "assistant", "content": "blue"},
        {"role": "user", "content": "apples, red"},
    ]
    explainer = build(HierarchicalShapley, budget=1.0)
    [explanation] = explainer(chat, TARGET)
    assert [feature.turn for feature in explanation.features] == [0, 0, 0, 2, 2, 2]
    expected = owen(table_of(explainer.game(chat, TARGET), 6), [[0, 1, 2], [3, 4, 5]])
    torch.testing.assert_close(explanation.attributions, expected, rtol=1e-4, atol=1e-4)
    assert explanation.estimand == "Owen value"
