"""What a processor makes of an image: of all of it, of what is hidden, and the area of the image that each number shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Int, Shaped
from torch import Tensor

from interpreto_mllm.core.content import digest

Tensors = dict[str, Shaped[Tensor, "..."]]


@dataclass(frozen=True, eq=False)
class Processed:
    """Tensors of an image, from which those with pieces absent are put together number by number.

    Args:
        whole: the tensors of the whole image.
        hidden: those of what is shown where pieces are absent.
        area: for each tensor that differs, the area of the image that each number shows; -1 for none, as in padding.

    Example:
        >>> image = {"pixel_values": torch.tensor([5.0, 6.0, 7.0])}
        >>> grey, area = {"pixel_values": torch.zeros(3)}, {"pixel_values": torch.tensor([0, 1, -1])}
        >>> Processed(image, grey, area).tensors(np.array([False, True]))["pixel_values"].tolist()
        [0.0, 6.0, 7.0]
    """

    whole: Tensors
    hidden: Tensors
    area: Mapping[str, Int[Tensor, "..."]]

    def tensors(self, lit: Bool[np.ndarray, "areas"]) -> Tensors:
        """The tensors when only these areas are shown."""
        shown = torch.from_numpy(np.append(lit, True))
        made = dict(self.whole)
        for name, area in self.area.items():
            made[name] = torch.where(shown[area], self.whole[name], self.hidden[name])
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
        changes = {name: self.whole[name] != self.hidden[name] for name in self.area}
        told = torch.cat([self.area[name][changed] for name, changed in changes.items()])
        count = max(int(area.max()) for area in self.area.values()) + 1
        return np.isin(np.arange(count), told.unique().numpy())

    @cached_property
    def _content(self) -> list[bytes]:
        """Digests of the whole tensors and of the hidden ones, and of which number shows what."""
        kinds = (self.whole, self.hidden, self.area)
        return [digest(*(part for name in sorted(kind) for part in _parts(name, kind[name]))) for kind in kinds]


def _parts(name: str, tensor: Shaped[Tensor, "..."]) -> tuple[str | int | memoryview, ...]:
    """What a digest of a tensor is made of."""
    return (name, *tensor.shape, str(tensor.dtype), tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
