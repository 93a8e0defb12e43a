"""Images or clips that a processor has already encoded: only their tensors are known, not their pixels or samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Shaped
from torch import Tensor

from interpreto_mllm.core.content import digest
from interpreto_mllm.core.feature import Feature

ABSENT = 1e-6
"""The value of absent numbers: nearly zero, because Idefics 3 and SmolVLM take an image of exact zeros for padding."""

Tensors = dict[str, Shaped[Tensor, "..."]]


@dataclass(frozen=True, eq=False)
class Encoded:
    """The images, or the clips, of one prompt, as a processor encoded them. Each is one piece that cannot be cut further.

    An absent piece is zero, which is the mean after the normalisation that processors do.

    Args:
        modality: "image" or "audio".
        tensors: what the model is given for them.
        rows: for each tensor with a part per piece, where each part begins, and the end of the last.
        around: the tensors with a number per token, for their placeholder tokens and the marks around these.

    Example:
        >>> import torch
        >>> encoded = Encoded("image", {"pixel_values": torch.ones(2, 3)}, {"pixel_values": (0, 1, 2)})
        >>> encoded.render(np.array([True, False]))["pixel_values"].round().tolist()
        [[1.0, 1.0, 1.0], [0.0, 0.0, 0.0]]
        >>> [feature.text for feature in encoded.features(0)]
        ['image 1', 'image 2']
    """

    modality: str
    tensors: Tensors
    rows: Mapping[str, tuple[int, ...]]
    around: Tensors = field(default_factory=dict)

    keeps_size: ClassVar[bool] = True
    notes: ClassVar[tuple[str, ...]] = ()

    @cached_property
    def size(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """The shapes of all tensors."""
        named = [*self.tensors.items(), *self.around.items()]
        return tuple((name, tuple(tensor.shape)) for name, tensor in named)

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the pieces."""
        name = {"audio": "clip"}.get(self.modality, self.modality)
        count = len(next(iter(self.rows.values()))) - 1
        return (name,) if count == 1 else tuple(f"{name} {number + 1}" for number in range(count))

    def render(self, present: Bool[np.ndarray, "pieces"]) -> Tensors:
        """What the model is given when only these pieces are present."""
        rendered = dict(self.tensors)
        for name, edges in self.rows.items():
            rendered[name] = self.tensors[name].clone()
            for piece in np.flatnonzero(~present):
                part = rendered[name][edges[piece] : edges[piece + 1]]
                part[part != 0] = ABSENT
        return rendered

    def key(self, present: Bool[np.ndarray, "pieces"]) -> bytes:
        """Equal exactly for states of equal tensors with the same pieces present."""
        return digest(self._content, present.tobytes())

    @cached_property
    def _content(self) -> bytes:
        """A digest of everything that decides how states render."""
        named = sorted([*self.tensors.items(), *((f"around {name}", tensor) for name, tensor in self.around.items())])
        values = [(name, *tensor.shape, str(tensor.dtype), _bytes(tensor)) for name, tensor in named]
        rows = [(name, *edges) for name, edges in sorted(self.rows.items())]
        return digest(self.modality, "encoded", *(part for parts in (*values, *rows) for part in parts))

    def features(self, medium: int, role: str | None = None, turn: int | None = None) -> list[Feature]:
        """The pieces as features; see `Picture.features`."""
        return [
            Feature(label, role=role, turn=turn, modality=self.modality, pieces=((medium, piece),))
            for piece, label in enumerate(self.labels)
        ]


def _bytes(tensor: Shaped[Tensor, "..."]) -> bytes:
    """The numbers of a tensor of any type, on any device."""
    return tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
