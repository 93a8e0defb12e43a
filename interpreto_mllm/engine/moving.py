"""The parts of a model's input that move between a baseline and the prompt."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interpreto_mllm.core.points import Points


@dataclass(frozen=True, eq=False)
class Moving:
    """A part of the input: the states of the prompt's tokens at a layer, or the numbers of an image or a clip.

    Args:
        name: the argument of the forward that it is, None for the states at a layer.
        owner: the feature that each position belongs to, or -1.
        whole: the prompt's.
        baselines: one or several; equal to `whole` where no feature is.
        shape: of the argument, for one row.
    """

    name: str | None
    owner: Int[Tensor, "l"]
    whole: Float[Tensor, "l d"]
    baselines: Float[Tensor, "draws l d"]
    shape: tuple[int, ...] = ()

    def starts(self, chosen: Int[Tensor, "b"]) -> Float[Tensor, "b l d"]:
        """The baseline of each row."""
        return self.baselines[chosen.to(self.baselines.device).clamp_max(len(self.baselines) - 1)]

    def at(self, points: Points, starts: Float[Tensor, "b l d"]) -> Float[Tensor, "b l d"]:
        """The inputs of points: baseline + presence · (prompt − baseline), and their noise; leaves of a graph."""
        device, numbers = self.whole.device, starts.dtype
        ones = torch.ones(len(points), 1, dtype=torch.float64)
        exact = torch.promote_types(numbers, torch.float32)
        presences = torch.cat([points.presences.double(), ones], dim=1)[:, self.owner.cpu()].to(device, exact)
        inputs = starts.to(exact) + presences[..., None] * (self.whole.to(exact) - starts.to(exact))
        if points.noise is not None and points.seeds is not None:
            inputs = inputs + self._noise(points.noise, points.seeds).to(device, exact)
        return inputs.to(numbers).detach().requires_grad_()

    def _noise(self, noise: Float[Tensor, "p"], seeds: Int[Tensor, "p"]) -> Float[Tensor, "p l d"]:
        """What is added to positions of features; of each point the same in every batch and on every device."""
        own = (self.owner >= 0).cpu()[:, None]
        drawn = [torch.randn(self.whole.shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds.tolist()]
        return torch.stack(drawn) * own * (noise.float() * self.range)[:, None, None]

    @cached_property
    def range(self) -> float:
        """The largest minus the smallest number at positions of features, of the prompt and its baselines."""
        own = self.owner >= 0
        numbers = torch.cat([self.whole[own].flatten(), self.baselines[:, own].flatten()]).float()
        return float(numbers.max() - numbers.min()) if numbers.numel() else 0.0
