"""What is supposed of a game before it is played: how the values of two coalitions vary together."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from interpreto_mllm.coefficients import shapley_coefficients
from interpreto_mllm.gaussian.integrals import share_covariance, share_variance, white_variance

Parity = tuple[float, float]
ODD: Parity = (0.5, -0.5)
EVEN: Parity = (0.5, 0.5)
WHOLE: Parity = (1.0, 0.0)

SCALARS = ("product", "linear", "size", "length", "constant", "white")
MEANS = {"product": 0.5, "linear": 0.2, "size": 0.1, "length": 0.5, "constant": 1.0, "white": 0.003}
SPREADS = {"product": 1.5, "linear": 1.5, "size": 2.0, "length": 1.0, "constant": 1.0, "white": 2.0}
RATE_SPREAD = 1.5
REACH = 8.0


class Kernel:
    """The covariance of v(x) and v(x′), coalitions written as signs x in {−1, 1}ⁿ.

    k(x, x′) = product · exp(−Σᵢ rateᵢ [xᵢ ≠ xᵢ′]) + linear · x·x′ / n + size · exp(−||S| − |S′|| / (length · n)) + constant
    + white · [x = x′].

    One rate per feature, so that it can be learnt that a feature does not matter. The white part is no noise of measurement:
    it is the share of the game that tells nothing of other coalitions, and counts in the Shapley values like the rest.
    Whatever the game, o(x) = (v(x) − v(−x)) / 2 and e(x) = (v(x) + v(−x)) / 2 are uncorrelated, and Shapley values depend on
    o alone. A parity (a, b) names what is observed: its covariance is a · k(x, x′) + b · k(x, −x′).

    Args:
        logs: logarithms of the n rates, then of product, linear, size, length, constant and white.

    Example:
        >>> kernel = Kernel(Kernel.prior(3)[0])
        >>> signs = torch.tensor([[1.0, 1.0, -1.0], [1.0, -1.0, -1.0]], dtype=torch.float64)
        >>> bool((kernel.covariance(signs, -signs, ODD) == -kernel.covariance(signs, signs, ODD)).all())
        True
    """

    def __init__(self, logs: Float[Tensor, "k"]):
        self.logs, self.n = logs, len(logs) - len(SCALARS)
        self.rates = logs[: self.n].exp()
        scalars = logs[self.n :].exp().tolist()
        self.product, self.linear, self.size, self.length, self.constant, self.white = scalars

    @staticmethod
    def prior(n: int) -> tuple[Float[Tensor, "k"], Float[Tensor, "k"]]:
        """Means and standard deviations of `logs`, for values of unit variance. They are wide: a factor of 4 or more each way."""
        means = [2 / n] * n + [MEANS[name] for name in SCALARS]
        spreads = [RATE_SPREAD] * n + [SPREADS[name] for name in SCALARS]
        return torch.tensor(means, dtype=torch.float64).log(), torch.tensor(spreads, dtype=torch.float64)

    @staticmethod
    def within_reach(logs: Float[Tensor, "k"]) -> Float[Tensor, "k"]:
        """The same, no more than eight standard deviations from the prior mean, so that nothing overflows."""
        means, spreads = Kernel.prior(len(logs) - len(SCALARS))
        return torch.minimum(torch.maximum(logs, means - REACH * spreads), means + REACH * spreads)

    def covariance(self, left: Float[Tensor, "p n"], right: Float[Tensor, "q n"], parity: Parity) -> Float[Tensor, "p q"]:
        """Of what `parity` names, between coalitions."""
        near, far = (sum(parts.values()) for parts in self.parts(left, right))
        return parity[0] * near + parity[1] * far

    def variance(self, signs: Float[Tensor, "p n"], parity: Parity) -> Float[Tensor, "p"]:
        """The diagonal of `covariance`."""
        near = self.product + self.linear + self.size + self.constant + self.white
        far = self.product * float(torch.exp(-self.rates.sum())) - self.linear + self.constant
        gap = signs.sum(1).abs()
        return parity[0] * near + parity[1] * (far + self.size * torch.exp(-gap / (self.length * self.n)))

    def parts(self, left: Float[Tensor, "p n"], right: Float[Tensor, "q n"]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The summands of k(x, x′), and those of k(x, −x′)."""
        agreement = left @ right.T
        rated, total = (left * self.rates) @ right.T, self.rates.sum()
        counts, others = left.sum(1)[:, None], right.sum(1)[None]
        reach = 2 * self.length * self.n
        near = {
            "product": self.product * torch.exp((rated - total) / 2),
            "linear": self.linear / self.n * agreement,
            "size": self.size * torch.exp(-(counts - others).abs() / reach),
            "constant": torch.full_like(agreement, self.constant),
            "white": self.white * (agreement == self.n),
        }
        far = {
            "product": self.product * torch.exp((-rated - total) / 2),
            "linear": -near["linear"],
            "size": self.size * torch.exp(-(counts + others).abs() / reach),
            "constant": near["constant"],
            "white": self.white * (agreement == -self.n),
        }
        return near, far

    def gradient(
        self, signs: Float[Tensor, "p n"], near: Float[Tensor, "p p"], far: Float[Tensor, "p p"]
    ) -> Float[Tensor, "k"]:
        """The gradient in `logs` of a function whose derivatives in k(x, x′) and k(x, −x′) are `near` and `far`."""
        near_parts, far_parts = self.parts(signs, signs)
        near_product, far_product = near * near_parts["product"], far * far_parts["product"]
        pull = ((near_product - far_product) @ signs * signs).sum(0)
        product = (near_product + far_product).sum()
        scalars = {name: (near * near_parts[name] + far * far_parts[name]).sum() for name in near_parts}
        counts = signs.sum(1)
        distance, opposite = (counts[:, None] - counts).abs(), (counts[:, None] + counts).abs()
        stretched = near * near_parts["size"] * distance + far * far_parts["size"] * opposite
        scalars["length"] = stretched.sum() / (2 * self.length * self.n)
        return torch.cat([self.rates * (pull - product) / 2, torch.stack([scalars[name] for name in SCALARS])])

    def shapley_covariance(self, signs: Float[Tensor, "p n"]) -> Float[Tensor, "p n"]:
        """Of v(x), and as well of o(x), with the Shapley value of each feature."""
        present, counts = signs > 0, (signs.sum(1) + self.n) / 2
        sizes = torch.exp(-(self.n - counts) / (self.length * self.n)) - torch.exp(-counts / (self.length * self.n))
        return (
            self.product * share_covariance(present, self.rates)
            + 2 * self.linear / self.n * signs
            + (self.size / self.n * sizes)[:, None]
            + self.white * shapley_coefficients(present)
        )

    def shapley_variance(self) -> Float[Tensor, "n"]:
        """Of the Shapley value of each feature, before anything is observed."""
        size = 2 * self.size * -math.expm1(-1 / self.length) / self.n**2
        white = self.white * white_variance(self.n)
        return self.product * share_variance(self.rates) + 4 * self.linear / self.n + size + white
