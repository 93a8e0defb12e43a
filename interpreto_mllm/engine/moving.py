"""The parts of a model's input that move between a baseline and the prompt."""

from __future__ import annotations

from dataclasses import dataclass, replace
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
        owner: the feature that each position belongs to, -1 for none, -2 - k for all of the k-th group together.
        whole: the prompt's.
        baselines: one or several; equal to `whole` where no feature is.
        shape: of the argument, for one row.
        groups: features whose mean presence is that of positions that change with all of them, as the level of silence does
            with the loudest sound of a clip.
    """

    name: str | None
    owner: Int[Tensor, "l"]
    whole: Float[Tensor, "l d"]
    baselines: Float[Tensor, "draws l d"]
    shape: tuple[int, ...] = ()
    groups: tuple[tuple[int, ...], ...] = ()

    def starts(self, chosen: Int[Tensor, "b"]) -> Float[Tensor, "b l d"]:
        """The baseline of each row."""
        return self.baselines[chosen.to(self.baselines.device).clamp_max(len(self.baselines) - 1)]

    def at(self, points: Points, starts: Float[Tensor, "b l d"]) -> Float[Tensor, "b l d"]:
        """The inputs of points: baseline + presence · (prompt − baseline), and their noise; leaves of a graph."""
        device, numbers = self.whole.device, starts.dtype
        exact = torch.promote_types(numbers, torch.float32)
        presences = self._columns(points.presences.double())[:, self.owner.cpu()].to(device, exact)
        inputs = starts.to(exact) + presences[..., None] * (self.whole.to(exact) - starts.to(exact))
        if points.noise is not None and points.seeds is not None:
            inputs = inputs + self._noise(points.noise, points.seeds).to(device, exact)
        return inputs.to(numbers).detach().requires_grad_()

    def _columns(self, presences: Float[Tensor, "p n"]) -> Float[Tensor, "p _"]:
        """The presences that owners are indices of: of features, of groups from the last to the first, and of the rest."""
        groups = [presences[:, list(group)].mean(1, keepdim=True) for group in reversed(self.groups)]
        return torch.cat([presences, *groups, torch.ones_like(presences[:, :1])], dim=1)

    def of_features_alone(self) -> Moving:
        """The same where positions of groups belong to no feature."""
        return replace(self, owner=self.owner.clamp_min(-1), groups=())

    def sums(self, numbers: Float[Tensor, "p l"], n: int) -> Float[Tensor, "p n"]:
        """Of the numbers at all positions, the sum for each feature, with its share of those of its groups."""
        size = n + len(self.groups) + 1
        found = torch.zeros(len(numbers), size, dtype=numbers.dtype)
        found.index_add_(1, self.owner.cpu() % size, numbers)
        for place, group in enumerate(self.groups):
            found[:, list(group)] += found[:, [size - 2 - place]] / len(group)
        return found[:, :n]

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
