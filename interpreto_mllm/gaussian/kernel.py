"""The prior over games: the covariance of the values of two coalitions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from interpreto_mllm.core.coalitions import shapley_coefficients
from interpreto_mllm.gaussian.integrals import share_covariance, share_variance, share_variance_of_sums

Parity = tuple[float, float]
"""(a, b): the covariance of what is observed is a · k(x, x′) + b · k(x, −x′)."""
Part = tuple[str, Float[Tensor, "p other"]]
"""The name of a summand of the covariance, and what it adds."""
ODD: Parity = (0.5, -0.5)
EVEN: Parity = (0.5, 0.5)
WHOLE: Parity = (1.0, 0.0)

SCALARS = ("coarse", "fine", "linear", "size", "length", "constant", "white")
MEANS = {"coarse": 0.5, "fine": 0.01, "linear": 0.2, "size": 0.1, "length": 0.5, "constant": 1.0, "white": 0.003}
SPREADS = {"coarse": 1.5, "fine": 2.0, "linear": 1.5, "size": 2.0, "length": 1.0, "constant": 1.0, "white": 2.0}
MOST_DEVIATIONS = 8.0
"""Standard deviations of the prior by which `Kernel.clamped` lets a logarithm differ from its mean."""


class Kernel:
    """The covariance of v(x) and v(x′), coalitions written as signs x in {−1, 1}ⁿ.

    k(x, x′) = coarse · exp(−Σᵢ aᵢ [xᵢ ≠ xᵢ′]) + fine · exp(−Σᵢ bᵢ [xᵢ ≠ xᵢ′]) + linear · x·x′ / n
    + size · exp(−||S| − |S′|| / (length · n)) + constant + white · [x = x′].

    Each feature has a rate aᵢ, so that it can be learnt that a feature does not matter, and a second one bᵢ for the small
    remainder of the game, which depends on features in another way. The white part is not measurement noise. It is the
    share of the game that carries no information on other coalitions, and it counts in the Shapley values like the rest.

    Whatever the game, o(x) = (v(x) − v(−x)) / 2 and e(x) = (v(x) + v(−x)) / 2 are uncorrelated, and Shapley values depend on
    o alone. A parity (a, b) names what is observed: its covariance is a · k(x, x′) + b · k(x, −x′).

    Args:
        logs: logarithms of the n coarse rates, the n fine ones, then of coarse, fine, linear, size, length, constant and white.

    Example:
        >>> kernel = Kernel(Kernel.prior(3)[0])
        >>> signs = torch.tensor([[1.0, 1.0, -1.0], [1.0, -1.0, -1.0]], dtype=torch.float64)
        >>> bool((kernel.covariance(signs, -signs, ODD) == -kernel.covariance(signs, signs, ODD)).all())
        True
    """

    def __init__(self, logs: Float[Tensor, "k"]):
        self.logs, self.n = logs, self.features(logs)
        rates = logs[: 2 * self.n].exp()
        scalars = dict(zip(SCALARS, logs[2 * self.n :][: len(SCALARS)].exp().tolist(), strict=True))
        self.products = [(scalars["coarse"], rates[: self.n]), (scalars["fine"], rates[self.n :])]
        self.linear, self.size, self.length = scalars["linear"] / self.n, scalars["size"], scalars["length"] * self.n
        self.constant, self.white = scalars["constant"], scalars["white"]
        self.tilt = torch.zeros(self.n, dtype=torch.float64)

    @staticmethod
    def features(logs: Float[Tensor, "k"]) -> int:
        """n."""
        return (len(logs) - len(SCALARS)) // 2

    @staticmethod
    def prior(n: int) -> tuple[Float[Tensor, "k"], Float[Tensor, "k"]]:
        """Means and standard deviations of `logs`, for values of unit variance; wide, by a factor of e or more each way."""
        means = [2 / n] * n + [0.5] * n + [MEANS[name] for name in SCALARS]
        spreads = [1.5] * n + [1.0] * n + [SPREADS[name] for name in SCALARS]
        return torch.tensor(means, dtype=torch.float64).log(), torch.tensor(spreads, dtype=torch.float64)

    @classmethod
    def clamped(cls, logs: Float[Tensor, "k"]) -> Float[Tensor, "k"]:
        """The same, at most eight standard deviations from the prior mean, so that nothing overflows."""
        means, spreads = cls.prior(cls.features(logs))
        return torch.minimum(torch.maximum(logs, means - MOST_DEVIATIONS * spreads), means + MOST_DEVIATIONS * spreads)

    def covariance(
        self, left: Float[Tensor, "p n"], right: Float[Tensor, "other n"], parity: Parity
    ) -> Float[Tensor, "p other"]:
        """The covariance, between coalitions, of what `parity` names."""
        near = parity[0] * summed(self.parts(left, right))
        return near + parity[1] * summed(self.parts(left, -right)) if parity[1] else near

    def variance(self, signs: Float[Tensor, "p n"], parity: Parity) -> Float[Tensor, "p"]:
        """The diagonal of `covariance`."""
        near = sum(scale for scale, _ in self.products) + self.linear * self.n + self.size + self.constant + self.white
        far = sum(scale * float(torch.exp(-rates.sum())) for scale, rates in self.products)
        far += self.constant - self.linear * self.n
        return parity[0] * near + parity[1] * (far + self.size * torch.exp(-signs.sum(1).abs() / self.length))

    def parts(self, left: Float[Tensor, "p n"], right: Float[Tensor, "other n"]) -> Iterator[Part]:
        """The name of each summand of k(x, x′), and what it adds."""
        for name, (scale, rates) in zip(SCALARS, self.products, strict=False):
            yield name, scale * torch.exp((left * rates) @ right.T / 2 - rates.sum() / 2)
        agreement = left @ right.T
        yield "linear", self.linear * agreement
        yield "size", self.size * torch.exp(-sizes_apart(left, right) / self.length)
        yield "constant", torch.full_like(agreement, self.constant)
        yield "white", self.white * (agreement == self.n).double()

    def gradient(
        self,
        left: Float[Tensor, "p n"],
        right: Float[Tensor, "other n"],
        parts: Iterable[Part],
        slope: Float[Tensor, "p other"],
    ) -> Float[Tensor, "k"]:
        """The gradient in `logs` of a function of k(x, x′), from its parts and the function's derivatives in it."""
        rates = {name: rates for name, (_, rates) in zip(SCALARS, self.products, strict=False)}
        slopes, scalars = [], {}
        for name, part in parts:
            change = slope * part
            scalars[name] = change.sum()
            if name in rates:
                slopes.append(rates[name] / 2 * ((change @ right * left).sum(0) - scalars[name]))
            if name == "size":
                scalars["length"] = (change * sizes_apart(left, right)).sum() / self.length
        return torch.cat([*slopes, torch.stack([scalars[name] for name in SCALARS])])

    def shapley_covariance(self, signs: Float[Tensor, "p n"]) -> Float[Tensor, "p n"]:
        """The covariance of v(x), and equally of o(x), with the Shapley value of each feature."""
        present, counts = signs > 0, (signs.sum(1) + self.n) / 2
        sizes = torch.exp(-(self.n - counts) / self.length) - torch.exp(-counts / self.length)
        covariance = 2 * self.linear * signs + (self.size / self.n * sizes)[:, None]
        for scale, rates in self.products:
            covariance = covariance + scale * share_covariance(present, rates, self.tilt)
        own = torch.exp(signs @ self.tilt)[:, None]
        return covariance + self.white * own * shapley_coefficients(present)

    def shapley_variance(self) -> Float[Tensor, "n"]:
        """The variance of the Shapley value of each feature, before anything is observed."""
        size = 2 * self.size * -math.expm1(-self.n / self.length) / self.n**2
        variance = torch.full((self.n,), 4 * self.linear + size, dtype=torch.float64)
        for scale, rates in [*self.products, self._white_product()]:
            variance = variance + scale * share_variance(rates, self.tilt)
        return variance

    def joint_shapley_variance(self) -> Float[Tensor, "n"]:
        """What features that matter together, as far as the coarse rates say, add to `shapley_variance`."""
        scale, rates = self.products[0]
        return scale * share_variance(rates, self.tilt)

    def shapley_variance_of_sums(self, members: Float[Tensor, "n sums"]) -> Float[Tensor, "sums"]:
        """The variance of sums of Shapley values, before anything is observed; ones in `members` say whose are added."""
        counts = members.sum(0)
        size = 2 * self.size * -math.expm1(-self.n / self.length) / self.n**2
        variance = 4 * self.linear * counts + size * counts.square()
        for scale, rates in [*self.products, self._white_product()]:
            variance = variance + scale * share_variance_of_sums(rates, members, self.tilt)
        return variance

    def _white_product(self) -> tuple[float, Float[Tensor, "n"]]:
        """The white part as a product: of infinite rates."""
        return self.white, torch.full((self.n,), math.inf, dtype=torch.float64)


def sizes_apart(left: Float[Tensor, "p n"], right: Float[Tensor, "other n"]) -> Float[Tensor, "p other"]:
    """By how many features coalitions differ in size."""
    return (left.sum(1)[:, None] - right.sum(1)).abs() / 2


def summed(parts: Iterable[Part]) -> Float[Tensor, "p other"]:
    """The covariance, from its parts."""
    total, *others = (part for _, part in parts)
    for part in others:
        total = total + part
    return total
