"""What a processor makes of an image: of all of it, of what is hidden, and the area of the image that each number shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Int, Shaped
from torch import Tensor

from interpreto_mllm.core.content import digest

Tensors = dict[str, Shaped[Tensor, "..."]]


@dataclass(frozen=True, eq=False)
class Runs:
    """The area that each number of a tensor shows, as runs of numbers that show the same one.

    Args:
        areas: the area of each run; -1 for none, as in padding.
        lengths: how many numbers it has.

    Example:
        >>> runs = Runs.of(np.array([3, 3, -1]))
        >>> runs.areas.tolist(), runs.lengths.tolist()
        ([3, -1], [2, 1])
    """

    areas: Int[np.ndarray, "runs"]
    lengths: Int[np.ndarray, "runs"]

    @classmethod
    def of(cls, area: Int[np.ndarray, "l"]) -> Runs:
        """The runs in these areas of single numbers."""
        starts = np.append(0, np.flatnonzero(area[1:] != area[:-1]) + 1)
        return cls(area[starts], np.diff(np.append(starts, len(area))))

    def shown(self, lit: Bool[np.ndarray, "areas"]) -> Bool[np.ndarray, "l"]:
        """Which numbers are shown with these areas; those of none always are."""
        return np.repeat(np.append(lit, True)[self.areas], self.lengths)

    def among(self, chosen: Bool[np.ndarray, "l"]) -> Int[np.ndarray, "_"]:
        """The areas that some of these numbers show."""
        starts = np.cumsum(self.lengths) - self.lengths
        return np.unique(self.areas[np.logical_or.reduceat(chosen, starts)])


@dataclass(frozen=True, eq=False)
class Processed:
    """Tensors of an image, from which those with pieces absent are put together number by number.

    Args:
        whole: the tensors of the whole image.
        hidden: those of what is shown where pieces are absent.
        area: for each tensor that differs, the area of the image that each number shows.
        along: where the prompt has several images, the dimension along which their tensors follow each other, by name.

    Example:
        >>> image = {"pixel_values": torch.tensor([5.0, 6.0, 7.0])}
        >>> grey, area = {"pixel_values": torch.zeros(3)}, {"pixel_values": Runs.of(np.array([0, 1, -1]))}
        >>> Processed(image, grey, area).tensors(np.array([False, True]))["pixel_values"].tolist()
        [0.0, 6.0, 7.0]
    """

    whole: Tensors
    hidden: Tensors
    area: Mapping[str, Runs]
    along: Mapping[str, int] = field(default_factory=dict)

    def tensors(self, lit: Bool[np.ndarray, "areas"]) -> Tensors:
        """The tensors when only these areas are shown."""
        made = dict(self.whole)
        for name, area in self.area.items():
            whole = self.whole[name]
            made[name] = torch.where(torch.from_numpy(area.shown(lit)).view(whole.shape), whole, self.hidden[name])
        return made

    def key(self, lit: Bool[np.ndarray, "areas"]) -> bytes:
        """Equal exactly where the tensors are."""
        shown = lit[self._differing]
        if shown.all() or not shown.any():
            return self._content[0 if shown.all() else 1]
        return digest(*self._content, shown.tobytes())

    @cached_property
    def _differing(self) -> Bool[np.ndarray, "areas"]:
        """Whether it can be told from the tensors that an area is hidden."""
        told = [area.among((self.whole[name] != self.hidden[name]).flatten().numpy()) for name, area in self.area.items()]
        count = max(int(area.areas.max()) for area in self.area.values()) + 1
        return np.isin(np.arange(count), np.concatenate(told))

    @cached_property
    def _content(self) -> list[bytes]:
        """Digests of the whole tensors and of the hidden ones, and of which number shows what."""
        kinds = (self.whole, self.hidden, self.area)
        return [digest(*(part for name in sorted(kind) for part in _parts(name, kind[name]))) for kind in kinds]


def end_to_end(parts: Sequence[Shaped[Tensor, "..."]], along: int) -> Shaped[Tensor, "..."] | None:
    """Tensors one after the other, along the first dimension with zeros up to the longest; None where they do not fit.

    Example:
        >>> end_to_end([torch.ones(1, 2), torch.ones(1, 1)], 0).tolist()
        [[1.0, 1.0], [1.0, 0.0]]
        >>> end_to_end([torch.ones(1, 2), torch.ones(1, 1)], 1).tolist()
        [[1.0, 1.0, 1.0]]
    """
    if len({part.ndim for part in parts}) > 1 or parts[0].ndim <= along:
        return None
    if along == 0:
        longest = [max(sizes) for sizes in zip(*(part.shape[1:] for part in parts), strict=True)]
        parts = [_padded(part, longest) for part in parts]
    shapes = {(*part.shape[:along], *part.shape[along + 1 :]) for part in parts}
    return torch.cat(list(parts), along) if len(shapes) == 1 else None


def _padded(tensor: Shaped[Tensor, "..."], sizes: Sequence[int]) -> Shaped[Tensor, "..."]:
    """With zeros behind the numbers, up to these sizes of all dimensions but the first."""
    missing = [size - own for size, own in zip(sizes, tensor.shape[1:], strict=True)]
    return torch.nn.functional.pad(tensor, [side for size in reversed(missing) for side in (0, size)])


def _parts(name: str, one: Shaped[Tensor, "..."] | Runs) -> tuple[str | int | memoryview, ...]:
    """What a digest of a tensor, or of the areas in it, is made of."""
    if isinstance(one, Runs):
        return (name, *(np.ascontiguousarray(each, dtype=np.int64).data for each in (one.areas, one.lengths)))
    return (name, *one.shape, str(one.dtype), one.contiguous().reshape(-1).view(torch.uint8).numpy().data)
