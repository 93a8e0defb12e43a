"""Targets at positions of a text: words at masks, labels of tokens, the places where an answer starts and ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from interpreto_mllm.engine.queries import ClassifyAt
from interpreto_mllm.games.targets import LabelledTarget
from interpreto_mllm.prompts.model_input import ModelInput


@dataclass(frozen=True)
class PositionTarget(LabelledTarget):
    """Classes at positions of a text, one each: labels of its tokens, or the places where an answer starts and ends."""

    positions: tuple[int, ...]
    classes: tuple[int, ...]
    texts: tuple[str, ...]

    @property
    def length(self) -> int:
        return len(self.classes)

    @property
    def content(self) -> tuple[Any, ...]:
        return self.positions, self.classes

    def query(self, input: ModelInput) -> ClassifyAt:
        return ClassifyAt(input, self.positions, self.classes)


@dataclass(frozen=True)
class MaskTarget(LabelledTarget):
    """A token for each mask of a text, wherever the masks are in it."""

    mask: int
    ids: tuple[int, ...]
    texts: tuple[str, ...]

    @property
    def length(self) -> int:
        return len(self.ids)

    @property
    def content(self) -> tuple[Any, ...]:
        return self.mask, self.ids

    def query(self, input: ModelInput) -> ClassifyAt:
        return ClassifyAt(input, tuple((input.ids == self.mask).nonzero()[0].tolist()), self.ids)
