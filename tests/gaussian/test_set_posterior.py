"""Interactions read from the process, against the same process written out over all 2^n coalitions."""

from __future__ import annotations

from itertools import combinations
from math import comb

import pytest
import torch
from gaussian.test_gaussian import covariance_of_all, random_kernel, random_sides
from support.games import dense_game, everything

from interpreto_mllm.core.indices import INDICES, size_weights
from interpreto_mllm.gaussian.observations import Observations
from interpreto_mllm.gaussian.presences import presences
from interpreto_mllm.gaussian.set_mixture import SetMixture, set_kernels
from interpreto_mllm.gaussian.set_posterior import SetFunctional, SetPosterior

DISTINCT = ("SII", "FSII", "STII", "BII", "Möbius")


def sets_of(n: int, order: int) -> torch.Tensor:
    return torch.tensor(list(combinations(range(n), order)))


def coefficients(n: int, order: int, index: str) -> torch.Tensor:
    """What the index of each set takes each v(x) times, one coalition and set at a time."""
    weights, rows = size_weights(n, order, index), []
    for present in everything(n).tolist():
        row = []
        for members in combinations(range(n), order):
            held = sum(present[i] for i in members)
            row.append((-1) ** (order - held) * float(weights[sum(present) - held]))
        rows.append(row)
    return torch.tensor(rows, dtype=torch.float64)


@pytest.mark.parametrize("index", DISTINCT)
@pytest.mark.parametrize(("n", "order"), [(2, 2), (5, 2), (5, 3)])
def test_covariances_with_indices_are_the_sums_over_all_coalitions(n, order, index):
    kernel, signs, sums = random_kernel(n), everything(n).double() * 2 - 1, coefficients(n, order, index)
    covariance = covariance_of_all(kernel, n)
    functional = SetFunctional(kernel, order, index)
    torch.testing.assert_close(functional.covariance(signs, sets_of(n, order)), covariance @ sums, atol=1e-7, rtol=1e-6)
    variance = (sums.T @ covariance @ sums).diagonal()
    torch.testing.assert_close(functional.variance(sets_of(n, order)), variance, atol=1e-7, rtol=1e-6)


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize(("order", "index"), [(2, "SII"), (2, "STII"), (3, "FSII"), (2, "Möbius")])
def test_the_posterior_of_indices_is_that_of_the_process_over_all_coalitions(order, index, paired):
    n = 5
    game, kernel, sides = dense_game(n), random_kernel(n), random_sides(n, 7)
    seen = torch.cat([sides, ~sides] if paired else [sides, ~sides[:3]])
    observations = Observations.of_coalitions(seen, game(seen))
    if paired:
        observations = Observations.of_pairs(sides, game(sides), game(~sides))
    mean, variance, jackknife = SetPosterior(SetFunctional(kernel, order, index), observations).read(
        sets_of(n, order), observations.unseen
    )
    covariance, sums = covariance_of_all(kernel, n), coefficients(n, order, index)
    rows = torch.tensor([everything(n).tolist().index(row) for row in seen.tolist()])
    values = (game(seen) - game(seen).mean(0)) / observations.scales
    gain = torch.linalg.solve(covariance[rows][:, rows], covariance[rows] @ sums)
    torch.testing.assert_close(mean, values.T @ gain, atol=1e-6, rtol=1e-6)
    expected = (sums.T @ covariance @ sums - (covariance[rows] @ sums).T @ gain).diagonal()
    torch.testing.assert_close(variance, expected, atol=1e-6, rtol=1e-6)
    changes = torch.zeros_like(mean)
    for out in range(len(observations.signs)):
        alike = [row for row in everything(n).tolist() if sum(row) == int(seen[out].sum())]
        unseen = sum(row not in seen.tolist() for row in alike) / len(alike)
        kept = torch.tensor([row for row in range(len(observations.signs)) if row != out])
        for block in range(len(observations.blocks)):
            alone = Observations(observations.signs, (observations.blocks[block],), observations.scales)
            whole, less = (
                SetPosterior(SetFunctional(kernel, order, index), some).read(sets_of(n, order), some.unseen)[0]
                for some in (alone, alone.rows(kept))
            )
            changes += unseen * (less - whole).square()
    torch.testing.assert_close(jackknife, changes, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("index", INDICES)
def test_weights_of_coalitions_are_those_of_the_presence(index):
    for n, order in ((2, 2), (9, 2), (9, 3), (128, 2)):
        weights = size_weights(n, order, index)
        points, masses = presences(index, order, n)
        sizes = torch.arange(n - order + 1)
        integrals = torch.stack([masses @ (points**s * (1 - points) ** (n - order - s)) for s in sizes.tolist()])
        torch.testing.assert_close(weights, integrals, atol=1e-13, rtol=1e-9)
        assert abs(sum(comb(n - order, s) * weight for s, weight in enumerate(weights.tolist())) - 1) < 1e-9


def weights_by_refits(kernels: list, observations: Observations) -> torch.Tensor:
    """One over the fourth power of each kernel's error about an observation from all others, one by one."""
    masses = []
    for kernel in kernels:
        squares = []
        for parity, values in observations.blocks:
            covariance = kernel.covariance(observations.signs, observations.signs, parity)
            for out in range(len(values)):
                others = [row for row in range(len(values)) if row != out]
                told = torch.linalg.solve(covariance[others][:, others], values[others])
                squares.append((values[out] - covariance[out, others] @ told).square())
        masses.append(1 / torch.stack(squares).mean() ** 2)
    return torch.stack(masses) / sum(masses)


@pytest.mark.parametrize("order", [2, 3])
def test_a_mixture_has_the_moments_of_draws_from_its_posteriors(order):
    n, index = 5, "STII"
    sides = random_sides(n, 9)
    game = dense_game(n)
    observations = Observations.of_pairs(sides, game(sides), game(~sides))
    kernels = [random_kernel(n), *set_kernels(observations)]
    posteriors = [SetPosterior(SetFunctional(kernel, order, index), observations) for kernel in kernels]
    alone = [posterior.read(sets_of(n, order), observations.unseen) for posterior in posteriors]
    mixture = SetMixture.of(kernels, observations, order, index)
    mean, variance, jackknife = mixture.read(sets_of(n, order), observations.unseen)
    weights = weights_by_refits(kernels, observations).tolist()
    drawn = [[weight * each for each in one] for weight, one in zip(weights, alone, strict=True)]
    squares = sum(weight * (one[0].square() + one[1]) for weight, one in zip(weights, alone, strict=True))
    torch.testing.assert_close(mean, sum(one[0] for one in drawn), atol=1e-7, rtol=1e-5)
    torch.testing.assert_close(variance, squares - mean.square(), atol=1e-7, rtol=1e-5)
    torch.testing.assert_close(jackknife, sum(one[2] for one in drawn), atol=1e-7, rtol=1e-5)
    torch.testing.assert_close(torch.cat(list(mixture.means(torch.arange(n))), 1), mean)
    of_pairs = SetMixture.of(kernels, observations, 2, index).read(sets_of(n, 2), observations.unseen)
    torch.testing.assert_close(mixture.pairs().read(sets_of(n, 2), observations.unseen), of_pairs)


def test_kernels_of_odd_and_of_even_parts_are_fitted_to_these_alone(monkeypatch):
    n = 5
    sides, game = random_sides(n, 9), dense_game(n)
    pairs = Observations.of_pairs(sides, game(sides), game(~sides))
    _, odd, even = set_kernels(pairs)
    silent = [torch.zeros_like(values) for _, values in pairs.blocks]
    for kernel, kept in ((odd, 0), (even, 1)):
        (parity, values) = pairs.blocks[kept]
        other = (pairs.blocks[1 - kept][0], silent[kept])
        changed = Observations(pairs.signs, ((parity, values), other) if kept == 0 else (other, (parity, values)), pairs.scales)
        assert torch.equal(set_kernels(changed)[1 + kept].logs, kernel.logs)
    assert len(set_kernels(Observations.of_coalitions(sides, game(sides)))) == 1
    monkeypatch.setattr("interpreto_mllm.gaussian.set_mixture.MOST_MIXED", len(sides) - 1)
    assert len(set_kernels(pairs)) == 1
