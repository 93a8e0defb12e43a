"""What a Gaussian process is conditioned on: odd and even parts of pairs, or coalitions as they are."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interpreto_mllm.gaussian.kernel import EVEN, ODD, WHOLE, Parity


@dataclass(frozen=True, eq=False)
class Observations:
    """Coalitions as signs, and what was observed of them, each target centred and scaled to unit variance.

    Args:
        signs: one row per observation, 1 where a feature is present and −1 where it is absent.
        blocks: uncorrelated views of the same rows: the parity observed and its values. Shapley values depend on
            the first alone.
        scales: what the values of each target were divided by, 0 where they did not vary.
    """

    signs: Float[Tensor, "u n"]
    blocks: tuple[tuple[Parity, Float[Tensor, "u t"]], ...]
    scales: Float[Tensor, "t"]

    @staticmethod
    def of_pairs(sides: Bool[Tensor, "u n"], values: Float[Tensor, "u t"], complements: Float[Tensor, "u t"]) -> Observations:
        """v(S) and v(N∖S) as the odd part (v(S) − v(N∖S)) / 2 and the even part (v(S) + v(N∖S)) / 2."""
        scales = _scales(torch.cat([values, complements]))
        values, complements = values.double(), complements.double()
        odd, even = (values - complements) / 2, (values + complements) / 2
        blocks = ((ODD, _divided(odd, scales)), (EVEN, _divided(even - even.mean(0), scales)))
        return Observations(_signs(sides), blocks, scales)

    @staticmethod
    def of_coalitions(coalitions: Bool[Tensor, "u n"], values: Float[Tensor, "u t"]) -> Observations:
        """v(S), where some complements are unknown."""
        values, scales = values.double(), _scales(values)
        return Observations(_signs(coalitions), ((WHOLE, _divided(values - values.mean(0), scales)),), scales)

    @property
    def shapley_block(self) -> tuple[Parity, Float[Tensor, "u t"]]:
        """The block that Shapley values depend on."""
        return self.blocks[0]

    def varying(self) -> Observations:
        """Those of the targets that vary."""
        kept = self.scales > 0
        return Observations(self.signs, tuple((parity, values[:, kept]) for parity, values in self.blocks), self.scales[kept])

    def rows(self, kept: Int[Tensor, "kept"]) -> Observations:
        """Some of the observations, on the same scale."""
        return Observations(self.signs[kept], tuple((parity, values[kept]) for parity, values in self.blocks), self.scales)


def _signs(coalitions: Tensor) -> Tensor:
    return coalitions.double() * 2 - 1


def _scales(values: Tensor) -> Tensor:
    """Standard deviations, 0 where they are no more than rounding errors of the values."""
    values = values.double()
    scales = values.std(0, correction=0)
    return torch.where(scales > 1e-12 * values.abs().amax(0), scales, 0.0)


def _divided(values: Tensor, scales: Tensor) -> Tensor:
    return torch.where(scales > 0, values / torch.where(scales > 0, scales, 1.0), 0.0)
