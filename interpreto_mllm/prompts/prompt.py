"""A prompt as a game sees it: features, and what the model reads for each coalition of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Int
from torch import Tensor

from interpreto_mllm.feature import Feature
from interpreto_mllm.prompts.granularity import Granularity
from interpreto_mllm.prompts.occlusion import Occlusion, Reading

Hierarchy = list["int | Hierarchy"]


@runtime_checkable
class Prompt(Protocol):
    """Anything that says what the model reads for a coalition of its features."""

    @property
    def text(self) -> str:
        """The whole prompt; the features' spans index into it."""
        ...

    @property
    def features(self) -> list[Feature]:
        """The players."""
        ...

    def read(self, coalitions: Bool[Tensor, "p n"]) -> list[list[Reading]]:
        """For each coalition the readings over whose values its value is the mean; usually one."""
        ...

    def hierarchy(self) -> Hierarchy:
        """The features as a tree: chat turns, their sentences, their features."""
        ...


@dataclass(frozen=True, eq=False)
class TokenPrompt:
    """A prompt of fixed tokens, each owned by one feature or by none (always present).

    Args:
        text: what the tokens spell; the features' spans index into it.
        reading: all tokens.
        owner: feature of each token, or -1.
        features: the players.
        occlusion: how an absent feature disappears.
        regions: the pieces of `text` that were written in one go, one per chat message.
    """

    text: str
    reading: Reading
    owner: Int[np.ndarray, "l"]
    features: list[Feature]
    occlusion: Occlusion
    regions: tuple[tuple[int, int], ...]

    def read(self, coalitions: Bool[Tensor, "p n"]) -> list[list[Reading]]:
        with_none = np.concatenate([coalitions.cpu().numpy(), np.ones((len(coalitions), 1), dtype=bool)], axis=1)
        present = with_none[:, self.owner]
        return [[self.occlusion.read(self.reading, row, self.owner)] for row in present]

    def hierarchy(self) -> Hierarchy:
        tree: dict[int, dict[int, list[int]]] = {}
        for index, feature in enumerate(self.features):
            start = feature.spans[0][0] if feature.spans else 0
            region = next((r for r, (a, b) in enumerate(self.regions) if a <= start < b), -1)
            sentence = 0
            if region >= 0:
                a, b = self.regions[region]
                ends = [a + end for _, end in Granularity.SENTENCE.split(self.text[a:b])]
                sentence = sum(end <= start for end in ends)
            tree.setdefault(region, {}).setdefault(sentence, []).append(index)
        return [_unwrapped([_unwrapped(list(words)) for words in sentences.values()]) for sentences in tree.values()]


def _unwrapped(branch: list) -> int | list:
    """A branch of one child is that child."""
    return branch[0] if len(branch) == 1 else branch


def joined(
    owner: Int[np.ndarray, "l"], features: Sequence[Feature], kept: Sequence[int], groups: Sequence[object] | None
) -> tuple[Int[np.ndarray, "l"], list[Feature]]:
    """The players, and who owns what, when only the features in `kept` play, as one where their group labels are equal."""
    labels = [groups[index] for index in kept] if groups is not None else list(kept)
    order = list(dict.fromkeys(labels))
    target = {feature: order.index(label) for feature, label in zip(kept, labels, strict=True)}
    owners = np.asarray([target.get(int(index), -1) for index in owner], dtype=np.int64)
    return owners, [_joined([features[f] for f in kept if target[f] == index]) for index in range(len(order))]


def _joined(parts: list[Feature]) -> Feature:
    """One feature out of several; its role and turn are kept where they agree."""
    if len(parts) == 1:
        return parts[0]
    roles, turns = {part.role for part in parts}, {part.turn for part in parts}
    return Feature(
        " ".join(part.text for part in parts),
        tuple(span for part in parts for span in part.spans),
        tuple(position for part in parts for position in part.positions),
        roles.pop() if len(roles) == 1 else None,
        turns.pop() if len(turns) == 1 else None,
    )
