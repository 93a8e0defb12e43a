"""What a Gaussian process is conditioned on: odd and even parts of pairs, or coalitions as they are."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interpreto_mllm.core.coalitions import inverse_binomials
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

    @property
    def paired(self) -> bool:
        """Whether each row is a coalition and its complement."""
        return self.shapley_block[0] != WHOLE

    @property
    def unseen(self) -> Float[Tensor, "u 1"]:
        """Of the coalitions as large as that of each row, the share that was not observed; 0 for those of ∅ and N.

        Example:
            >>> sides = torch.tensor([[0, 0, 0, 0], [1, 0, 0, 0], [1, 1, 0, 0]]).bool()
            >>> Observations.of_pairs(sides, torch.ones(3, 1), torch.zeros(3, 1)).unseen.flatten().tolist()
            [0.0, 0.75, 0.66...]
        """
        present = self.signs > 0
        n, sizes = present.shape[1], present.sum(1)
        counts = torch.bincount(sizes, minlength=n + 1)
        if self.paired:
            counts = counts + counts.flip(0)
        return (1 - counts[sizes] * inverse_binomials(present)).clamp_min(0)[:, None]

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
