"""A prior over games that vary more where more features, or certain ones, are present."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from interpreto_mllm.gaussian.kernel import SCALARS, Kernel, Parity, Part

TILTED = ("coarse", "fine", "white")
COMMON_SPREAD, OWN_SPREAD = 0.5, 0.15
"""Prior standard deviations of Σᵢ gᵢ / √n, and of how far each gᵢ is from their mean."""
RATE_FACTOR, RATE_SPREAD, WHITE_FACTOR = 1.65, 1.275, 2.7
"""The prior means of the coarse rates and of white, over those of `Kernel`, and the standard deviation of the logarithms of
these rates. Of those tried, they have the least error of Shapley values on the tuning half of `benchmarks/real_games.py`."""


class TiltedKernel(Kernel):
    """The covariance of v(x) and v(x′), with an amplitude that depends on which features are present.

    k(x, x′) = a(x) a(x′) · (coarse · exp(−Σᵢ aᵢ [xᵢ ≠ xᵢ′]) + fine · exp(−Σᵢ bᵢ [xᵢ ≠ xᵢ′]) + white · [x = x′])
    + linear · x·x′ / n + size · exp(−||S| − |S′|| / (length · n)) + constant,   a(x) = exp(Σᵢ gᵢ xᵢ / 2).

    Games of language models vary more where little of a prompt is left, or where a certain part of it is there. The odd and
    even parts of such games tell of each other, so that coalitions are observed as they are: the only parity is `WHOLE`.

    Args:
        logs: those of `Kernel`, then n differences of the gᵢ from their mean, and their mean times √n.
    """

    def __init__(self, logs: Float[Tensor, "k"]):
        super().__init__(logs)
        self.tilt = logs[-self.n - 1 : -1] + logs[-1] / math.sqrt(self.n)

    @staticmethod
    def features(logs: Float[Tensor, "k"]) -> int:
        """n."""
        return (len(logs) - len(SCALARS) - 1) // 3

    @staticmethod
    def prior(n: int) -> tuple[Float[Tensor, "k"], Float[Tensor, "k"]]:
        """Means and standard deviations of `logs`; no tilt on average."""
        means, spreads = (part.clone() for part in Kernel.prior(n))
        means[:n] += math.log(RATE_FACTOR)
        means[-1] += math.log(WHITE_FACTOR)
        spreads[:n] = RATE_SPREAD
        tilts = torch.tensor([OWN_SPREAD] * n + [COMMON_SPREAD], dtype=torch.float64)
        return torch.cat([means, torch.zeros_like(tilts)]), torch.cat([spreads, tilts])

    @staticmethod
    def level(kernel: Kernel) -> Float[Tensor, "k"]:
        """The logs of a kernel without tilt."""
        return torch.cat([kernel.logs, torch.zeros(kernel.n + 1, dtype=torch.float64)])

    def amplitude(self, signs: Float[Tensor, "p n"]) -> Float[Tensor, "p 1"]:
        """a(x)."""
        return torch.exp(signs @ self.tilt / 2)[:, None]

    def variance(self, signs: Float[Tensor, "p n"], parity: Parity) -> Float[Tensor, "p"]:
        """The diagonal of `covariance`."""
        scale = sum(scale for scale, _ in self.products) + self.white
        return scale * self.amplitude(signs)[:, 0].square() + self.linear * self.n + self.size + self.constant

    def parts(self, left: Float[Tensor, "p n"], right: Float[Tensor, "other n"]) -> Iterator[Part]:
        """The name of each summand of k(x, x′), and what it adds."""
        amplitudes = self.amplitude(left) * self.amplitude(right).T
        for name, part in super().parts(left, right):
            yield name, part * amplitudes if name in TILTED else part

    def gradient(
        self,
        left: Float[Tensor, "p n"],
        right: Float[Tensor, "other n"],
        parts: Iterable[Part],
        slope: Float[Tensor, "p other"],
    ) -> Float[Tensor, "k"]:
        """The gradient in `logs` of a function of k(x, x′), from its parts and the function's derivatives in it."""
        parts = list(parts)
        changes = slope * sum(part for name, part in parts if name in TILTED)
        tilt = (changes.sum(1) @ left + changes.sum(0) @ right) / 2
        common = tilt.sum()[None] / math.sqrt(self.n)
        return torch.cat([super().gradient(left, right, parts, slope), tilt, common])
