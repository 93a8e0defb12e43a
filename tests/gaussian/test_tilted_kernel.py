"""The kernel of games that vary more where certain features are present, beside sums over all coalitions."""

import math

import torch
from support.games import dense_game, everything

from interpreto_mllm.aggregators import KernelAggregator
from interpreto_mllm.core.coalitions import shapley_coefficients
from interpreto_mllm.explainers.play import play
from interpreto_mllm.gaussian.fit import fit_kernel, negative_log_posterior
from interpreto_mllm.gaussian.kernel import WHOLE
from interpreto_mllm.gaussian.observations import Observations
from interpreto_mllm.gaussian.posterior import Posterior
from interpreto_mllm.gaussian.tilted_kernel import TiltedKernel
from interpreto_mllm.perturbators import KernelPerturbator


def random_kernel(n: int) -> TiltedKernel:
    """Hyper-parameters around the prior's means."""
    means, spreads = TiltedKernel.prior(n)
    return TiltedKernel(means + 0.7 * spreads * torch.randn(len(means), generator=torch.Generator().manual_seed(0)).double())


def covariance_of_all(kernel: TiltedKernel) -> torch.Tensor:
    """k(x, x′) over all pairs of coalitions, by its formula, one pair at a time."""
    n = kernel.n
    coarse_rates, fine_rates, scalars, own, common = kernel.logs.split([n, n, 7, n, 1])
    coarse, fine, linear, size, length, constant, white = scalars.exp().tolist()
    tilt, signs = own + common / math.sqrt(n), everything(n).double() * 2 - 1
    covariance = torch.zeros(2**n, 2**n, dtype=torch.float64)
    for a, x in enumerate(signs):
        for b, y in enumerate(signs):
            products = coarse * torch.exp(-coarse_rates.exp()[x != y].sum()) + fine * torch.exp(-fine_rates.exp()[x != y].sum())
            amplitudes = torch.exp(tilt @ x / 2) * torch.exp(tilt @ y / 2)
            by_size = size * math.exp(-float((x.sum() - y.sum()).abs() / 2) / (length * n))
            covariance[a, b] = amplitudes * (products + white * (a == b)) + linear * (x @ y) / n + by_size + constant
    return covariance


def test_covariances_with_shapley_values_and_their_sums_are_those_over_all_coalitions():
    n = 5
    kernel, signs = random_kernel(n), everything(n).double() * 2 - 1
    covariance, sums = covariance_of_all(kernel), shapley_coefficients(everything(n))
    torch.testing.assert_close(kernel.covariance(signs, signs, WHOLE), covariance)
    torch.testing.assert_close(kernel.variance(signs, WHOLE), covariance.diagonal())
    torch.testing.assert_close(kernel.shapley_covariance(signs), covariance @ sums)
    own = sums.T @ covariance @ sums
    torch.testing.assert_close(kernel.shapley_variance(), own.diagonal())
    members = torch.tensor([[1, 1, 0, 0, 1], [0, 1, 0, 0, 0], [1, 1, 1, 1, 1]]).double().T
    torch.testing.assert_close(kernel.shapley_variance_of_sums(members), (members.T @ own @ members).diagonal())


def test_the_gradient_is_that_of_finite_differences():
    n, step = 4, 1e-5
    observations = Observations.of_coalitions(everything(n)[::2], dense_game(n)(everything(n)[::2]))
    logs, slopes = random_kernel(n).logs, []
    for shift in step * torch.eye(len(logs), dtype=torch.float64):
        above, below = (negative_log_posterior(point, observations, TiltedKernel)[0] for point in (logs + shift, logs - shift))
        slopes.append((above - below) / (2 * step))
    found = negative_log_posterior(logs, observations, TiltedKernel)[1]
    torch.testing.assert_close(found, torch.stack(slopes), atol=1e-5, rtol=1e-5)


def fading(coalitions: torch.Tensor) -> torch.Tensor:
    """Interactions of many features that fade as features are added."""
    n = coalitions.shape[1]
    signs = coalitions.double() * 2 - 1
    waves = torch.randn(n, 12, generator=torch.Generator().manual_seed(1)).double()
    return torch.exp(-0.25 * signs.sum(1)) * torch.cos(signs @ waves / 2).sum(1)


def test_where_a_game_fades_the_tilt_is_learnt_and_lowers_the_error():
    n = 9
    exact = fading(everything(n)) @ shapley_coefficients(everything(n))
    errors, tilts = [], []
    for seed in range(2):
        found = play(fading, KernelPerturbator(), KernelAggregator(), n_features=n, budget=120, seed=seed)
        seen = Observations.of_coalitions(found.coalitions, found.values)
        level = fit_kernel(seen)
        tilted = fit_kernel(seen, TiltedKernel.level(level), kind=TiltedKernel)
        tilts.append(float(tilted.tilt.mean()))
        errors.append([float((Posterior(k, seen).mean() * seen.scales - exact).square().sum()) for k in (level, tilted)])
    assert max(tilts) < -0.1
    assert sum(error[1] for error in errors) < 0.7 * sum(error[0] for error in errors)
